"""What knowing people's own neutral face brings: the same faces answered with and without it."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

from siamese_emotion_ros.evaluation.answers import Answers, answers_of_neighbors
from siamese_emotion_ros.evaluation.measurement import Measurement, describe
from siamese_emotion_ros.recognition.gallery import Gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.personal import NEUTRAL, PersonalNeutrals
from siamese_emotion_ros.recognition.recognizer import Settings


def measure_personal(
    measurement: Measurement,
    model: EmbeddingModel,
    gallery: Gallery,
    settings: Settings,
    shots: int = 5,
    seed: int = 0,
    replicates: int = 2000,
) -> Dict[str, Any]:
    """Set up to `shots` neutral faces of each person aside, learn the person's neutral from them, ask about the rest.

    A person with only one neutral face is learnt from that one; who has none, or no face besides, is left out.
    JSON-ready: shots; people, people_without_neutral and people_without_rest; calibration_faces (set aside, in neither
    of the two); plain and personal (the figures of `describe` for the same faces); top1_gain {mean, low, high}:
    personal less plain, with the 95 % interval of a bootstrap over people. ValueError for faces whose people are not
    known or a gallery without neutral.
    """
    faces = measurement.faces
    if faces.subjects is None:
        raise ValueError("the data set does not tell who is pictured: evaluate one that does, such as ckplus or kdef")
    if NEUTRAL not in gallery.classes:
        raise ValueError(
            f"the classes are {', '.join(gallery.classes)}, without {NEUTRAL}: choose classes with it, and faces that "
            "have it (of CK+ by the loader's option neutral=true)"
        )
    if shots < 1:
        raise ValueError(f"{shots} faces to learn from: expected at least 1")
    subjects = np.asarray(faces.subjects)
    people, person_of = np.unique(subjects, return_inverse=True)
    truths = faces.labels_among(gallery.classes)
    is_neutral = truths == gallery.classes.index(NEUTRAL)
    random = np.random.default_rng(seed)
    neutrals = PersonalNeutrals().within(gallery)
    asked: List[np.ndarray] = []
    corrected: List[np.ndarray] = []
    set_aside = without_rest = 0
    for person in range(len(people)):
        rows = np.flatnonzero(person_of == person)
        resting = rows[is_neutral[rows]]
        if not len(resting):
            continue
        chosen = random.permutation(resting)[:shots]
        rest = np.setdiff1d(rows, chosen)
        if not len(rest):
            without_rest += 1
            continue
        set_aside += len(chosen)
        known = neutrals.learn(person, measurement.embeddings[chosen])
        asked.append(rest)
        corrected.append(known.corrected([person] * len(rest), measurement.embeddings[rest]))
    if not asked:
        raise ValueError("nobody has a neutral face and another one besides: choose another split or data set")
    rows = np.concatenate(asked)
    truth, kept = truths[rows], tuple(faces.subjects[row] for row in rows)
    plain = answers_of_neighbors(model, gallery, settings, measurement.embeddings[rows], truth)
    personal = answers_of_neighbors(model, gallery, settings, np.concatenate(corrected), truth)
    return {
        "shots": shots,
        "people": len(asked),
        "people_without_neutral": len(people) - len(asked) - without_rest,
        "people_without_rest": without_rest,
        "calibration_faces": set_aside,
        "plain": describe(plain, kept, replicates, seed),
        "personal": describe(personal, kept, replicates, seed),
        "top1_gain": _gain(plain, personal, kept, replicates, seed),
    }


def _gain(
    plain: Answers, personal: Answers, subjects: Sequence[str], replicates: int, seed: int
) -> Dict[str, float]:
    """How much more often `personal` is right, and its 95 % interval when whole people are drawn anew."""
    difference = (personal.given == personal.truth).astype(np.int64) - (plain.given == plain.truth)
    _, person_of = np.unique(np.asarray(subjects), return_inverse=True)
    gained, asked = np.bincount(person_of, weights=difference), np.bincount(person_of)
    times = np.random.default_rng(seed).multinomial(len(asked), np.full(len(asked), 1 / len(asked)), size=replicates)
    low, high = np.percentile((times @ gained) / (times @ asked), [2.5, 97.5])
    return {"mean": float(difference.mean()), "low": float(low), "high": float(high)}
