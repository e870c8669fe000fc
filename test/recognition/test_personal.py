import numpy as np
import pytest

from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.personal import MAX_PEOPLE, PersonalNeutrals
from siamese_emotion_ros.recognition.recognizer import Recognizer


@pytest.fixture
def plane():
    """Neutral around (0, 0), happiness around (4, 0), anger around (0, 4)."""
    random = np.random.default_rng(2)
    centres = np.repeat([[0, 0], [4, 0], [0, 4]], 20, axis=0)
    return Gallery(
        embeddings=(centres + random.normal(0, 0.3, (60, 2))).astype(np.float32),
        labels=np.repeat(np.arange(3), 20), classes=("neutral", "happiness", "anger"),
        names=tuple(f"anchor{i}" for i in range(60)), model_fingerprint="m", k=5,
    )


#: Somebody whose resting face looks like anger to everybody else.
OWN = np.array([0.2, 3.5], np.float32)


class Model:
    fingerprint, embedding_dim = "m", 2


def labels_of(gallery, embeddings):
    return [answer.label for answer in Recognizer(Model(), gallery).recognize_embeddings(embeddings)]


def test_who_looks_angry_at_rest_is_neutral_at_rest_and_happy_when_smiling(plane):
    random = np.random.default_rng(3)
    resting = (OWN + random.normal(0, 0.2, (10, 2))).astype(np.float32)
    smiling = resting + np.array([4, 0], np.float32)
    assert set(labels_of(plane, resting)) == {"anger"}
    neutrals = PersonalNeutrals().within(plane).learn(7, resting[:5])
    ids = [7] * 10
    assert set(labels_of(plane, neutrals.corrected(ids, resting))) == {"neutral"}
    moved = np.linalg.norm(resting - neutrals.corrected(ids, resting), axis=1)
    np.testing.assert_allclose(moved, neutrals.distance(7), rtol=1e-4)
    assert neutrals.distance(8) == 0
    assert set(labels_of(plane, neutrals.corrected(ids, smiling))) == {"happiness"}
    assert np.linalg.norm(neutrals.offset(7)) == pytest.approx(3.5, abs=0.3)


def test_nobody_else_is_touched(plane):
    embeddings = np.arange(6, dtype=np.float32).reshape(3, 2)
    neutrals = PersonalNeutrals().within(plane)
    assert neutrals.corrected([1, 2, 3], embeddings) is embeddings
    neutrals = neutrals.learn(2, OWN[None])
    corrected = neutrals.corrected([1, 2, 3], embeddings)
    np.testing.assert_array_equal(corrected[[0, 2]], embeddings[[0, 2]])
    np.testing.assert_allclose(corrected[1], embeddings[1] - OWN + plane.embeddings[:20].mean(axis=0), rtol=1e-6)


def test_the_correction_follows_the_gallery_and_rests_where_there_is_no_neutral(plane):
    neutrals = PersonalNeutrals().within(plane).learn(2, OWN[None])
    shifted = Gallery(
        embeddings=plane.embeddings + 1, labels=plane.labels, classes=plane.classes, names=plane.names,
        model_fingerprint="m", k=5,
    )
    np.testing.assert_allclose(neutrals.within(shifted).offset(2), neutrals.offset(2) - 1, atol=1e-6)
    without = neutrals.within(plane.restrict(["happiness", "anger"]))
    embeddings = np.ones((1, 2), np.float32)
    assert without.corrected([2], embeddings) is embeddings
    np.testing.assert_array_equal(without.within(plane).offset(2), neutrals.offset(2))


def test_the_last_calibration_of_a_face_counts_and_the_oldest_people_are_forgotten(plane):
    neutrals = PersonalNeutrals().within(plane)
    for face_id in range(1, MAX_PEOPLE + 1):
        neutrals = neutrals.learn(face_id, OWN[None])
    neutrals = neutrals.learn(1, OWN[None] + 1).learn(1000, OWN[None])
    assert len(neutrals) == MAX_PEOPLE
    assert neutrals.offset(2) is None and neutrals.offset(1000) is not None
    np.testing.assert_allclose(neutrals.offset(1), neutrals.offset(3) + 1, rtol=1e-5)
