"""Model and gallery files: what is written is what is read, and whatever is wrong is refused with its reason."""
from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch

from siamese_emotion_ros.recognition import artifacts, model
from siamese_emotion_ros.recognition.artifacts import (
    ArtifactError,
    ModelSpec,
    read_gallery,
    read_model,
    write_gallery,
    write_model,
)
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network


def rewritten(path, out, tensors=None, metadata=None):
    """A copy of a safetensors file with some tensors or metadata entries replaced (None removes one)."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    new_tensors = {**safetensors.numpy.load(content), **(tensors or {})}
    new_metadata = {**header["__metadata__"], **(metadata or {})}
    safetensors.numpy.save_file(
        {name: array for name, array in new_tensors.items() if array is not None},
        out,
        {key: value for key, value in new_metadata.items() if value is not None},
    )
    return out


@pytest.fixture
def gallery_path(tmp_path, gallery):
    path = tmp_path / "gallery.safetensors"
    write_gallery(path, gallery)
    return path


def test_a_model_reads_back_as_written(tmp_path):
    network = build_network("paper", 48, 16)
    spec = ModelSpec("paper", 48, 16, "unit", provenance={"seed": "3"})
    fingerprint = write_model(tmp_path / "m", network.state_dict(), spec)
    stored = read_model(tmp_path / "m")
    assert stored.spec == spec and stored.fingerprint == fingerprint
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(stored.weights[name], tensor.numpy())


def test_half_a_model_is_half_the_size_and_embeds_alike(tmp_path, faces):
    network = build_network("paper", 48, 16)
    spec = ModelSpec("paper", 48, 16, "standardize")
    for name, half in (("full", False), ("half", True)):
        write_model(tmp_path / name, network.state_dict(), spec, half)
    sizes = [(tmp_path / name).stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.51 * sizes[0]
    full, half = (EmbeddingModel.load(tmp_path / name, "cpu").embed(faces[:4]) for name in ("full", "half"))
    np.testing.assert_allclose(half, full, atol=2e-3 * np.abs(full).max())


def test_fingerprint_tells_weights_apart_and_ignores_provenance(tmp_path):
    state = build_network("paper", 48, 16).state_dict()
    spec = ModelSpec("paper", 48, 16, "unit")
    one = write_model(tmp_path / "a", state, spec)
    assert write_model(tmp_path / "b", state, replace(spec, provenance={"by": "hand"})) == one
    assert write_model(tmp_path / "c", state, replace(spec, scaling="standardize")) != one
    state["embedding.bias"] = state["embedding.bias"] + 1e-3
    assert write_model(tmp_path / "d", state, spec) != one


def test_a_head_travels_with_the_model_without_changing_its_fingerprint(tmp_path):
    state = dict(build_network("paper", 48, 16).state_dict())
    spec = ModelSpec("paper", 48, 16, "unit")
    bare = write_model(tmp_path / "bare", state, spec)
    state.update({"head.weight": torch.rand(3, 16), "head.bias": torch.rand(3)})
    fingerprint = write_model(
        tmp_path / "headed", state, replace(spec, head_classes=("anger", "happiness", "neutral"))
    )
    assert fingerprint == bare
    weight, bias = EmbeddingModel.load(tmp_path / "headed", "cpu").head
    np.testing.assert_array_equal(weight, state["head.weight"].numpy())
    np.testing.assert_array_equal(bias, state["head.bias"].numpy())


@pytest.mark.parametrize("half", [False, True])
def test_a_gallery_reads_back_as_written(tmp_path, gallery, half):
    gallery = replace(gallery, threshold=4.5)
    fingerprint = write_gallery(tmp_path / "g", gallery, half)
    read = read_gallery(tmp_path / "g")
    assert read.fingerprint == fingerprint
    assert (fingerprint == gallery.fingerprint) is (not half)
    np.testing.assert_allclose(read.embeddings, gallery.embeddings, rtol=1e-3)
    np.testing.assert_array_equal(read.labels, gallery.labels)
    np.testing.assert_array_equal(read.images, gallery.images)
    assert (read.classes, read.names, read.k, read.threshold) == (gallery.classes, gallery.names, 3, 4.5)


NAN_BIAS = np.full(16, np.nan, np.float32)


@pytest.mark.parametrize(
    "tensors, metadata, reason",
    [
        ({"embedding.bias": NAN_BIAS}, {}, "'embedding.bias' hold NaN"),
        ({"embedding.bias": np.zeros(16)}, {}, "'embedding.bias' are float64: expected float16 or float32"),
        ({"embedding.bias": np.zeros(16, np.complex64)}, {}, "'embedding.bias' are complex64"),
        ({"embedding.bias": np.zeros(7, np.float32)}, {}, r"embedding.bias is \(7,\), expected \(16,\)"),
        ({"embedding.bias": None}, {}, "embedding.bias is missing"),
        ({"surplus": np.zeros(1, np.float32)}, {}, "surplus is .*expected nothing of that name"),
        ({"head.bias": np.zeros(3, np.float32)}, {}, "head's tensors have shapes"),
        ({}, {"format": "siamese_emotion_ros/gallery/1"}, "expected a model file"),
        ({}, {"format": None}, "expected a model file"),
        ({}, {"architecture": "vgg"}, "unknown architecture 'vgg'"),
        ({}, {"input_size": "-3"}, "input_size is '-3'"),
        ({}, {"input_size": "\u00b2"}, "input_size is .*expected a whole number"),
        ({}, {"head_classes": '["fear", "fear"]'}, "head_classes are .*expected distinct labels"),
        ({}, {"input_size": "99999999"}, "expected 1 to 512"),
        ({}, {"embedding_dim": "x"}, "embedding_dim is 'x'"),
        ({}, {"scaling": None}, "no 'scaling'"),
        ({}, {"provenance": "[1]"}, "provenance in its metadata is .*1"),
        ({}, {"provenance": "{"}, "provenance in its metadata is not JSON"),
        ({}, {"provenance": '{"data": "\\u001b[2J"}'}, "provenance holds '.x1b.2J': expected text without control"),
        ({}, {"provenance": '{"\\ud800": "data"}'}, "provenance holds '.ud800': expected text"),
    ],
)
def test_a_wrong_model_is_refused_with_its_reason(tmp_path, model_path, tensors, metadata, reason):
    wrong = rewritten(model_path, tmp_path / "wrong.safetensors", tensors, metadata)
    with pytest.raises(ArtifactError, match=reason):
        EmbeddingModel.load(wrong, "cpu")


def test_a_network_that_the_file_only_claims_is_never_built(tmp_path, model_path, monkeypatch):
    """The paper's network for 512 pixels and 8192 dimensions takes 29 GB."""
    wrong = rewritten(model_path, tmp_path / "wrong", metadata={"input_size": "512", "embedding_dim": "8192"})
    monkeypatch.setattr(model, "build_network", None)
    with pytest.raises(ArtifactError, match=r"embedding.bias is \(16,\), expected \(8192,\)"):
        EmbeddingModel.load(wrong, "cpu")


@pytest.mark.parametrize(
    "tensors, metadata, reason",
    [
        ({"embeddings": np.full((30, 16), np.inf, np.float32)}, {}, "30 anchor.*NaN or infinity"),
        ({"embeddings": np.zeros((30, 16), np.int32)}, {}, "embeddings are int32"),
        ({"embeddings": np.full((30, 16), -1e20, np.float32)}, {}, "an embedding holds 1e.20: expected at most 1e.15"),
        ({"embeddings": np.zeros((29, 16), np.float32)}, {}, r"expected int64 \[29\]"),
        ({"embeddings": None}, {}, "no embeddings"),
        ({"labels": np.zeros(30, np.int64)}, {}, "no anchor for happiness, neutral"),
        ({"labels": np.full(30, 3)}, {}, "outside 0..2"),
        ({"images": np.zeros((2, 48, 48), np.uint8)}, {}, "images are uint8"),
        ({}, {"names": '["one"]'}, "1 names for 30 anchors"),
        ({}, {"classes": '["anger", "anger", "neutral"]'}, "distinct"),
        ({}, {"classes": '["anger", "unknown", "neutral"]'}, "none of them 'unknown'"),
        ({}, {"classes": "[1, 2, 3]"}, "list of strings"),
        ({}, {"classes": '["anger", "happi\\u0000ness", "neutral"]'}, "classes .* 'happi.x00ness': expected text"),
        ({}, {"names": json.dumps(["one\ntwo"] * 30)}, "names .* 'one.ntwo': expected text without control characters"),
        ({}, {"names": json.dumps(["\ud800"] * 30)}, "names .* '.ud800': expected text"),
        ({}, {"model": "abc\x1b[2J"}, "the model's fingerprint holds 'abc.x1b.2J': expected text"),
        ({}, {"threshold": "1" + "0" * 400}, r"threshold is above 1.79769e\+308"),
        ({}, {"k": "31"}, "k is 31: expected 1 to 30"),
        ({}, {"threshold": '"far"'}, "threshold in its metadata is .*far"),
        ({}, {"threshold": "-1"}, "above 0"),
        ({}, {"threshold": "nonsense"}, "not JSON"),
        ({}, {"model": None}, "no 'model'"),
    ],
)
def test_a_wrong_gallery_is_refused_with_its_reason(tmp_path, gallery_path, tensors, metadata, reason):
    wrong = rewritten(gallery_path, tmp_path / "wrong.safetensors", tensors, metadata)
    with pytest.raises(ArtifactError, match=reason):
        read_gallery(wrong)


@pytest.mark.parametrize("text", ["one\ntwo", "fr\udcfch.png"])
def test_no_gallery_is_made_that_could_be_written_and_not_be_read_again(gallery, text):
    names = (text, *gallery.names[1:])
    classes = (text, *gallery.classes[1:])
    for changes in ({"names": names}, {"classes": classes}):
        with pytest.raises(ValueError, match=f"{next(iter(changes))} holds .*: expected text without control"):
            replace(gallery, **changes)


def test_anchors_may_be_called_what_files_are_called(tmp_path, gallery_path):
    names = ["Bilder/Jörg und Zoë (2).png", r"C:\faces\a b.jpg", "顔/笑\u3000顔.png", "a\u00a0b\u200dc", ""] * 6
    read = read_gallery(rewritten(gallery_path, tmp_path / "named", metadata={"names": json.dumps(names)}))
    assert list(read.names) == names


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, gallery_path, keep):
    cut = tmp_path / "cut"
    cut.write_bytes(gallery_path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        read_gallery(cut)


def test_a_file_that_is_written_in_place_while_it_is_read_is_refused(tmp_path, gallery_path, monkeypatch):
    """Half an old and half a new gallery of one size would be a whole file to every other check."""
    path = tmp_path / "rewritten.safetensors"
    path.write_bytes(gallery_path.read_bytes())
    read_gallery(path)
    looked, fstat = [], os.fstat

    def look(handle):
        looked.append(handle)
        if len(looked) == 2:  # the content has just been read
            os.utime(path, ns=(1, 1))
        return fstat(handle)

    monkeypatch.setattr(artifacts.os, "fstat", look)
    with pytest.raises(ArtifactError, match="still being written: try again when it is whole"):
        read_gallery(path)


def test_something_else_altogether_is_refused(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n" * 100)
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        read_model(tmp_path / "photo.png")
    with pytest.raises(ArtifactError, match="no such model file"):
        read_model(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match="is a folder: name a gallery file in it"):
        read_gallery(tmp_path)


def test_a_header_without_metadata_and_tensors_of_other_types_are_refused(tmp_path):
    header = b'{"__metadata__":null}'
    (tmp_path / "null").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ArtifactError, match="its format is None"):
        read_model(tmp_path / "null")
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (tmp_path / "bfloat").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(ArtifactError, match="tensors of type BF16: expected float16, float32"):
        read_model(tmp_path / "bfloat")


def test_a_name_that_is_too_long_is_refused_as_any_other():
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_model("x" * 5000)


def test_a_network_that_cannot_be_computed_here_is_refused_with_a_remedy(model_path, monkeypatch):
    loaded = EmbeddingModel.load(model_path, "cpu", "fp16")

    def fail(_):
        raise RuntimeError('"slow_conv2d_cpu" not implemented for \'Half\'')

    monkeypatch.setattr(loaded, "embed_preprocessed", fail)
    with pytest.raises(ArtifactError, match="cannot be computed on cpu in fp16 .*Half.*: use precision fp32"):
        loaded.warm_up()


def test_a_gallery_that_could_not_be_read_again_is_not_written(tmp_path, gallery, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="30 anchors take .* a gallery file has at most 1000; condense it"):
        write_gallery(tmp_path / "large.safetensors", gallery)
    assert not list(tmp_path.iterdir())


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(artifacts.MAX_BYTES + 1)
    with pytest.raises(ArtifactError, match="at most"):
        read_gallery(tmp_path / "huge")


def test_unusable_weights_are_not_written(tmp_path):
    state = dict(build_network("paper", 48, 16).state_dict())
    state["embedding.bias"] = torch.full((16,), 1e5)
    with pytest.raises(ValueError, match="'embedding.bias' hold NaN or infinity"):
        write_model(tmp_path / "m", state, ModelSpec("paper", 48, 16, "unit"), half=True)
    assert not (tmp_path / "m").exists()


def test_models_of_other_weights_have_other_fingerprints(tmp_path, write_random_model):
    one, other = (read_model(write_random_model(tmp_path / str(seed), seed)) for seed in (1, 2))
    assert one.fingerprint != other.fingerprint
