"""ONNX export: the same embeddings, any batch size, and a check that notices when they differ."""
from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")

from siamese_emotion_ros.evaluation.onnx_export import TOLERANCE, largest_difference, to_onnx  # noqa: E402
from siamese_emotion_ros.recognition.artifacts import ArtifactError  # noqa: E402
from siamese_emotion_ros.recognition.preprocessing import preprocess  # noqa: E402


@pytest.fixture(scope="module")
def exported(stored):
    return to_onnx(stored)


def test_a_face_has_the_embedding_that_torch_gives_it(exported, model, make_faces):
    faces = make_faces(2).faces
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(["embeddings"], {"faces": preprocess(faces, 48, "unit")})
    np.testing.assert_allclose(embeddings, model.embed(faces), atol=TOLERANCE)
    assert embeddings.shape == (6, 32)


def test_a_model_without_one_of_its_weights_is_refused(stored):
    weights = {name: array for name, array in stored.weights.items() if name != "embedding.bias"}
    with pytest.raises(ArtifactError, match="embedding.bias is missing"):
        to_onnx(stored._replace(weights=weights))


def test_the_difference_is_measured(exported, model):
    assert largest_difference(exported, model) < TOLERANCE


def test_another_networks_embeddings_are_noticed(exported, model):
    graph = onnx.load_from_string(exported)
    for tensor in graph.graph.initializer:
        if list(tensor.dims) == [32, 256]:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[3] += 1.0
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert largest_difference(graph.SerializeToString(), model) > 100 * TOLERANCE


def test_the_file_says_how_to_feed_it(exported, stored):
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(exported).metadata_props}
    assert metadata["fingerprint"] == stored.fingerprint
    assert (metadata["input_size"], metadata["scaling"]) == ("48", "unit")


def test_the_graph_holds_layers_only(exported):
    kinds = {node.op_type for node in onnx.load_from_string(exported).graph.node}
    assert kinds <= {"Conv", "MaxPool", "Relu", "Flatten", "Gemm", "Slice", "Constant", "Identity"}
