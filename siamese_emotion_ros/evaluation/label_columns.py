"""The same faces under other people's labels: FER-2013's own, FER+'s majority, and the faces FER+'s voters agree on."""
from __future__ import annotations

from typing import Dict, Sequence

from siamese_emotion_ros.datasets.face_set import FaceSet
from siamese_emotion_ros.datasets.ferplus import keep_agreed, relabel_by_majority

#: Share of all voters behind one emotion for which FER+ calls a face clear: seven of ten.
CONSENSUS = 0.7

OWN, MAJORITY, AGREED = "own", "ferplus_majority", "ferplus_consensus"

#: What a label column is, in a few words for people.
MEANING: Dict[str, str] = {OWN: "own labels", MAJORITY: "FER+ majority", AGREED: "FER+ 7 of 10"}


def label_columns(faceset: FaceSet, classes: Sequence[str]) -> Dict[str, FaceSet]:
    """Every labelling that the data set carries, restricted to those of `classes` it has: its own first, then FER+'s.

    The columns hold different faces: a face counts in a column when its label there is one of `classes`. A column
    without any face is left out, but for the data set's own.
    """
    columns = {OWN: _restricted(faceset, classes)}
    if faceset.votes is not None:
        majority = relabel_by_majority(faceset)
        for name, labelled in ((MAJORITY, majority), (AGREED, keep_agreed(majority, CONSENSUS))):
            restricted = _restricted(labelled, classes)
            if len(restricted):
                columns[name] = restricted
    return columns


def _restricted(faceset: FaceSet, classes: Sequence[str]) -> FaceSet:
    # A gallery may know classes of its own, which no data set has: enrolled ones.
    shared = [name for name in classes if name in faceset.classes]
    return faceset.restrict(shared) if shared else faceset.select([])
