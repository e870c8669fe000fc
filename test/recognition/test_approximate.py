"""The approximate search against the exact one, on embeddings that lie in clusters as those of faces do."""
from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from siamese_emotion_ros.recognition import approximate
from siamese_emotion_ros.recognition.approximate import ApproximateAnchors, anchors_for, measured_recall
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.neighbors import NearestAnchors
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings


def clustered(count, seed):
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(0).normal(size=(30, 16))
    labels = random.integers(0, 3, count)
    return (middles[random.integers(0, 30, count)] + 0.3 * random.normal(size=(count, 16))).astype(np.float32), labels


@pytest.fixture(scope="module")
def anchors():
    return clustered(6000, 1)


SEARCHES = pytest.mark.parametrize("search", ["ivf", "hnsw"])


@SEARCHES
def test_it_finds_nearly_all_and_never_a_nearer_one(anchors, monkeypatch, search):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    monkeypatch.setattr(approximate, "FEWEST_TO_APPROXIMATE", 500)
    embeddings, labels = anchors
    queries, _ = clustered(200, 2)
    exact = NearestAnchors(embeddings, labels, 3).query(queries, 10)
    found = ApproximateAnchors(embeddings, labels, 3, search).query(queries, 10)
    recall = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(exact[1], found[1])])
    assert recall > 0.9
    assert (found[0] >= exact[0] - 1e-4).all()
    assert (np.diff(found[0], axis=1) >= 0).all()
    measured = np.linalg.norm(embeddings[found[1]] - queries[:, None], axis=2)
    np.testing.assert_allclose(found[0], measured, atol=1e-3)
    for label in range(3):
        nearest = np.linalg.norm(embeddings[labels == label][None] - queries[:, None], axis=2).min(axis=1)
        assert (found[2][:, label] >= nearest - 1e-3).all()
        assert np.mean(np.isclose(found[2][:, label], nearest, atol=1e-3)) > 0.9


@SEARCHES
def test_a_small_gallery_is_answered_exactly(anchors, search):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    embeddings, labels = anchors
    queries, _ = clustered(20, 3)
    for one, other in zip(NearestAnchors(embeddings, labels, 3).query(queries, 7),
                          anchors_for(search, embeddings, labels, 3).query(queries, 7)):
        np.testing.assert_allclose(one, other, atol=2e-3)


@SEARCHES
def test_all_anchors_can_be_asked_for(anchors, monkeypatch, search):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    monkeypatch.setattr(approximate, "FEWEST_TO_APPROXIMATE", 500)
    embeddings, labels = anchors
    _, indices, _ = ApproximateAnchors(embeddings, labels, 3, search).query(embeddings[:2], len(embeddings))
    assert all(sorted(row) == list(range(len(embeddings))) for row in indices.tolist())


@SEARCHES
def test_the_recall_is_the_share_of_the_other_anchors_that_are_found(anchors, monkeypatch, search):
    pytest.importorskip("faiss", reason="approximate search needs faiss")
    embeddings, labels = anchors
    whole = ApproximateAnchors(embeddings, labels, 3, search)
    assert measured_recall(whole, embeddings, labels, 3, 10) == 1, "each class is measured whole"
    monkeypatch.setattr(approximate, "FEWEST_TO_APPROXIMATE", 500)
    for name, value in (("MIN_NPROBE", 1), ("NPROBE_SHARE", 0), ("MIN_EF_SEARCH", 1), ("EF_SEARCH_PER_K", 0)):
        monkeypatch.setattr(approximate, name, value)
    hasty = ApproximateAnchors(embeddings, labels, 3, search)
    recall = measured_recall(hasty, embeddings, labels, 3, 10)
    sample = np.arange(0, 6000, 30)
    wanted, found = (who.query(embeddings[sample], 11)[1] for who in (NearestAnchors(embeddings, labels, 3), hasty))
    own = np.mean([len(set(one) & set(other)) - (row in other) for row, one, other in zip(sample, wanted, found)]) / 10
    assert recall < 1 and recall == pytest.approx(own, abs=0.06)
    assert measured_recall(whole, embeddings[:1], labels[:1], 3, 10) == 1
    names = tuple(map(str, range(len(labels))))
    gallery = Gallery(embeddings, labels, ("anger", "fear", "neutral"), names, "model", k=10)
    model = SimpleNamespace(fingerprint="model", embedding_dim=16)
    assert Recognizer(model, gallery, Settings(search=search)).recall == pytest.approx(recall, abs=0.06)


def test_a_search_that_cannot_be_is_refused(anchors, monkeypatch):
    embeddings, labels = anchors
    with pytest.raises(ValueError, match="search is 'fast': expected one of exact, ivf, hnsw"):
        anchors_for("fast", embeddings, labels, 3)
    monkeypatch.setitem(sys.modules, "faiss", None)
    for search in ("ivf", "hnsw"):
        with pytest.raises(ValueError, match=f"search is '{search}', which needs faiss: pip install"):
            anchors_for(search, embeddings, labels, 3)
    assert anchors_for("exact", embeddings, labels, 3).query(embeddings[:1], 1)[1][0, 0] == 0
