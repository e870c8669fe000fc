"""The compact network: what it gives, that inference rearranged changes nothing, and ONNX Runtime in torch's place."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from siamese_emotion_ros.recognition.artifacts import ArtifactError, ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel, choose_backend
from siamese_emotion_ros.recognition.networks import build_network


def trained_looking(seed=0):
    """A compact network whose normalisations have statistics of their own, as after training."""
    torch.manual_seed(seed)
    network = build_network("compact", 48, 32)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 2.0)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def compact_path(tmp_path_factory):
    network = trained_looking()
    path = tmp_path_factory.mktemp("compact") / "compact.safetensors"
    write_model(path, network.state_dict(), ModelSpec("compact", 48, 32, "standardize"))
    return path


@pytest.mark.parametrize("architecture", ["compact", "compact_wide", "compact_large"])
@pytest.mark.parametrize("side", [32, 48, 64])
def test_embeddings_have_length_one(architecture, side):
    torch.manual_seed(0)
    embeddings = build_network(architecture, side, 128)(torch.randn(4, 1, side, side))
    assert embeddings.shape == (4, 128)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("side", [16, 47, 36, 56, 100])
def test_a_side_that_cannot_be_folded_and_halved_is_refused(side):
    with pytest.raises(ValueError, match=f"input_size {side}.*multiple of 16 from 32"):
        build_network("compact", side, 128)


def test_folded_for_the_cpu_it_gives_the_same_embeddings():
    network = trained_looking()
    folded = network.for_cpu()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    faces = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(folded(faces), network(faces), rtol=1e-4, atol=1e-5)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()), "the original stays as it was"


def test_a_file_keeps_every_buffer(compact_path):
    written, read = trained_looking().state_dict(), read_model(compact_path).weights
    assert {name: tuple(tensor.shape) for name, tensor in written.items()} == {
        name: array.shape for name, array in read.items()
    }


def test_both_backends_give_the_same_embeddings_for_any_number_of_faces(compact_path, faces):
    pytest.importorskip("onnxruntime")
    torch_model, onnx_model = (EmbeddingModel.load(compact_path, "cpu", backend=name) for name in ("torch", "onnx"))
    assert (torch_model.backend, onnx_model.backend) == ("torch", "onnx")
    for count in (1, 7):
        np.testing.assert_allclose(onnx_model.embed(faces[:count]), torch_model.embed(faces[:count]), atol=1e-4)
    assert onnx_model.embed([]).shape == (0, 32)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_network_that_computes_no_numbers_is_refused_when_it_is_warmed_up(tmp_path, backend):
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    state = trained_looking().state_dict()
    state["features.2.running_var"][0] = -1.0
    write_model(tmp_path / "negative.safetensors", state, ModelSpec("compact", 48, 32, "standardize"))
    model = EmbeddingModel.load(tmp_path / "negative.safetensors", "cpu", backend=backend)
    with pytest.raises(ArtifactError, match=f"model {model.fingerprint[:12]} gives embeddings with NaN or infinity"):
        model.warm_up()


def test_auto_takes_onnx_only_where_it_can_be_had(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for installed in (True, False):
        monkeypatch.setattr("siamese_emotion_ros.recognition.model.is_available", lambda found=installed: found)
        assert choose_backend("auto", cpu, "fp32") == ("onnx" if installed else "torch")
        assert choose_backend("auto", cuda, "fp32") == choose_backend("auto", cpu, "fp16") == "torch"
    with pytest.raises(ValueError, match="pip install onnxruntime onnx"):
        choose_backend("onnx", cpu, "fp32")
    with pytest.raises(ValueError, match="expected cpu and fp32"):
        choose_backend("onnx", cuda, "fp32")
    with pytest.raises(ValueError, match="'tensorrt': expected one of auto, torch, onnx"):
        choose_backend("tensorrt", cpu, "fp32")
