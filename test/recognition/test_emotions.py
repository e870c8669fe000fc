"""Names of emotions, however a data set spells them."""
from __future__ import annotations

import pytest

from siamese_emotion_ros.recognition.emotions import EIGHT, ROS4HRI, SET_A, SET_B, SEVEN, canonical, parse_label_set


@pytest.mark.parametrize(
    "spelling, label", [("Happy", "happiness"), ("AF", "fear"), (" sad ", "sadness"), ("anger", "anger")]
)
def test_spellings_have_one_canonical_label(spelling, label):
    assert canonical(spelling) == label


@pytest.mark.parametrize("word", ROS4HRI.values())
def test_every_ros4hri_word_is_understood(word):
    assert ROS4HRI[canonical(word)] == word


def test_an_unknown_emotion_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown emotion 'bored'.*anger, contempt"):
        canonical("bored")


def test_label_sets_by_name_and_by_list():
    assert [parse_label_set(name) for name in ("a", "B", "seven", "eight")] == [SET_A, SET_B, SEVEN, EIGHT]
    assert parse_label_set("happy, AF,neutral") == ("happiness", "fear", "neutral")


@pytest.mark.parametrize("text", ["", "anger", "anger,angry", "anger,bored"])
def test_a_label_set_needs_two_distinct_emotions(text):
    with pytest.raises(ValueError, match="expected|named twice|at least two"):
        parse_label_set(text)
