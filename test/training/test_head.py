from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from siamese_emotion_ros.recognition.artifacts import read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.training.config import ConfigError
from siamese_emotion_ros.training.head import train_head, with_network_of_model
from siamese_emotion_ros.training.train import train


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    return train(tiny.make_config("optimizer.lr=5e-3"), tiny.make_data(), folder, progress_bar=False).model


def head_config(tiny, model, *overrides):
    # Fast enough for 45 faces.
    return tiny.make_config("stage=head", f"network.init_from={model}", "head.lr=0.05", *overrides)


def decided(model, faces):
    weight, bias = model.head
    return (model.embed(list(faces[:, 0].numpy())) @ weight.T + bias).argmax(axis=1)


def test_the_head_classifies_and_the_network_stays(tiny, trained, tmp_path):
    data = tiny.make_data()
    result = train_head(head_config(tiny, trained), data, tmp_path)
    model = EmbeddingModel.load(result.model, "cpu")
    accuracy = (decided(model, data.faces[data.val]) == data.labels.numpy()[data.val]).mean()
    assert accuracy == pytest.approx(result.best_score), "the file decides as the training did"
    assert accuracy > 0.8
    assert model.spec.head_classes == data.classes
    assert model.fingerprint == read_model(trained).fingerprint == result.fingerprint
    before, after = read_model(trained).weights, read_model(result.model).weights
    assert all(np.array_equal(after[name], weights) for name, weights in before.items())
    assert read_model(result.model).spec.provenance["dataset"] == "made up"


def test_half_precision_weights_keep_their_fingerprint(tiny, trained, tmp_path):
    stored = read_model(trained)
    half = tmp_path / "half.safetensors"
    state = {name: torch.from_numpy(weights) for name, weights in stored.weights.items()}
    fingerprint = write_model(half, state, stored.spec, half=True)
    result = train_head(head_config(tiny, half), tiny.make_data(), tmp_path / "run")
    assert result.fingerprint == fingerprint != stored.fingerprint


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_embeddings_does_not_matter(tiny, trained, tmp_path, scale):
    stored = read_model(trained)
    state = {name: torch.from_numpy(weights.copy()) for name, weights in stored.weights.items()}
    state["5.weight"] *= scale
    state["5.bias"] *= scale
    write_model(tmp_path / "scaled.safetensors", state, stored.spec)
    scaled = train_head(head_config(tiny, tmp_path / "scaled.safetensors"), tiny.make_data(), tmp_path / "scaled")
    plain = train_head(head_config(tiny, trained), tiny.make_data(), tmp_path / "plain")
    assert scaled.best_score == pytest.approx(plain.best_score, abs=0.1)
    assert scaled.history[-1]["train_loss"] == pytest.approx(plain.history[-1]["train_loss"], rel=0.01)


def test_the_same_seed_gives_the_same_head(tiny, trained, tmp_path):
    def head(folder, *overrides):
        result = train_head(head_config(tiny, trained, *overrides), tiny.make_data(), tmp_path / folder)
        return read_model(result.model).weights["head.weight"]

    assert np.array_equal(head("one"), head("same"))
    assert not np.array_equal(head("one"), head("other", "trainer.seed=5"))


def test_soft_labels_are_learned(tiny, trained, tmp_path):
    data = tiny.make_data()
    everything_neutral = torch.zeros(len(data.labels), 3)
    everything_neutral[:, 2] = 1
    result = train_head(
        head_config(tiny, trained), dataclasses.replace(data, soft_labels=everything_neutral), tmp_path
    )
    assert result.history[-1]["val_top1"] == pytest.approx(1 / 3), "it says neutral, as it was taught"


def test_the_network_section_comes_from_the_model(tiny, trained):
    wrong = head_config(tiny, trained, "network.input_size=48", "network.embedding_dim=64")
    assert with_network_of_model(wrong).network == head_config(tiny, trained).network
    with pytest.raises(ConfigError, match="set network.init_from"):
        tiny.make_config("stage=head")
