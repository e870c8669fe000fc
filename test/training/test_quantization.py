"""From a trained network to integers and back: embeddings hardly move."""
from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_model
from siamese_emotion_ros.recognition.compact import ResidualBlock
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.training.config import ConfigError, NetworkConfig, TrainingConfig
from siamese_emotion_ros.training.data import scale
from siamese_emotion_ros.training.quantization import best_unit, dequantize, quantize
from siamese_emotion_ros.training.transfer import carry_over


@pytest.fixture(scope="module")
def trained():
    """A compact network whose normalisations have statistics of their own, and faces it has not seen."""
    torch.manual_seed(0)
    network = build_network("compact", 32, 32)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.normal_(layer.running_mean, std=0.3)
        if isinstance(layer, ResidualBlock):
            nn.init.uniform_(layer.second[1].weight, 0.2, 0.6)
    coarse = torch.randn(80, 1, 6, 6)
    faces = functional.interpolate(coarse, size=32, mode="bicubic") + 0.1 * torch.randn(80, 1, 32, 32)
    return network.eval().requires_grad_(False), faces[:64], faces[64:]


def moved(before, after):
    """Mean distance of two versions of the same embeddings, in units of the distance between different faces."""
    return float((before - after).norm(dim=1).mean() / (before - before.roll(1, 0)).norm(dim=1).mean())


def test_embeddings_hardly_move(trained):
    network, seen, unseen = trained
    told = []
    made = quantize(network, seen, lambda done, total: told.append((done, total)))
    made.check_weights()
    assert moved(network(unseen), made(unseen)) < 0.25
    assert told == [(done, 6) for done in range(1, 7)]


def test_the_biases_take_up_the_mean_error(trained):
    network, seen, _ = trained
    before, after = network(seen), quantize(network, seen)(seen)
    assert (before - after).mean(dim=0).norm() < 0.3 * (before - after).norm(dim=1).mean()


def test_the_way_back_gives_what_the_integers_stand_for(trained):
    network, seen, unseen = trained
    made = quantize(network, seen)
    back = dequantize(made, seen).requires_grad_(False)
    # Without the rounding between layers it is nearer to the trained network than the integers are.
    assert moved(network(unseen), back(unseen)) < 0.6 * moved(network(unseen), made(unseen))


def test_a_run_may_start_from_integers(trained, tmp_path):
    network, seen, unseen = trained
    made = quantize(network, seen)
    write_model(tmp_path / "int8.safetensors", made.integer_state(), ModelSpec("compact_int8", 32, 32, "standardize"))
    student = build_network("compact", 32, 32).requires_grad_(False)
    gray = (seen * 50 + 128).round().clamp(0, 255).to(torch.uint8)
    assert carry_over(tmp_path / "int8.safetensors", student, NetworkConfig(input_size=32), gray) == []
    inputs = scale(gray, "standardize")
    expected = made(inputs)
    assert moved(expected, student.eval()(inputs)) < 0.25
    assert moved(expected, student.train()(inputs)) < 0.3, "in training, normalisations go by the batch"


def test_a_network_of_integers_is_not_trained():
    with pytest.raises(ConfigError, match="compact_int8 is not trained: train compact.*siamese-emotion quantize"):
        TrainingConfig(network=NetworkConfig(architecture="compact_int8"))


@pytest.mark.parametrize("weight", [0.0, 1e-8, 1e-4])
def test_a_channel_that_died_keeps_its_bias(trained, weight):
    network, seen, unseen = trained
    network = copy.deepcopy(network)
    network.features[2].weight[3], network.features[2].bias[3] = weight, 0.5
    made = quantize(network, seen)
    made.check_weights()
    assert made.stem.bias[3] * made.stem.scale[3] > 1
    assert moved(network(unseen), made(unseen)) < 0.3


def test_blank_faces_are_refused(trained):
    with pytest.raises(ValueError, match="the faces are blank"):
        quantize(trained[0], torch.zeros(4, 1, 32, 32))


@given(seed=st.integers(0, 10_000), deviation=st.floats(1e-3, 1e3), offset=st.floats(-2, 2),
       limits=st.sampled_from([(0, 255), (-128, 127), (-64, 64)]))
@settings(max_examples=50)
def test_no_other_power_of_two_is_better(seed, deviation, offset, limits):
    torch.manual_seed(seed)
    values = (torch.randn(500) + offset) * deviation
    if not limits[0]:
        values = values.relu()
    unit = best_unit(values, limits)
    assert torch.frexp(torch.tensor(unit))[0] == 0.5

    def error(unit):
        return ((values / unit).round().clamp(*limits) * unit - values).square().mean()

    assert error(unit) <= min(error(2 * unit), error(unit / 2))


@pytest.mark.parametrize("limits", [(0, 255), (-64, 64)])
def test_zeros_have_a_unit(limits):
    assert 0 < best_unit(torch.zeros(10), limits) < 1e-6
