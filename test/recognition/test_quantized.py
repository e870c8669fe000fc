"""The network of integers: the same bits from every library, and files that hold anything else refused."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition import quantized_kernels
from siamese_emotion_ros.recognition.artifacts import ArtifactError, ModelSpec, read_model, write_model
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network
from siamese_emotion_ros.recognition.onnx_backend import OnnxSession, is_available, serialize
from siamese_emotion_ros.recognition.quantized import (
    LARGEST_WEIGHT,
    QuantizedBlock,
    QuantizedCompactNetwork,
    QuantizedConvolution,
)

needs_kernels = pytest.mark.skipif(not quantized_kernels.are_available(), reason="this torch has no integer kernels")
needs_onnx = pytest.mark.skipif(not is_available(), reason="needs the extra [onnx]")

#: What follows the integers is in float32. One integer that differs makes a hundred times as much.
AFTER_THE_INTEGERS = 2e-6


def drawn(seed=0, side=32, weight=LARGEST_WEIGHT):
    """A network of drawn integers whose values use all of their 8 bits."""
    torch.manual_seed(seed)
    network = QuantizedCompactNetwork(side, 16).eval().requires_grad_(False)
    network.input_scale.fill_(32.0)
    for layer in network.modules():
        if isinstance(layer, QuantizedConvolution):
            layer.weight.copy_(torch.randint(-weight, weight + 1, layer.weight.shape))
            layer.bias.copy_(torch.randint(-2000, 2000, layer.bias.shape))
            deviation = 40.0 * weight * layer.weight[0].numel() ** 0.5
            layer.scale.copy_(2.0 ** (torch.randint(-1, 2, layer.scale.shape) + np.round(np.log2(250 / deviation))))
        if isinstance(layer, QuantizedBlock):
            layer.scales.copy_(torch.tensor([1.0, 0.5]))
    return network


def write(path, network, **changes):
    state = {**network.integer_state(), **changes}
    spec = ModelSpec("compact_int8", network.input_size, network.embedding.out_features, "standardize")
    return write_model(path, state, spec)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("quantized") / "model.safetensors"
    write(path, drawn())
    return path


@given(seed=st.integers(0, 1000), faces=st.integers(1, 3), side=st.sampled_from([32, 48]))
@settings(max_examples=8)
@needs_kernels
def test_torch_kernels_give_the_same_integers(seed, faces, side):
    network = drawn(seed, side)
    inputs = torch.randn(faces, 1, side, side)
    features = network.stem((inputs * 32).round().clamp(-128, 127))
    assert 20 < features.std() < 120, "values that are all 0 or all 255 would agree anyway"
    torch.testing.assert_close(network.for_cpu()(inputs), network(inputs), rtol=0, atol=AFTER_THE_INTEGERS)


@given(seed=st.integers(0, 1000), faces=st.integers(1, 3), side=st.sampled_from([32, 48]))
@settings(max_examples=8)
@needs_onnx
def test_onnx_runtime_gives_the_same_integers(seed, faces, side):
    network = drawn(seed, side)
    inputs = torch.randn(faces, 1, side, side)
    embeddings = OnnxSession(serialize(network, side))(inputs.numpy())
    np.testing.assert_allclose(embeddings, network(inputs).numpy(), atol=AFTER_THE_INTEGERS)


@needs_kernels
def test_every_engine_that_is_named_gives_the_same_integers():
    network, inputs = drawn(), torch.randn(2, 1, 32, 32)
    engines = set(quantized_kernels.ENGINES) & set(torch.backends.quantized.supported_engines)
    assert engines
    before = torch.backends.quantized.engine
    try:
        for engine in engines:
            torch.backends.quantized.engine = engine
            embeddings = quantized_kernels.QuantizedKernels(network)(inputs)
            torch.testing.assert_close(embeddings, network(inputs), rtol=0, atol=AFTER_THE_INTEGERS)
    finally:
        torch.backends.quantized.engine = before


@needs_kernels
def test_next_to_a_half_the_kernels_round_as_defined():
    network = drawn()
    halves = torch.arange(-128, 128).repeat(4).view(1, 1, 32, 32) + 0.5
    for inputs in (halves, torch.nextafter(halves, halves - 1), torch.nextafter(halves, halves + 1)):
        inputs = inputs / network.input_scale
        torch.testing.assert_close(network.for_cpu()(inputs), network(inputs), rtol=0, atol=AFTER_THE_INTEGERS)


def test_without_kernels_that_round_alike_the_definition_runs(monkeypatch):
    monkeypatch.setattr(quantized_kernels, "ENGINES", ())
    network = drawn()
    assert network.for_cpu() is network


def test_a_face_alone_and_among_others_is_the_same(path):
    model = EmbeddingModel.load(path, "cpu")
    faces = np.random.default_rng(0).integers(0, 256, (5, 60, 60), np.uint8)
    together = model.embed(faces)
    alone = np.concatenate([model.embed(faces[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=AFTER_THE_INTEGERS)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, rtol=1e-5)


def test_lower_precision_changes_nothing(path):
    faces = np.random.default_rng(0).integers(0, 256, (2, 60, 60), np.uint8)
    expected = EmbeddingModel.load(path, "cpu").embed(faces)
    half = EmbeddingModel.load(path, "cpu", "fp16")
    assert np.array_equal(half.embed(faces), expected) and half.precision == "int8"
    network, inputs = drawn(), torch.randn(2, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(inputs), drawn()(inputs))


def test_files_keep_weights_in_a_byte_each(path):
    weights = read_model(path).weights
    assert weights["blocks.1.first.weight"].dtype == np.int8 and weights["stem.bias"].dtype == np.int32
    float32 = sum(4 * tensor.numel() for tensor in drawn().state_dict().values())
    assert path.stat().st_size < 0.3 * float32


@pytest.mark.parametrize("name, values, reason", [
    ("stem.weight", lambda old: old.fill_(LARGEST_WEIGHT + 1), "stem.weight holds other than whole numbers from -64"),
    ("blocks.2.second.weight", lambda old: old.float() + 0.5, "blocks.2.second.weight holds other than whole numbers"),
    ("stem.bias", lambda old: old.fill_(1 << 24), "stem.bias holds other than whole numbers"),
    ("blocks.0.first.scale", lambda old: old * 0.75, "blocks.0.first.scale holds other than powers of two"),
    ("blocks.0.scales", lambda old: old * 0, "blocks.0.scales holds other than powers of two"),
    ("blocks.0.scales", lambda old: old * 2.0**23, "blocks.0.scales holds other than powers of two from"),
    ("stem.scale", lambda old: old * 2.0**-90, "stem.scale holds other than powers of two"),
    ("input_scale", lambda old: -old, "input_scale holds other than powers of two"),
    ("stem.weight", lambda old: old[:, :, :3, :3], "the weights do not fit the network 'compact_int8': stem.weight"),
])
def test_weights_that_are_no_such_integers_are_refused(tmp_path, name, values, reason):
    network = drawn()
    write(tmp_path / "bad.safetensors", network, **{name: values(network.integer_state()[name]).contiguous()})
    with pytest.raises(ArtifactError, match=reason):
        EmbeddingModel.load(tmp_path / "bad.safetensors", "cpu")


@pytest.mark.parametrize("side", [16, 47, 100])
def test_a_side_that_cannot_be_halved_is_refused(side):
    with pytest.raises(ValueError, match=f"input_size {side}.*multiple of 16 from 32"):
        build_network("compact_int8", side, 128)
