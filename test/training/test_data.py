from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.ferplus import VOTE_COLUMNS, soft_labels
from siamese_emotion_ros.datasets.splits import trained_digest
from siamese_emotion_ros.recognition.preprocessing import SCALINGS, preprocess, resize
from siamese_emotion_ros.training.config import ConfigError, SamplingConfig
from siamese_emotion_ros.training.config_file import from_dict
from siamese_emotion_ros.training.data import BatchLoader, ProbeLoader, resized, scale
from siamese_emotion_ros.training.loading import prepare
from siamese_emotion_ros.training.sampling import BatchSampler

CLASSES = ("anger", "fear", "happiness", "neutral")


def face_set(count=80, side=None):
    """Faces whose first pixel is their row number, of mixed sizes unless `side` is given."""
    rng = np.random.default_rng(0)
    faces = []
    for row in range(count):
        size = side or int(rng.integers(40, 90))
        face = rng.integers(0, 256, (size, size), dtype=np.uint8)
        face[0, 0] = row
        faces.append(face)
    return FaceSet(
        faces=np.stack(faces) if side else tuple(faces),
        labels=np.arange(count) % 4,
        classes=CLASSES,
        names=tuple(f"face{row:03d}" for row in range(count)),
        official_split=np.array(["train"] * (count // 2) + ["val"] * (count // 4) + ["test"] * (count // 4)),
    )


def config(*, data=None, network=None, **sections):
    return from_dict({
        "data": {"classes": "happiness,anger,fear", **(data or {})},
        "network": {"input_size": 48, **(network or {})},
        **sections,
    })


def test_prepared_data_are_the_wanted_classes_of_train_and_val_alone():
    data = prepare(face_set(side=48), config())
    rows = data.faces[:, 0, 0, 0].numpy()
    assert data.classes == ("happiness", "anger", "fear")
    assert set(rows[data.train]) == {row for row in range(40) if CLASSES[row % 4] != "neutral"}
    assert set(rows[data.val]) == {row for row in range(40, 60) if CLASSES[row % 4] != "neutral"}
    assert [data.classes[label] for label in data.labels] == [CLASSES[row % 4] for row in rows]
    assert data.provenance["training_faces"] == "happiness 10, anger 10, fear 10"
    assert data.provenance["validation_faces"] == "15"
    assert data.provenance["split_digest"] == trained_digest(face_set(side=48), "official")


def test_faces_are_held_at_the_side_at_which_they_are_augmented():
    smaller = prepare(face_set(), config(augmentation={"side": 24}))
    assert smaller.faces.shape[1:] == (1, 24, 24)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_training_sees_what_the_recogniser_will_see(scaling):
    faces = face_set()
    data = prepare(faces, config(network={"scaling": scaling}))
    originals = dict(zip(faces.names, faces.faces))
    wanted = [name for name, label, part in zip(faces.names, faces.labels, faces.official_split)
              if CLASSES[label] != "neutral" and part != "test"]
    expected = preprocess([originals[name] for name in wanted], 48, scaling)
    assert scale(data.faces, scaling).numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_flat_face_is_scaled_as_by_the_recogniser(scaling):
    flat = np.full((48, 48), 77, np.uint8)
    flat[0, 0] = 78
    scaled = scale(torch.from_numpy(flat)[None, None], scaling).numpy()
    assert scaled == pytest.approx(preprocess([flat], 48, scaling), abs=1e-6)


def test_limit_draws_a_part_of_the_training_faces_by_the_seed():
    def rows(seed):
        data = prepare(face_set(side=48), config(data={"limit": 12}, trainer={"seed": seed}))
        assert len(data.val) == 15
        return set(data.faces[data.train, 0, 0, 0].tolist())

    assert len(rows(1)) == 12 and rows(1) == rows(1) and rows(1) != rows(2)


def test_soft_labels_keep_the_single_label_where_nobody_voted():
    faces = face_set(side=48)
    votes = np.zeros((80, 4), np.float32)
    votes[1] = [0.25, 0.5, 0.25, 0]
    votes[2] = [0, 0, 0, 1]
    learned = config(data={"votes": 1.0}, loss={"name": "supervised_contrastive"})
    data = prepare(dataclasses.replace(faces, soft_labels=votes), learned)
    soft = {int(row): values.tolist() for row, values in zip(data.faces[:, 0, 0, 0], data.soft_labels)}
    assert soft[1] == [0.25, 0.25, 0.5]  # happiness, anger, fear
    assert soft[2] == [1, 0, 0]  # all votes for a class that is not learned: its own label, happiness
    assert soft[4] == [0, 1, 0]
    with pytest.raises(ConfigError, match="without votes"):
        prepare(faces, config(data={"votes": 1.0}, loss={"name": "supervised_contrastive"}))


def test_where_voters_agree_their_votes_alone_are_learned():
    faces = face_set(side=48)
    counts = np.zeros((80, len(VOTE_COLUMNS)), np.uint8)
    voters = {name: column for column, name in enumerate(VOTE_COLUMNS)}
    for row, given in {1: {"happiness": 7, "fear": 3}, 2: {"happiness": 6, "fear": 4}, 5: {"contempt": 10}}.items():
        for name, count in given.items():
            counts[row, voters[name]] = count
    voted = dataclasses.replace(faces, votes=counts, soft_labels=soft_labels(counts, CLASSES))
    learned = config(data={"agreement": 0.7, "votes": 0.5}, loss={"name": "supervised_contrastive"})
    data = prepare(voted, learned)
    soft = {int(row): values.tolist() for row, values in zip(data.faces[:, 0, 0, 0], data.soft_labels)}
    assert soft[1] == pytest.approx([0.7, 0, 0.3])  # happiness, anger, fear; its own label, fear, counts no more
    assert soft[2] == pytest.approx([0.8, 0, 0.2])  # six of ten: half votes, half its own label, happiness
    assert soft[5] == [0, 0, 1]  # agreed on what is not learned: its own label
    with pytest.raises(ConfigError, match="without votes"):
        prepare(dataclasses.replace(voted, votes=None), learned)


def test_data_that_cannot_be_learned_from_are_refused():
    faces = face_set(side=48)
    trained_only = dataclasses.replace(faces, official_split=np.array(["train"] * 80))
    with pytest.raises(ConfigError, match="official gives no validation face"):
        prepare(trained_only, config())
    without_fear = faces.select(np.flatnonzero((faces.labels != 1) | (faces.official_split != "train")))
    with pytest.raises(ValueError, match="no training face of fear"):
        prepare(without_fear, config())


def loader(tiny, **changes):
    data = tiny.make_data()
    sampler = BatchSampler(data.labels.numpy()[data.train], SamplingConfig(batch_size=9, **changes), seed=0)
    return BatchLoader(data, sampler)


def numbers(batches):
    return [(batch.epoch, batch.step, batch.faces.sum().item()) for batch in batches]


def test_a_loader_goes_on_where_its_state_was_taken(tiny):
    unbroken = loader(tiny)
    unbroken.set_epoch(2)
    everything = numbers(unbroken)
    assert [step for _, step, _ in everything] == [0, 1, 2, 3, 4]

    stopped = loader(tiny)
    stopped.set_epoch(2)
    batches = iter(stopped)
    next(batches), next(batches)
    resumed = loader(tiny)
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(2)
    assert numbers(resumed) == everything[2:]
    resumed.set_epoch(3)
    assert len(numbers(resumed)) == 5


def test_batches_carry_the_labels_of_their_faces(tiny):
    data = tiny.make_data()
    bars = data.faces[:, 0, :15].float().reshape(len(data.faces), 3, 5, -1).mean(dim=(2, 3)).argmax(dim=1)
    assert torch.equal(bars, data.labels), "the made-up faces show their label"
    for batch in loader(tiny):
        shown = batch.faces[:, 0, :15].float().reshape(9, 3, 5, -1).mean(dim=(2, 3)).argmax(dim=1)
        assert torch.equal(shown, batch.labels)


def test_probes_are_anchors_of_training_and_queries_of_validation(tiny):
    data = tiny.make_data()
    probes = list(ProbeLoader(data, anchors=20, queries=None, seed=0, batch_size=7))
    assert len(ProbeLoader(data, anchors=20, queries=None, seed=0, batch_size=7)) == len(probes) == 3 + 3
    for are_anchors, rows, count in ((True, data.train, 20), (False, data.val, 15)):
        seen = torch.cat([probe.faces for probe in probes if probe.anchors == are_anchors])
        known = {face.numpy().tobytes() for face in data.faces[rows]}
        assert len(seen) == count
        assert {face.numpy().tobytes() for face in seen} <= known


@pytest.mark.parametrize("side", [20, 24, 32, 48, 64])
def test_faces_are_resized_as_the_recogniser_does(side):
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    smooth = np.stack([cv2.GaussianBlur(face, (0, 0), 1.0) for face in noise])
    ours = resized(torch.from_numpy(smooth)[:, None], side)[:, 0].numpy()
    for face, found in zip(smooth, ours):
        # Which rounds to whole grey levels, after each halving too.
        np.testing.assert_allclose(found, resize(face, side), atol=1.6)
