"""Whole evaluations of a random network: separable faces, shuffled labels, thresholds, a head, FER+ votes, anchors."""
from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from siamese_emotion_ros.datasets.ferplus import VOTE_COLUMNS
from siamese_emotion_ros.evaluation.anchors import (
    gallery_of_faces,
    narrowed,
    queries_among_anchors,
    shared_classes,
    without_queries,
)
from siamese_emotion_ros.evaluation.answers import answers_of_head, answers_of_neighbors
from siamese_emotion_ros.evaluation.measurement import measure
from siamese_emotion_ros.evaluation.mistakes import worst_mistakes
from siamese_emotion_ros.recognition.artifacts import HEAD_BIAS, HEAD_WEIGHT, StoredModel
from siamese_emotion_ros.recognition.embedding import embed_faces
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

QUICK = {"replicates": 200, "pairs": 500}


@pytest.fixture(scope="module")
def anchors(make_faces):
    return make_faces(8, seed=1)


@pytest.fixture(scope="module")
def gallery(model, anchors):
    return gallery_of_faces(model, anchors, k=3)


@pytest.fixture(scope="module")
def queries(make_faces):
    return make_faces(10, seed=2)


@pytest.fixture(scope="module")
def separable(model, gallery, queries):
    return measure(model, gallery, Settings(), queries, **QUICK)


def shuffled(faces, seed=0):
    return dataclasses.replace(faces, labels=np.random.default_rng(seed).permutation(faces.labels))


def test_separable_faces_are_all_named_rightly(separable):
    figures = separable.figures
    for name in ("top1", "macro_f1", "balanced_accuracy", "mean_one_vs_rest", "accuracy_when_known", "coverage"):
        assert figures[name] == 1.0
    assert figures["n"] == 30
    assert figures["unknown_rate"] == 0
    assert figures["verification"]["equal_error_rate"] < 0.05
    assert figures["confusion"]["counts"] == [[10, 0, 0, 0], [0, 10, 0, 0], [0, 0, 10, 0]]
    assert worst_mistakes(separable.faces, separable.answers) == []


def test_shuffled_labels_are_met_by_chance(model, gallery, make_faces):
    figures = measure(model, gallery, Settings(), shuffled(make_faces(25, seed=4)), **QUICK).figures
    assert figures["top1"] == pytest.approx(1 / 3, abs=0.17)
    low, high = figures["confidence_intervals"]["top1"]
    assert low <= figures["top1"] <= high
    assert figures["verification"]["equal_error_rate"] == pytest.approx(0.5, abs=0.1)


def test_same_seed_same_figures(model, gallery, queries, separable):
    again = measure(model, gallery, Settings(), queries, **QUICK)
    assert again.figures == separable.figures


def test_the_answers_are_the_recognizers(model, gallery, queries):
    embeddings = embed_faces(model, queries.faces)
    nearest = Recognizer(model, gallery).recognize_embeddings(embeddings)
    threshold = float(np.median([result.neighbor_distances[0] for result in nearest]))
    settings = Settings(k=5, distance_threshold=threshold)
    answers = answers_of_neighbors(model, gallery, settings, embeddings, queries.labels)
    labels = [(*gallery.classes, "unknown")[given] for given in answers.given]
    deployed = Recognizer(model, gallery, settings).recognize_embeddings(embeddings)
    assert labels == [result.label for result in deployed]
    assert 0 < labels.count("unknown") < len(labels)
    for confidence, known, result in zip(answers.confidence, answers.known, deployed):
        assert result.confidence == (confidence if known else 0)


def test_a_threshold_turns_far_faces_into_unknown_ones(model, gallery, queries):
    measured = measure(model, gallery, Settings(distance_threshold=1e-6), queries, **QUICK)
    figures = measured.figures
    assert figures["unknown_rate"] == 1
    assert figures["top1"] == 0
    assert figures["top1_without_threshold"] == 1
    assert figures["accuracy_when_known"] is None
    assert figures["threshold"] == 1e-6
    assert worst_mistakes(measured.faces, measured.answers) == []


def test_the_gallerys_own_threshold_and_k_are_used_unless_told_otherwise(model, gallery, queries):
    strict = dataclasses.replace(gallery, threshold=1e-6)
    assert measure(model, strict, Settings(), queries, **QUICK).figures["unknown_rate"] == 1
    free = measure(model, strict, Settings(k=7, distance_threshold=math.inf), queries, **QUICK).figures
    assert free["unknown_rate"] == 0
    assert free["threshold"] is None
    assert free["k"] == 7


def with_head(stored, classes, weight, bias):
    weights = {**stored.weights, HEAD_WEIGHT: weight.astype(np.float32), HEAD_BIAS: bias.astype(np.float32)}
    return EmbeddingModel(
        StoredModel(dataclasses.replace(stored.spec, head_classes=classes), weights, stored.fingerprint), "cpu"
    )


def test_a_head_is_measured_beside_the_neighbours(stored, gallery, queries):
    # A head that always says the second of its own classes, whatever their order in the gallery.
    head = with_head(stored, ("sadness", "happiness", "anger"), np.zeros((3, 32)), np.array([0.0, 9.0, 0.0]))
    figures = measure(head, gallery, Settings(), queries, **QUICK).figures
    assert figures["top1"] == 1
    assert figures["head"]["top1"] == pytest.approx(1 / 3)
    assert figures["head"]["per_class"]["happiness"]["TP"] == 10
    assert figures["head"]["unknown_curve"] is None


def test_a_head_chooses_among_the_classes_asked_about(stored):
    bias = np.array([0.0, 1.0, 9.0])
    head = with_head(stored, ("sadness", "happiness", "disgust"), np.zeros((3, 32)), bias)
    answers = answers_of_head(head, ("happiness", "sadness"), np.zeros((1, 32), np.float32), np.array([0]))
    assert answers.decided.tolist() == [0]
    assert answers.confidence[0] == pytest.approx(math.e / (1 + math.e))
    assert answers_of_head(head, ("anger", "sadness"), np.zeros((1, 32), np.float32), np.array([0])) is None


def test_only_the_gallerys_emotions_are_asked_about(model, gallery, queries):
    figures = measure(model, gallery.restrict(("sadness", "anger")), Settings(), queries, **QUICK).figures
    assert figures["n"] == 20
    assert figures["classes"] == ["sadness", "anger"]
    assert figures["confusion"]["counts"] == [[10, 0, 0], [0, 10, 0]]


def test_a_class_of_the_gallerys_own_can_be_answered_and_is_never_asked_about(model, gallery, queries):
    own = dataclasses.replace(gallery, classes=("confused", *gallery.classes[1:]))
    figures = measure(model, own, Settings(), queries, **QUICK).figures
    assert (figures["n"], figures["top1"], figures["gallery_id"]) == (20, 1.0, own.fingerprint)
    assert figures["confusion"]["counts"] == [[0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 10, 0]]
    with pytest.raises(ValueError, match="no face is labelled confused"):
        measure(model, own.restrict(("confused",)), Settings(), queries, **QUICK)


def votes_for(label, count):
    row = np.zeros(len(VOTE_COLUMNS), np.uint8)
    row[VOTE_COLUMNS.index(label)] = count
    row[VOTE_COLUMNS.index("unknown")] = 10 - count
    return row


def test_ferplus_labels_are_columns_of_their_own(model, gallery, make_faces):
    # Its own labels call the last ten faces sad; the voters call five of them angry (6 of 10), five sad (9 of 10),
    # and the first twenty what they are (10 of 10).
    faces = make_faces(10, seed=5)
    votes = [votes_for("anger", 10)] * 10 + [votes_for("happiness", 10)] * 10
    votes += [votes_for("anger", 6)] * 5 + [votes_for("sadness", 9)] * 5
    figures = measure(model, gallery, Settings(), dataclasses.replace(faces, votes=np.stack(votes)), **QUICK).figures
    assert figures["top1"] == 1
    columns = figures["label_columns"]
    assert columns["ferplus_majority"]["n"] == 30
    assert columns["ferplus_majority"]["top1"] == pytest.approx(25 / 30)
    assert columns["ferplus_consensus"]["n"] == 25
    assert columns["ferplus_consensus"]["top1"] == 1


def test_a_face_of_another_emotion_counts_where_the_voters_make_it_one_that_is_asked_about(model, gallery, make_faces):
    faces = make_faces(2, seed=6)
    votes = np.stack([votes_for("anger", 10)] * 2 + [votes_for("happiness", 10)] * 2 + [votes_for("anger", 10)] * 2)
    two = gallery.restrict(("anger", "happiness"))
    figures = measure(model, two, Settings(), dataclasses.replace(faces, votes=votes), **QUICK).figures
    assert figures["n"] == 4
    assert figures["label_columns"]["ferplus_majority"]["n"] == 6


def test_queries_are_found_among_the_images_of_a_gallery_of_another_size(make_faces, model, anchors):
    size = anchors.faces[0].shape[0] // 2
    small = build_gallery(
        model, anchors.faces, anchors.labels, anchors.classes, anchors.names, k=3, image_size=size
    )
    assert queries_among_anchors(small, anchors.faces, model.embed(anchors.faces)) == 24
    others = make_faces(8, seed=9)
    assert queries_among_anchors(small, others.faces, model.embed(others.faces)) == 0


def test_no_face_of_the_asked_emotions_is_an_error(model, gallery, queries):
    only_sad = queries.select(queries.labels == 2)
    with pytest.raises(ValueError, match="no face is labelled anger or happiness"):
        measure(model, gallery.restrict(("anger", "happiness")), Settings(), only_sad, **QUICK)


def test_queries_that_are_anchors_are_counted_and_left_out(make_faces, model, anchors, gallery):
    assert queries_among_anchors(gallery, anchors.faces, model.embed(anchors.faces)) == 24
    namesakes = make_faces(8, seed=9)
    assert queries_among_anchors(gallery, namesakes.faces, model.embed(namesakes.faces)) == 0
    other_names = dataclasses.replace(anchors.select(range(5)), names=tuple("abcde"))
    assert queries_among_anchors(gallery, other_names.faces, model.embed(other_names.faces)) == 5
    kept, left = without_queries(anchors, other_names)
    assert left == 5
    assert kept.names == anchors.names[5:]


def test_classes_that_both_sides_have(make_faces, gallery):
    faces = make_faces(2)
    assert shared_classes(("neutral", "sadness", "anger"), faces) == ("sadness", "anger")
    with pytest.raises(ValueError, match="at least two"):
        shared_classes(("neutral", "anger"), faces)
    assert narrowed(gallery, gallery.classes) is gallery


def test_progress_ends_with_every_face(model, queries):
    calls = []
    embed_faces(model, queries.faces, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (30, 30)
