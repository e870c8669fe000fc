"""The paper's network, layer by layer, and that its shortcuts change nothing."""
from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from siamese_emotion_ros.recognition.networks import build_network


def as_the_paper_writes_it(network: nn.Module, faces: torch.Tensor) -> torch.Tensor:
    """Convolution, ReLU, pooling, in the paper's order and on the whole input."""
    values = faces
    for layer in network.features:
        if isinstance(layer, nn.Conv2d):
            values = functional.max_pool2d(functional.relu(layer(values)), kernel_size=2, stride=2)
    return network.embedding(values.flatten(1))


@pytest.mark.parametrize("input_size, features", [(48, 256), (100, 8 * 8 * 256)])
def test_paper_network_has_the_layers_of_the_paper(input_size, features):
    network = build_network("paper", input_size, 2048)
    kernels = [tuple(layer.weight.shape) for layer in network.features if isinstance(layer, nn.Conv2d)]
    assert kernels == [(128, 1, 10, 10), (256, 128, 7, 7), (256, 256, 4, 4)]
    assert tuple(network.embedding.weight.shape) == (2048, features)
    assert network(torch.rand(2, 1, input_size, input_size)).shape == (2, 2048)


@pytest.mark.parametrize("input_size", [41, 48, 64, 100])
def test_shortcuts_give_the_embedding_of_the_full_computation(input_size):
    torch.manual_seed(0)
    network = build_network("paper", input_size, 32)
    faces = torch.rand(3, 1, input_size, input_size)
    torch.testing.assert_close(network(faces), as_the_paper_writes_it(network, faces), rtol=1e-4, atol=1e-5)


def test_the_unit_network_differs_by_length_only():
    networks = []
    for architecture in ("paper", "paper_unit"):
        torch.manual_seed(0)
        networks.append(build_network(architecture, 48, 32))
    faces = torch.rand(3, 1, 48, 48)
    free, unit = (network(faces) for network in networks)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(unit, free / free.norm(dim=1, keepdim=True))


def test_embedding_weights_start_from_a_narrow_normal():
    torch.manual_seed(0)
    weight = build_network("paper", 48, 2048).embedding.weight
    assert abs(weight.mean().item()) < 1e-4
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_an_input_too_small_for_three_poolings_is_refused():
    with pytest.raises(ValueError, match="input_size 40 is too small.*at least 41"):
        build_network("paper", 40, 2048)


def test_an_unknown_architecture_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown architecture 'vgg'.*paper"):
        build_network("vgg", 48, 2048)


@pytest.mark.parametrize("architecture", ["paper", "paper_unit"])
@pytest.mark.parametrize("input_size, batch", [(41, 1), (48, 1), (48, 3), (64, 2), (100, 2)])
def test_the_cpu_arrangement_gives_the_same_embedding(architecture, input_size, batch):
    torch.manual_seed(0)
    network = build_network(architecture, input_size, 32).requires_grad_(False)
    faces = torch.rand(batch, 1, input_size, input_size)
    torch.testing.assert_close(network.for_cpu()(faces), network(faces), rtol=1e-4, atol=1e-5)
