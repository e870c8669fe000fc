"""The names of emotions: canonical labels, the paper's label sets, and the words of data sets and ROS4HRI."""
from __future__ import annotations

from typing import Dict, Sequence, Tuple

EIGHT: Tuple[str, ...] = (
    "anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
)
SEVEN: Tuple[str, ...] = tuple(label for label in EIGHT if label != "contempt")

#: The five-emotion sets of the paper's two networks, in the paper's order.
SET_A: Tuple[str, ...] = ("anger", "happiness", "surprise", "neutral", "fear")
SET_B: Tuple[str, ...] = ("anger", "happiness", "surprise", "neutral", "sadness")

LABEL_SETS: Dict[str, Tuple[str, ...]] = {"a": SET_A, "b": SET_B, "seven": SEVEN, "eight": EIGHT}

#: Published when the nearest anchor is farther than the gallery's threshold; never a class of a gallery.
UNKNOWN = "unknown"

#: Every spelling that is understood, beside the canonical one: English adjectives, KDEF's codes, REP-155's words.
ALIASES: Dict[str, str] = {
    "angry": "anger", "an": "anger",
    "disgusted": "disgust", "di": "disgust",
    "afraid": "fear", "af": "fear", "fearful": "fear", "scared": "fear",
    "happy": "happiness", "ha": "happiness", "joy": "happiness",
    "ne": "neutral",
    "sad": "sadness", "sa": "sadness",
    "surprised": "surprise", "su": "surprise",
}

#: The words of REP-155 (ROS4HRI) `hri_msgs/Expression` for the canonical labels it knows.
ROS4HRI: Dict[str, str] = {
    "anger": "angry", "disgust": "disgusted", "fear": "scared", "happiness": "happy",
    "neutral": "neutral", "sadness": "sad", "surprise": "surprised",
}


def canonical(name: str) -> str:
    """The canonical label for `name`, whatever its case; ValueError names the labels that are known."""
    word = name.strip().lower()
    label = ALIASES.get(word, word)
    if label not in EIGHT:
        raise ValueError(
            f"unknown emotion {name!r}: expected one of {', '.join(EIGHT)} (or an alias such as 'happy' or 'AF')"
        )
    return label


def parse_label_set(text: str) -> Tuple[str, ...]:
    """Labels from the name of a set (`a`, `b`, `seven`, `eight`) or from a comma-separated list of emotions."""
    if text.strip().lower() in LABEL_SETS:
        return LABEL_SETS[text.strip().lower()]
    return distinct_labels([word for word in text.split(",") if word.strip()])


def distinct_labels(names: Sequence[str]) -> Tuple[str, ...]:
    """The canonical labels for `names`, in their order; ValueError for fewer than two or for a repeated one."""
    labels = tuple(canonical(name) for name in names)
    if len(labels) < 2:
        raise ValueError(
            f"{len(labels)} emotion(s) in {list(names)}: at least two are needed; "
            f"name a set ({', '.join(LABEL_SETS)}) or list emotions as 'anger,happiness,neutral'"
        )
    if len(set(labels)) != len(labels):
        raise ValueError(f"an emotion is named twice in {', '.join(labels)}: name each once")
    return labels
