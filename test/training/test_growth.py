from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from siamese_emotion_ros.training import growth as growth_module
from siamese_emotion_ros.training.config import ConfigError, as_dict
from siamese_emotion_ros.training.config_file import from_dict
from siamese_emotion_ros.training.data import TrainingData
from siamese_emotion_ros.training.growth import Growth, GrowthState, Interrupted, Stage, next_classes, rank_pairs

CLASSES = ("anger", "fear", "happiness", "neutral")

#: Distances between the classes of GrowthState below: on a line at 0, 1, 3 and 7.
PLACES = {"anger": 0.0, "fear": 1.0, "happiness": 3.0, "neutral": 7.0}


def line_state(stop_below=0.7):
    embeddings = [np.array([[place], [place]]) for place in PLACES.values()]
    return GrowthState("config", stop_below, rank_pairs(embeddings, list(PLACES)))


def stage(start, classes, top1):
    return Stage(start, tuple(classes), top1, top1, top1, 0, "model.safetensors")


def test_pairs_are_ranked_by_the_mean_distance_of_their_faces():
    rng = np.random.default_rng(0)
    embeddings = [rng.normal(place, 1, (5, 3)) for place in (0, 2, 9)]
    ranking = rank_pairs(embeddings, ["anger", "fear", "neutral"])
    assert [pair[:2] for pair in ranking] == [("anger", "fear"), ("fear", "neutral"), ("anger", "neutral")]
    distances = [np.linalg.norm(a - b) for a in embeddings[0] for b in embeddings[1]]
    assert ranking[0][2] == pytest.approx(np.mean(distances))


def test_starts_are_the_most_similar_the_middling_and_the_most_different_pair():
    state = line_state()
    # Six pairs by distance: 1 anger-fear, 2 fear-happiness, 3 anger-happiness, 4 happiness-neutral, 6, 7.
    assert next_classes(state, "similar", CLASSES) == ("anger", "fear")
    assert next_classes(state, "middling", CLASSES) in [("anger", "happiness"), ("happiness", "neutral")]
    assert next_classes(state, "different", CLASSES) == ("anger", "neutral")


def test_a_start_grows_by_its_own_rule_until_it_falls_below_the_limit():
    state = line_state()
    state.stages = [stage("similar", ["anger", "fear"], 0.9), stage("different", ["anger", "neutral"], 0.9)]
    assert next_classes(state, "similar", CLASSES) == ("anger", "fear", "happiness")
    # From anger (0) and neutral (7), fear (1) and happiness (3) are both 3.5 away on average.
    assert next_classes(state, "different", CLASSES)[:2] == ("anger", "neutral")
    state.stages.append(stage("similar", ["anger", "fear", "happiness"], 0.7))
    assert next_classes(state, "similar", CLASSES) == CLASSES, "the limit itself is reached"
    state.stages.append(stage("similar", CLASSES, 0.95))
    assert next_classes(state, "similar", CLASSES) is None, "nothing is left to add"
    state.stages.append(stage("different", ["anger", "neutral", "fear"], 0.69))
    assert next_classes(state, "different", CLASSES) is None


@pytest.fixture()
def make_growth(tiny, tmp_path, monkeypatch):
    """A protocol over four made-up emotions, two of which look the same; counts the networks that are trained."""
    trained = []
    original = growth_module.train

    def counting(config, *args, **kwargs):
        trained.append(config.data.classes)
        return original(config, *args, **kwargs)

    monkeypatch.setattr(growth_module, "train", counting)

    def prepare(config):
        rng = np.random.default_rng(3)
        chosen = config.classes
        count = 30 * len(chosen)
        labels = np.arange(count) % len(chosen)
        faces = rng.integers(0, 100, (count, 1, tiny.SIDE, tiny.SIDE))
        rows = {"anger": 1, "fear": 1, "happiness": 6, "neutral": 12}  # fear looks as anger does
        for face, label in zip(faces, labels):
            face[0, rows[chosen[label]] : rows[chosen[label]] + 3] += 120
        train_count = 2 * count // 3
        return TrainingData(torch.from_numpy(faces.astype(np.uint8)), torch.from_numpy(labels), config.classes,
                            np.arange(train_count), np.arange(train_count, count), {"dataset": "made up"})

    def make(*overrides, **options):
        budget = ("optimizer.lr=5e-3", "trainer.epochs=4", "sampling.steps_per_epoch=6")
        values = as_dict(tiny.make_config(*budget, *overrides))
        values["data"]["classes"] = ",".join(CLASSES)
        return Growth(from_dict(values), prepare, tmp_path / "protocol", progress_bar=False, **options)

    make.trained = trained
    make.folder = tmp_path / "protocol"
    return make


def test_the_protocol_separates_what_differs_and_stops_where_emotions_look_alike(make_growth):
    state = make_growth(starts=["similar", "different"], stop_below=0.8).run()
    assert set(state.ranking[0][:2]) == {"anger", "fear"}
    similar, different = state.of_start("similar"), state.of_start("different")
    assert [len(stage.classes) for stage in similar] == [2], "below the limit at once"
    assert similar[0].top1 < 0.8
    assert different[0].top1 >= 0.8 and len(different) > 1
    assert not {"anger", "fear"} <= set(different[0].classes)
    assert different[-1].top1 < 0.8 or len(different[-1].classes) == 4

    with open(make_growth.folder / "growth.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(state.stages)
    assert rows[0]["reaches_limit"] == "no" and rows[1]["reaches_limit"] == "yes"
    assert cv2.imread(str(make_growth.folder / "growth.png")) is not None


def test_a_stopped_protocol_goes_on_without_repeating_itself(make_growth):
    seen = []

    class Stopped(Exception):
        pass

    def report(line):
        seen.append(line)
        if line.startswith("different: top-1"):
            raise Stopped

    with pytest.raises(Stopped):
        make_growth(starts=["similar", "different"], stop_below=0.8).run(report)
    before = list(make_growth.trained)
    # The stage just finished was not yet written down: its run is there, and is read instead of trained again.
    state = make_growth(starts=["similar", "different"], stop_below=0.8).run()
    again = make_growth(starts=["similar", "different"], stop_below=0.8)
    assert again.run() == state
    assert len(make_growth.trained) == len(before) + (len(state.stages) - 1)
    assert len(make_growth.trained) == len(set(make_growth.trained)) + 1


def test_ctrl_c_in_a_network_ends_the_protocol_and_keeps_its_run(make_growth, monkeypatch):
    import dataclasses

    original = growth_module.train
    monkeypatch.setattr(
        growth_module, "train", lambda *args, **kwargs: dataclasses.replace(original(*args, **kwargs), finished=False)
    )
    with pytest.raises(Interrupted):
        make_growth().run()
    monkeypatch.setattr(growth_module, "train", original)
    assert make_growth(starts=["similar"]).run().stages


def test_what_cannot_be_grown_is_refused(make_growth):
    for overrides, options, message in [
        (["trainer.devices=2"], {}, "set trainer.devices=1"),
        (["loss.name=quadruplet", "loss.mining=hard"], {}, "starts from two classes"),
        (["validation.every_epochs=5"], {}, "is 5, and trainer.epochs 4: .* set validation.every_epochs=1"),
        ([], {"starts": ["sideways"]}, "expected some of similar, middling, different"),
        ([], {"stop_below": 70}, "stop-below is 70: expected a share"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make_growth(*overrides, **options)
    growth = make_growth(stop_below=0.8)
    growth.state.ranking = [("anger", "fear", 1.0)]
    growth._save()
    with pytest.raises(ConfigError, match="another configuration or limit"):
        make_growth(stop_below=0.9)
    (make_growth.folder / "growth.json").write_text(json.dumps({"stages": 3}))
    with pytest.raises(ConfigError, match="is not the state of a protocol"):
        make_growth(stop_below=0.8)
