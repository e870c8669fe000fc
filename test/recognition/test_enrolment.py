from dataclasses import replace

import cv2
import numpy as np
import pytest

from siamese_emotion_ros.recognition.artifacts import read_gallery, write_gallery
from siamese_emotion_ros.recognition.enrolment import (
    MIN_SIDE,
    Candidate,
    Criteria,
    choose,
    extend,
    focus,
    remove,
    spacing,
)
from siamese_emotion_ros.recognition.gallery import build_gallery, reembed
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.recognizer import Recognizer, Settings

CLASSES = ("anger", "happiness", "neutral")


@pytest.fixture(scope="module")
def textures(faces):
    """Faces like each other: one texture with a little noise, as of somebody who holds still."""
    random = np.random.default_rng(5)
    noise = random.normal(0, 4, (12, *faces[3].shape))
    return [np.clip(faces[3] + part, 0, 255).astype(np.uint8) for part in noise]


# --- which faces are good enough ---


def test_focus_falls_when_a_face_is_blurred_and_does_not_depend_on_its_size_or_light(textures):
    face = cv2.GaussianBlur(cv2.resize(textures[0], (96, 96)), (0, 0), 1.5)
    sharp = focus(face)
    assert focus(cv2.GaussianBlur(face, (0, 0), 4)) < sharp / 4
    assert focus(cv2.GaussianBlur(face, (15, 1), 5)) < sharp / 4, "moved sideways"
    assert focus((face // 2 + 20).astype(np.uint8)) == pytest.approx(sharp, rel=0.1)
    assert focus(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR)) == pytest.approx(sharp, rel=0.01)
    assert focus(np.full((60, 60), 77, np.uint8)) == 0


def test_each_unfit_face_is_counted_under_what_is_wrong_with_it(model, textures, faces):
    blurred = cv2.GaussianBlur(textures[0], (0, 0), 6)
    candidates = [Candidate(face, 0.9) for face in textures]
    candidates[2] = Candidate(textures[2][:20, :20], 0.9)
    candidates[4] = Candidate(textures[4], 0.3)
    candidates[6] = Candidate(blurred, 0.9)
    candidates[8] = Candidate(faces[20], 0.9)
    choice = choose(model, candidates, Criteria(min_score=0.5), gallery=None)
    assert choice.kept.tolist() == [0, 1, 3, 5, 7, 9, 10, 11]
    assert choice.refused == {"too small": 1, "poorly detected": 1, "blurred": 1, "unlike the others": 1}
    assert choice.sentence() == (
        "8 of 12 faces taken; 1 too small; 1 poorly detected; 1 blurred; 1 unlike the others"
    )
    np.testing.assert_allclose(choice.embeddings, model.embed([textures[row] for row in choice.kept]), atol=1e-5)


def test_criteria_can_be_given_up(model, textures):
    blurred = [Candidate(cv2.GaussianBlur(face, (0, 0), 6), 0.0) for face in textures]
    assert len(choose(model, blurred, Criteria(min_score=0.0, min_focus=0.0, agreement=100.0)).kept) == len(textures)


def test_a_score_that_is_not_a_number_is_no_good_score(model, textures):
    assert choose(model, [Candidate(textures[0], float("nan"))]).refused["poorly detected"] == 1


def test_of_two_faces_none_is_the_odd_one_and_none_at_all_gives_none(model, faces):
    assert len(choose(model, [Candidate(faces[1]), Candidate(faces[25])]).kept) == 2
    assert len(choose(model, []).kept) == 0


def test_copies_of_one_picture_do_not_make_another_one_odd(model, textures):
    assert len(choose(model, [Candidate(textures[0])] * 9 + [Candidate(textures[1])]).kept) == 10


def test_copies_of_one_picture_are_all_taken(model, textures):
    assert len(choose(model, [Candidate(textures[0])] * 4).kept) == 4


@pytest.mark.parametrize(
    "shape, refused", [((MIN_SIDE, MIN_SIDE), 0), ((60, MIN_SIDE - 1), 1), ((MIN_SIDE - 1, 60), 1)]
)
def test_the_shorter_side_says_whether_a_face_is_too_small(model, shape, refused):
    face = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert choose(model, [Candidate(face)]).refused.get("too small", 0) == refused


@pytest.mark.parametrize("places, expected", [([0], 0), ([0, 3], 3), ([0, 1, 3, 7, 12], 2)])
def test_the_spacing_is_the_usual_distance_to_the_nearest_other(gallery, places, expected):
    count = len(places)
    line = replace(
        gallery, embeddings=np.array(places, np.float32)[:, None], labels=np.zeros(count, np.int64), classes=("anger",),
        names=tuple(map(str, range(count))), k=1, images=None,
    )
    assert spacing(line) == expected


def test_differences_below_the_gallerys_own_spacing_do_not_matter(model, gallery, textures):
    noise = np.random.default_rng(6).integers(0, 2, (9, *textures[0].shape), np.uint8)
    steady = [Candidate(np.minimum(textures[0], 254) + part) for part in noise] + [Candidate(textures[1])]
    far = np.linalg.norm(np.diff(model.embed(textures[:2]), axis=0))
    assert far < spacing(gallery)
    assert choose(model, steady).kept.tolist() == list(range(9)), "the last is odd beside so steady ones"
    assert len(choose(model, steady, gallery=gallery).kept) == 10


# --- a gallery with more anchors ---


def enrolled(model, gallery, faces, label="anger", **options):
    choice = choose(model, [Candidate(face) for face in faces], Criteria(agreement=100.0), gallery)
    return extend(gallery, label, choice.embeddings, [faces[row] for row in choice.kept], **options)


def test_enrolled_faces_are_recognized_as_what_they_were_enrolled_as(model, gallery, textures):
    extended, names = enrolled(model, gallery, textures[:6], "happiness")
    assert len(extended) == len(gallery) + 6
    assert names == tuple(f"enrolled/happiness/{number}" for number in range(1, 7))
    for answer in Recognizer(model, extended, Settings(k=5)).recognize(textures[6:]):
        assert answer.label == "happiness" and len(set(answer.neighbor_names) & set(names)) >= 4
    assert extended.fingerprint != gallery.fingerprint


def test_a_new_class_has_to_be_asked_for(model, gallery, textures):
    with pytest.raises(ValueError, match=r"the gallery knows anger, happiness, neutral: set new_class"):
        enrolled(model, gallery, textures[:6], "hapiness")
    extended, _ = enrolled(model, gallery, textures[:6], " bored ", new_class=True)
    assert extended.classes == (*gallery.classes, "bored")
    assert Recognizer(model, extended).recognize(textures[6:7])[0].label == "bored"


@pytest.mark.parametrize("label", ["", "  ", "unknown", "x" * 65, "a\nb"])
def test_what_cannot_be_a_label_is_refused_even_then(model, gallery, textures, label):
    with pytest.raises(ValueError, match="the label is"):
        enrolled(model, gallery, textures[:1], label, new_class=True)


def test_a_name_that_no_file_could_give_back_is_refused(model, gallery, textures):
    with pytest.raises(ValueError, match="names holds 'one.ntwo/anger/1'"):
        extend(gallery, "anger", model.embed(textures[:1]), textures[:1], "one\ntwo")


def test_names_are_never_given_twice(model, gallery, textures):
    first, _ = enrolled(model, gallery, textures[:3], name="ada")
    less, _ = remove(first, ["ada/anger/2"])
    again, names = enrolled(model, less, textures[3:6], name="ada")
    assert names == ("ada/anger/2", "ada/anger/4", "ada/anger/5")
    assert len(set(again.names)) == len(again)


def test_names_go_on_where_all_are_taken_and_a_blank_one_is_as_none(model, gallery, textures):
    full = replace(gallery, names=tuple(f"enrolled/anger/{number}" for number in range(1, 31)))
    _, names = enrolled(model, full, textures[:2], name=" ", reserved=["enrolled/anger/32"])
    assert names == ("enrolled/anger/31", "enrolled/anger/33")


def test_a_gallery_of_embeddings_only_keeps_no_faces(model, gallery, textures):
    extended, names = enrolled(model, replace(gallery, images=None), textures[:2])
    assert extended.images is None and extended.names[-2:] == names


def test_enrolled_faces_are_embedded_as_the_gallery_keeps_them(model, faces, textures):
    smaller = build_gallery(model, faces, np.arange(30) % 3, CLASSES, [str(i) for i in range(30)], k=3, image_size=32)
    extended, _ = enrolled(model, smaller, textures[:4])
    np.testing.assert_allclose(reembed(extended, model).embeddings, extended.embeddings, rtol=1e-3, atol=1e-4)


def test_a_gallery_with_images_keeps_the_enrolled_faces_and_follows_with_them(
    gallery, model, textures, write_random_model, tmp_path
):
    extended, _ = enrolled(model, gallery, textures)
    np.testing.assert_array_equal(reembed(extended, model).embeddings[:-1], extended.embeddings[:-1])
    other = EmbeddingModel.load(write_random_model(tmp_path / "other.safetensors", seed=4), "cpu")
    followed = Recognizer(other, reembed(extended, other), Settings(k=3))
    assert followed.recognize(textures[:1])[0].neighbor_names[0].startswith("enrolled/anger")
    write_gallery(tmp_path / "extended.safetensors", extended)
    assert read_gallery(tmp_path / "extended.safetensors").fingerprint == extended.fingerprint


# --- a gallery with fewer ---


def test_anchors_are_removed_by_name_and_label(model, gallery, textures):
    extended, _ = enrolled(model, gallery, textures[:4])
    back, removed = remove(extended, ["enrolled/*"])
    assert removed == 4 and back.fingerprint == gallery.fingerprint
    less, removed = remove(gallery, ["face?"], "happiness")
    assert removed == 3 and set(gallery.names) - set(less.names) == {"face1", "face4", "face7"}
    assert remove(gallery, ["nobody"])[1] == 0


def test_only_stars_and_question_marks_stand_for_more_than_themselves(gallery):
    names = ("img[12].png", "img1.png", "img2.png", *gallery.names[3:])
    less, removed = remove(replace(gallery, names=names), ["img[12]*"])
    assert removed == 1 and less.names == names[1:]


def test_a_class_stays_with_its_last_anchor(gallery):
    less, _ = remove(gallery, [f"face{i}" for i in range(4, 30, 3)], "happiness")
    assert less.classes == gallery.classes and less.counts.tolist() == [10, 1, 10]


def test_a_class_goes_only_when_that_is_wanted_and_takes_nobody_along(gallery):
    with pytest.raises(ValueError, match="no anchor would be left for happiness: set drop_classes"):
        remove(gallery, [], "happiness")
    less, removed = remove(gallery, [], "happiness", drop_classes=True)
    assert removed == 10 and less.classes == ("anger", "neutral")
    assert less.names == tuple(name for name in gallery.names if int(name[4:]) % 3 != 1)
    mixed, removed = remove(gallery, ["face1*", "face4", "face7", "face22", "face25", "face28"], drop_classes=True)
    assert mixed.classes == ("anger", "neutral") and removed == 16 and len(mixed) == 14


@pytest.mark.parametrize(
    ("arguments", "reason"), [(([],), "neither names nor a label"), ((["*"],), "all 30 anchors"),
                              ((["face1"], "fear"), "the gallery has no 'fear'")],
)
def test_what_would_leave_nothing_or_means_nothing_is_refused(gallery, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        remove(gallery, *arguments)
