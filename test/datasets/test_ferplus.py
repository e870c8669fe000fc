from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.datasets.face_set import DataSetError
from siamese_emotion_ros.datasets.ferplus import (
    VOTE_COLUMNS,
    agreed_on,
    agreement,
    keep_agreed,
    keep_confirmed,
    keep_supported,
    majority,
    relabel_agreed,
    soft_labels,
)
from siamese_emotion_ros.datasets.load import load
from siamese_emotion_ros.recognition.emotions import EIGHT

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def counts(**votes: int) -> np.ndarray:
    return np.array([[votes.get(name, 0) for name in VOTE_COLUMNS]], dtype=np.uint8)


def vote_row(usage: str = "Training", **votes: int) -> str:
    return ",".join([usage, "x.png", *map(str, counts(**votes)[0])])


@pytest.fixture
def write_votes(tmp_path):
    def write(rows, header=HEADER):
        path = tmp_path / "fer2013new.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


@pytest.fixture
def voted(write_fer, fer_row, write_votes):
    """Four faces labelled anger: voters say anger, happiness, contempt, and not a face."""
    root = write_fer([fer_row(i) for i in range(3)] + [fer_row(3, 0, "PublicTest")])
    write_votes([vote_row(anger=8, sadness=2), vote_row(happiness=5, anger=2, unknown=3),
                 vote_row(contempt=10), vote_row("PublicTest", NF=10)])
    return root


def test_votes_beside_the_csv_become_soft_labels(voted):
    faceset = load("fer2013", voted)
    soft = {name: faceset.soft_labels[:, c].tolist() for c, name in enumerate(faceset.classes)}
    assert soft["anger"] == pytest.approx([0.8, 2 / 7, 0, 0])
    assert soft["happiness"] == pytest.approx([0, 5 / 7, 0, 0])
    assert soft["sadness"] == pytest.approx([0.2, 0, 0, 0])
    assert set(faceset.labels) == {0}, "FER-2013's own labels stay"


def test_confirmed_faces_are_those_whose_label_the_majority_shares(voted):
    confirmed = keep_confirmed(load("fer2013", voted))
    assert confirmed.names == ("fer0000000",)
    assert confirmed.left_out_counts() == {"label that the FER+ majority does not confirm": 3}


def test_restricted_soft_labels_are_normalised_again(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0, 0), fer_row(1, 3), fer_row(2, 3), fer_row(3, 4)])
    write_votes([vote_row(anger=6, sadness=2, happiness=2), vote_row(sadness=10), vote_row(happiness=9, fear=1),
                 vote_row(sadness=10)])
    faceset = load("fer2013", root).restrict(("happiness", "anger"))
    np.testing.assert_allclose(faceset.soft_labels, [[0.25, 0.75], [0, 0], [1, 0]])


def test_majority_labels_replace_fer2013s(voted):
    faceset = load("fer2013", voted, labels="ferplus")
    assert faceset.classes == EIGHT
    assert [EIGHT[label] for label in faceset.labels] == ["anger", "happiness", "contempt"]
    assert faceset.left_out_counts() == {"no emotion has the majority of the FER+ votes": 1}
    np.testing.assert_allclose(faceset.soft_labels.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("minimum, left", [(0.0, 4), (0.2, 2), (0.25, 1), (0.8, 1), (0.9, 0)])
def test_faces_whose_own_label_has_support_among_the_voters(voted, minimum, left):
    supported = keep_supported(load("fer2013", voted), minimum)
    assert supported.names == ("fer0000000", "fer0000001", "fer0000002", "fer0000003")[:left]
    with pytest.raises(DataSetError, match="support 2: expected a share"):
        keep_supported(supported, 2)


def test_nobody_supports_a_face_that_nobody_voted_on_and_one_voter_is_all(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(i) for i in range(2)])
    write_votes([vote_row(), vote_row(anger=1)])
    for minimum in (0.1, 1.0):
        assert keep_supported(load("fer2013", root), minimum).names == ("fer0000001",)


def test_a_face_on_which_the_voters_agree_takes_their_label(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(i, 3) for i in range(5)])
    write_votes([vote_row(anger=6, happiness=4), vote_row(anger=5, happiness=5), vote_row(contempt=9, fear=1),
                 vote_row(NF=7, fear=3), vote_row(happiness=10)])
    corrected = relabel_agreed(load("fer2013", root), 0.6)
    assert corrected.names == ("fer0000000", "fer0000001", "fer0000003", "fer0000004")
    assert [corrected.classes[label] for label in corrected.labels] == ["anger", "happiness", "happiness", "happiness"]
    assert corrected.left_out_counts() == {"the FER+ voters agree on another emotion than these": 1}
    with pytest.raises(DataSetError, match="agreement 6: expected a share"):
        relabel_agreed(corrected, 6)


def test_a_face_keeps_its_label_where_too_few_agree_or_most_see_none(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(i, 3) for i in range(2)])
    write_votes([vote_row(anger=5, happiness=3, fear=2), vote_row(NF=6, fear=4)])
    for minimum, expected in ((0.6, ["happiness", "happiness"]), (0.4, ["anger", "happiness"])):
        kept = relabel_agreed(load("fer2013", root), minimum)
        assert [kept.classes[label] for label in kept.labels] == expected


def test_none_and_all_are_shares_of_the_voters_too(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(i, 3) for i in range(3)])
    write_votes([vote_row(happiness=10), vote_row(happiness=9, fear=1), vote_row(NF=10)])
    assert keep_agreed(load("fer2013", root), 0.0).names == ("fer0000000", "fer0000001", "fer0000002")
    assert keep_agreed(load("fer2013", root), 1.0).names == ("fer0000000",)


def test_faces_where_at_least_seven_of_ten_agree(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(i, 3) for i in range(4)])
    write_votes([vote_row(happiness=7, neutral=3), vote_row(happiness=6, neutral=4), vote_row(sadness=10),
                 vote_row(NF=8, fear=2)])
    faceset = load("fer2013", root, min_agreement=0.7)
    assert faceset.names == ("fer0000000", "fer0000002")
    assert [faceset.classes[label] for label in faceset.labels] == ["happiness", "happiness"]
    assert faceset.left_out_counts() == {"less than 0.7 of the FER+ voters agree": 2}


@pytest.mark.parametrize("votes, label, share", [
    ({"fear": 7, "surprise": 3}, "fear", 0.7),
    ({"fear": 5, "surprise": 5}, None, 0.5),
    ({"fear": 4, "unknown": 6}, None, 0.4),
    ({"fear": 5, "unknown": 5}, None, 0.5),
    ({"fear": 4, "unknown": 3, "NF": 3}, "fear", 0.4),
    ({"NF": 10}, None, 0.0),
    ({}, None, 0.0),
    ({"contempt": 9}, "contempt", 1.0),
    ({"fear": 1}, "fear", 1.0),
])
def test_votes_give_a_majority_and_the_share_that_agrees(votes, label, share):
    winner = majority(counts(**votes))
    assert winner.dtype == np.int64
    assert winner.tolist() == [EIGHT.index(label) if label else -1]
    assert agreement(counts(**votes)) == pytest.approx([share])


def test_faces_agreed_on_are_of_one_of_the_classes():
    votes = np.concatenate([counts(fear=7, surprise=3), counts(fear=6, surprise=4), counts(contempt=10), counts(NF=10)])
    assert agreed_on(votes, ("fear", "surprise"), 0.7).tolist() == [True, False, False, False]
    assert agreed_on(votes, ("surprise", "contempt"), 0.6).tolist() == [False, False, True, False]


def test_unknown_and_not_a_face_have_no_part_in_soft_labels():
    soft = soft_labels(counts(fear=1, sadness=1, unknown=5, NF=3), ("sadness", "fear", "anger"))
    assert soft.dtype == np.float32
    assert soft.tolist() == [[0.5, 0.5, 0.0]]


def test_broken_csv_row_does_not_shift_the_votes(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0), "broken", fer_row(2)])
    write_votes([vote_row(anger=10), vote_row(sadness=10), vote_row(fear=10)])
    faceset = load("fer2013", root, labels="ferplus")
    assert dict(zip(faceset.names, (EIGHT[i] for i in faceset.labels))) == {
        "fer0000000": "anger", "fer0000002": "fear"}


def test_blank_lines_at_the_end_shift_no_votes(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0), fer_row(2), ""])
    write_votes([vote_row(anger=10), vote_row(fear=10), "", ""])
    assert load("fer2013", root, labels="ferplus").votes.shape == (2, 10)


def test_votes_may_go_on_for_a_private_test_that_the_copy_lacks(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0)])
    write_votes([vote_row(anger=10), vote_row("PrivateTest", sadness=10)])
    assert load("fer2013", root).votes.shape == (1, 10)


@pytest.mark.parametrize("rows, header, message", [
    ([vote_row(anger=10)], HEADER, "has 1 rows"),
    ([vote_row(anger=10), vote_row(anger=10)], HEADER, "row 1 is of Training"),
    ([vote_row(anger=10), "PublicTest,x.png,1,2"], HEADER, "line 3"),
    ([vote_row(anger=10), vote_row("PublicTest").replace("0", "-1")], HEADER, "line 3"),
    ([vote_row(anger=10), vote_row("PublicTest").replace("0", "many")], HEADER, "line 3"),
    ([], HEADER.replace("NF", "nf"), "header lacks NF"),
    ([], "", "header lacks"),
])
def test_votes_that_do_not_fit_are_refused_as_a_whole(rows, header, message, write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0), fer_row(1, 3, "PublicTest")])
    write_votes(rows, header)
    with pytest.raises(DataSetError, match=message):
        load("fer2013", root)


def test_a_stray_quote_is_refused_in_one_line(write_fer, fer_row, write_votes):
    root = write_fer([fer_row(0)])
    write_votes([vote_row(anger=10), '"' + vote_row(anger=10)] + [vote_row(anger=10)] * 5000)
    with pytest.raises(DataSetError, match=r"fer2013new.csv: line \d+ ends no CSV .*Download the file again"):
        load("fer2013", root)


def test_missing_votes_file_named_by_option(write_fer, fer_row, tmp_path):
    with pytest.raises(DataSetError, match=r"votes\.csv: cannot be read"):
        load("fer2013", write_fer([fer_row(0)]), ferplus=tmp_path / "votes.csv")


def test_agreement_needs_votes_and_a_share(voted):
    with pytest.raises(DataSetError, match="0 to 1"):
        keep_agreed(load("fer2013", voted), 7)
    for wrong in (-0.7, float("nan")):
        with pytest.raises(DataSetError, match=f"agreement {wrong}: expected a share from 0 to 1"):
            load("fer2013", voted, min_agreement=wrong)
    (voted.parent / "fer2013new.csv").unlink()
    with pytest.raises(DataSetError, match="no FER\\+ votes"):
        load("fer2013", voted, min_agreement=0.7)
