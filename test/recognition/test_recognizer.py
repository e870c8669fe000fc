"""A face goes in and an emotion comes out: embedding, vote, threshold, and a snapshot that cannot be mixed up."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from siamese_emotion_ros.recognition.calibration import threshold_keeping
from siamese_emotion_ros.recognition.condensation import condense
from siamese_emotion_ros.recognition.emotions import UNKNOWN
from siamese_emotion_ros.recognition.gallery import Gallery, build_gallery, reembed
from siamese_emotion_ros.recognition.model import FACES_AT_ONCE, EmbeddingModel, choose_device
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

CLASSES = ("anger", "happiness", "neutral")


def made_up_gallery(model, embeddings, labels, k=1, **changes):
    """A gallery of given embeddings (padded with zeros to the model's dimension) over CLASSES."""
    padded = np.zeros((len(embeddings), model.embedding_dim), np.float32)
    padded[:, : np.shape(embeddings)[1]] = embeddings
    names = tuple(f"anchor{i}" for i in range(len(labels)))
    return Gallery(padded, np.array(labels), CLASSES, names, model.fingerprint, k, **changes)


def at(model, *coordinates):
    """A query embedding [1, D] that starts with these coordinates."""
    query = np.zeros((1, model.embedding_dim), np.float32)
    query[0, : len(coordinates)] = coordinates
    return query


def test_each_anchor_face_is_its_own_nearest_neighbor(model, gallery):
    anchors_as_stored = list(gallery.images)
    for index, result in enumerate(Recognizer(model, gallery).recognize(anchors_as_stored)):
        assert result.neighbor_names[0] == f"face{index}"
        assert result.neighbor_distances[0] == pytest.approx(0, abs=0.05 * result.neighbor_distances[-1] + 1e-4)


@pytest.mark.parametrize("image_size", [32, 48, 64])
def test_a_gallery_with_images_has_the_embeddings_of_these_images(model, faces, image_size):
    labels, names = np.arange(len(faces)) % 3, [str(index) for index in range(len(faces))]
    built = build_gallery(model, faces, labels, CLASSES, names, k=3, image_size=image_size)
    assert reembed(built, model).fingerprint == built.fingerprint


def test_a_result_is_consistent_with_itself(model, gallery, faces):
    recognizer = Recognizer(model, gallery, Settings(k=7))
    for result in recognizer.recognize(faces):
        assert np.all(np.diff(result.neighbor_distances) >= 0)
        assert result.class_scores.sum() == pytest.approx(1)
        assert result.confidence == result.class_scores.max()
        assert result.label == recognizer.classes[int(np.argmax(result.class_scores))] or (
            np.sum(result.class_scores == result.class_scores.max()) > 1
        )
        for label, share in zip(recognizer.classes, result.class_scores):
            assert share == pytest.approx(result.neighbor_labels.count(label) / 7)
        assert result.class_distances.min() == pytest.approx(result.neighbor_distances[0], rel=1e-5)


def test_the_majority_of_the_neighbors_names_the_face(model):
    gallery = made_up_gallery(model, [[0.0], [1.0], [1.1], [9.0]], [0, 1, 1, 2], k=3)
    (result,) = Recognizer(model, gallery).recognize_embeddings(at(model, 0.1))
    assert (result.label, result.neighbor_labels) == ("happiness", ("anger", "happiness", "happiness"))
    assert result.confidence == pytest.approx(2 / 3)
    assert result.class_distances == pytest.approx([0.1, 0.9, 8.9], rel=1e-5)


def test_a_face_beyond_the_threshold_is_unknown(model):
    gallery = made_up_gallery(model, [[0.0], [5.0], [9.0]], [0, 1, 2], threshold=2.0)
    near, far = (Recognizer(model, gallery).recognize_embeddings(at(model, x))[0] for x in (1.9, 2.4))
    assert near.label == "anger"
    assert (far.label, far.confidence) == (UNKNOWN, 0.0)
    assert far.neighbor_labels == ("anger",)

    ever_known = Recognizer(model, gallery, Settings(distance_threshold=float("inf")))
    assert ever_known.recognize_embeddings(at(model, 2.4))[0].label == "anger"
    stricter = Recognizer(model, gallery, Settings(distance_threshold=1.0))
    assert stricter.recognize_embeddings(at(model, 1.9))[0].label == UNKNOWN


def test_no_face_gives_no_result(model, gallery):
    assert Recognizer(model, gallery).recognize([]) == []


def test_a_gallery_of_another_model_is_refused_naming_both(gallery, tmp_path, write_random_model):
    other = EmbeddingModel.load(write_random_model(tmp_path / "other", seed=9), "cpu")
    with pytest.raises(ValueError, match=f"{gallery.model_fingerprint[:12]}.*{other.fingerprint[:12]}.*together"):
        Recognizer(other, gallery)


def test_a_gallery_of_another_dimension_is_refused(model, gallery):
    with pytest.raises(ValueError, match="embeddings have 15 dimensions, the model's 16: build the gallery"):
        Recognizer(model, replace(gallery, embeddings=gallery.embeddings[:, 1:]))


@pytest.mark.parametrize("k", [0, 31])
def test_more_neighbors_than_anchors_are_refused_and_none_too(model, gallery, k):
    with pytest.raises(ValueError, match=f"k is {k}: expected 1 to 30"):
        Recognizer(model, gallery, Settings(k=k))


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_no_distance_is_refused(threshold):
    with pytest.raises(ValueError, match="distance_threshold is .*: expected a distance above 0"):
        Settings(distance_threshold=threshold)


def test_a_face_as_far_as_the_threshold_is_known(model):
    gallery = made_up_gallery(model, [[0.0], [5.0], [9.0]], [0, 1, 2], threshold=2.0)
    assert Recognizer(model, gallery).recognize_embeddings(at(model, 2.0))[0].label == "anger"


def test_a_gallery_with_images_follows_another_model(gallery, faces, tmp_path, write_random_model):
    other = EmbeddingModel.load(write_random_model(tmp_path / "other", seed=9), "cpu")
    followed = reembed(gallery, other)
    assert Recognizer(other, followed).recognize(faces[:1])[0].neighbor_names[0] == "face0"
    with pytest.raises(ValueError, match="embeddings only"):
        reembed(replace(gallery, images=None), other)


def test_restricting_keeps_the_anchors_of_the_classes_in_the_order_asked(gallery):
    restricted = gallery.restrict(("neutral", "anger"))
    assert restricted.classes == ("neutral", "anger") and len(restricted) == 20
    assert all(
        (gallery.classes[gallery.labels[int(name[4:])]]) == restricted.classes[label]
        for name, label in zip(restricted.names, restricted.labels)
    )
    with pytest.raises(ValueError, match="no fear"):
        gallery.restrict(("fear", "anger"))


@pytest.mark.parametrize("method", ["kmeans", "random"])
def test_condensing_keeps_proportions_and_every_class(model, method):
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 39, 1])
    gallery = made_up_gallery(model, random.normal(size=(100, 4)), labels)
    assert condense(gallery, 10, method).counts.tolist() == [6, 3, 1]
    assert condense(gallery, 10, method, balance=1.0).counts.tolist() == [3, 3, 1]
    half_way = condense(gallery, 10, method, balance=0.5).counts.tolist()
    assert 3 < half_way[0] < 6 and half_way[2] == 1
    with pytest.raises(ValueError, match="balance is 1.5"):
        condense(gallery, 10, method, balance=1.5)
    with pytest.raises(ValueError, match="anchors is 2: expected at least 3"):
        condense(gallery, 2, method)


@pytest.mark.parametrize("method", ["kmeans", "random"])
def test_condensing_keeps_every_class_small_and_near_its_own(gallery, method):
    condensed = condense(gallery, 12, method)
    assert condensed.counts.tolist() == [4, 4, 4]
    assert condense(gallery, 12, method).fingerprint == condensed.fingerprint
    low, high = gallery.embeddings.min(axis=0), gallery.embeddings.max(axis=0)
    assert np.all(condensed.embeddings >= low - 1e-5) and np.all(condensed.embeddings <= high + 1e-5)
    if method == "random":
        assert set(condensed.names) < set(gallery.names)


def test_threshold_keeps_the_share_of_right_answers_that_was_asked(model):
    gallery = made_up_gallery(model, [[0.0], [100.0], [-100.0]], [0, 1, 2])
    queries = np.concatenate([at(model, float(x)) for x in range(1, 11)] + [at(model, 99.0)] * 10)
    labels = np.array([0] * 10 + [2] * 10)  # the latter lie beside an anchor of another label, and count for nothing
    threshold = threshold_keeping(0.8, gallery, queries, labels)
    recognizer = Recognizer(model, replace(gallery, threshold=threshold))
    known = [result.label != UNKNOWN for result in recognizer.recognize_embeddings(queries[:10])]
    assert sum(known) == 8
    with pytest.raises(ValueError, match="none of 1"):
        threshold_keeping(0.8, gallery, at(model, 99.0), np.array([2]))


@pytest.mark.parametrize("count", [5, 10, 30])
def test_of_few_faces_no_fewer_than_the_share_are_kept(model, count):
    gallery = made_up_gallery(model, [[0.0], [100.0], [-100.0]], [0, 1, 2])
    queries = np.concatenate([at(model, float(x)) for x in range(1, count + 1)])
    threshold = threshold_keeping(0.95, gallery, queries, np.zeros(count, np.int64))
    recognizer = Recognizer(model, replace(gallery, threshold=threshold))
    known = [result.label != UNKNOWN for result in recognizer.recognize_embeddings(queries)]
    assert 0.95 <= np.mean(known) < 0.95 + 1 / count


def test_images_beyond_what_a_gallery_file_holds_are_refused_before_they_are_made(model, faces):
    with pytest.raises(ValueError, match="images of 100000x100000 pixels: expected at most"):
        build_gallery(model, faces[:3], np.arange(3), CLASSES, ("a", "b", "c"), k=1, image_size=100_000)


def test_many_faces_embed_like_one_at_a_time(model, faces):
    many = [faces[i % len(faces)] for i in range(FACES_AT_ONCE + 5)]
    together = model.embed(many)
    assert together.shape == (FACES_AT_ONCE + 5, 16) and together.dtype == np.float32
    np.testing.assert_allclose(together[-1:], model.embed(many[-1:]), rtol=1e-3, atol=1e-4)
    assert model.embed([]).shape == (0, 16)


def test_half_precision_embeds_like_full(model_path, model, faces):
    half = EmbeddingModel.load(model_path, "cpu", "fp16").embed(faces[:4])
    full = model.embed(faces[:4])
    np.testing.assert_allclose(half, full, atol=0.01 * np.abs(full).max())


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:x", ""])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match="device is"):
        choose_device(device)


def test_an_unknown_precision_is_refused(model_path):
    with pytest.raises(ValueError, match="precision is 'int4': expected one of fp32, fp16"):
        EmbeddingModel.load(model_path, "cpu", "int4")


def test_the_search_is_the_one_that_the_settings_name(model, gallery, faces):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    exact, ivf, hnsw = (Recognizer(model, gallery, Settings(search=name)) for name in ("exact", "ivf", "hnsw"))
    for one, *others in zip(*(recognizer.recognize(faces[:5]) for recognizer in (exact, ivf, hnsw))):
        assert [other.neighbor_names[0] for other in others] == 2 * [one.neighbor_names[0]]
    assert exact.recall == ivf.recall == hnsw.recall == 1, "so few anchors are all measured"
    with pytest.raises(ValueError, match="search is 'fast': expected one of exact, ivf, hnsw"):
        Recognizer(model, gallery, Settings(search="fast"))
