"""Merging and relabelling galleries: properties that hold for any of them, and what is refused."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.recognition.curation import merge, relabel
from siamese_emotion_ros.recognition.gallery import Gallery

MODEL = "0" * 64


@st.composite
def galleries(draw):
    """Up to 20 distinct anchors in up to four classes, some with images."""
    classes = ("anger", "fear", "happiness", "neutral")[: draw(st.integers(1, 4))]
    extra = draw(st.lists(st.integers(0, len(classes) - 1), max_size=16))
    labels = np.array([*range(len(classes)), *extra], np.int64)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    images = random.integers(0, 256, (len(labels), 3, 3), dtype=np.uint8) if draw(st.booleans()) else None
    return Gallery(
        random.normal(size=(len(labels), 5)).astype(np.float32), labels, classes,
        tuple(f"anchor{i}" for i in range(len(labels))), MODEL, draw(st.integers(1, len(labels))),
        draw(st.sampled_from([None, 0.5])), images, draw(st.sampled_from([1.0, 2.5])),
    )


@settings(max_examples=60)
@given(galleries())
def test_a_gallery_merged_with_itself_is_itself(gallery):
    assert merge([gallery, gallery]).fingerprint == gallery.fingerprint


@settings(max_examples=60)
@given(galleries(), st.data())
def test_parts_of_a_gallery_merge_to_the_whole(gallery, data):
    """Every anchor comes back once, with its own label, name, embedding and image."""
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(gallery), max_size=len(gallery)))
    rows = [np.flatnonzero(np.array(parts) == part) for part in range(3)]
    pieces = []
    for part in rows:
        if len(part):
            used = sorted(set(gallery.labels[part]))
            pieces.append(replace(
                gallery, embeddings=gallery.embeddings[part], classes=tuple(gallery.classes[label] for label in used),
                labels=np.searchsorted(used, gallery.labels[part]), names=tuple(gallery.names[i] for i in part), k=1,
                images=None if gallery.images is None else gallery.images[part],
            ))
    whole = merge(pieces, gallery.k)
    assert (whole.k, whole.threshold, whole.sharpness) == (gallery.k, gallery.threshold, gallery.sharpness)
    assert sorted(whole.classes) == sorted(gallery.classes)
    assert sorted(whole.names) == sorted(gallery.names)
    for place, name in enumerate(whole.names):
        row = gallery.names.index(name)
        assert whole.classes[whole.labels[place]] == gallery.classes[gallery.labels[row]]
        np.testing.assert_array_equal(whole.embeddings[place], gallery.embeddings[row])
        if gallery.images is not None:
            np.testing.assert_array_equal(whole.images[place], gallery.images[row])


@settings(max_examples=60)
@given(galleries(), st.permutations(["a", "b", "anger", "fear"]))
def test_renaming_classes_back_gives_the_same_gallery(gallery, words):
    there = dict(zip(gallery.classes, words))
    back = {new: old for old, new in there.items()}
    renamed = relabel(gallery, there)
    assert renamed.classes == tuple(words[: len(gallery.classes)])
    assert relabel(renamed, back).fingerprint == gallery.fingerprint


@settings(max_examples=60)
@given(galleries(), st.data())
def test_anchors_get_the_label_they_are_given_and_others_keep_theirs(gallery, data):
    given_labels = data.draw(st.dictionaries(
        st.sampled_from(gallery.names), st.sampled_from([*gallery.classes, "surprise"]),
    ))
    relabelled = relabel(gallery, anchors=given_labels)
    assert relabelled.names == gallery.names
    for place, name in enumerate(gallery.names):
        expected = given_labels.get(name, gallery.classes[gallery.labels[place]])
        assert relabelled.classes[relabelled.labels[place]] == expected
    old = {name: gallery.classes[gallery.labels[gallery.names.index(name)]] for name in given_labels}
    again = relabel(relabelled, anchors=old)
    assert [again.classes[label] for label in again.labels] == [gallery.classes[label] for label in gallery.labels]


def plane(points, labels, classes, names, **more):
    return Gallery(np.array(points, np.float32), np.array(labels, np.int64), classes, names, MODEL, 1, **more)


def test_two_classes_with_one_name_become_one_class():
    gallery = plane([[0, 0], [1, 0], [2, 0]], [0, 1, 2], ("anger", "fear", "neutral"), ("x", "y", "z"))
    joined = relabel(gallery, {"fear": "anger"})
    assert joined.classes == ("anger", "neutral")
    assert joined.labels.tolist() == [0, 0, 1]


def test_an_anchor_with_two_labels_is_not_merged_silently():
    one = plane([[0, 0], [1, 1]], [0, 1], ("anger", "fear"), ("x", "y"))
    other = plane([[1, 1]], [0], ("neutral",), ("why",))
    with pytest.raises(ValueError, match="'why' is neutral in one gallery and, as 'y', fear in another: relabel"):
        merge([one, other])


def test_galleries_of_two_models_are_not_merged():
    one = plane([[0, 0]], [0], ("anger",), ("x",))
    with pytest.raises(ValueError, match="gallery 1 was made for model 000000000000, gallery 2 for 111111111111"):
        merge([one, replace(one, model_fingerprint="1" * 64)])


def test_thresholds_and_images_stay_only_where_all_agree():
    picture = np.zeros((1, 4, 4), np.uint8)
    one = plane([[0, 0]], [0], ("anger",), ("x",), threshold=0.5, images=picture)
    other = plane([[1, 0]], [0], ("fear",), ("y",), threshold=0.6, images=np.zeros((1, 5, 5), np.uint8))
    other = replace(other, sharpness=2.0)
    assert (merge([one, other]).threshold, merge([one, other]).images) == (None, None)
    assert merge([one, other]).sharpness == 1
    alike = replace(other, threshold=0.5, images=picture)
    assert merge([one, alike]).threshold == 0.5
    assert merge([one, alike]).images.shape == (2, 4, 4)
