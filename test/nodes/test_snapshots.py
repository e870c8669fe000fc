import math
import os

import numpy as np
import pytest

from siamese_emotion_ros.nodes import snapshots
from siamese_emotion_ros.nodes.siamese_emotion import PARAMETERS
from siamese_emotion_ros.nodes.snapshots import build_snapshot, resolve_artifact
from siamese_emotion_ros.recognition.artifacts import ArtifactError

FACE = np.random.default_rng(1).integers(0, 256, (60, 50), np.uint8)


@pytest.fixture
def settings(artifacts):
    def make(**values):
        return PARAMETERS.settings({
            "model_path": "model_a.safetensors", "gallery_path": "gallery_a3.safetensors", "device": "cpu",
            "artifact_dirs": [str(artifacts)], **{name.replace("__", "."): value for name, value in values.items()},
        })

    return make


# --- paths ---


@pytest.fixture
def folders(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    for file in (inside / "one", inside / "deep" / "two", outside / "three"):
        file.touch()
    (inside / "link_in").symlink_to(inside / "one")
    (inside / "link_out").symlink_to(outside / "three")
    (inside / "loop").symlink_to(inside / "loop")
    return inside, outside


def test_names_are_found_in_the_folders_and_links_within_them_followed(folders):
    inside, _ = folders
    for name in ("one", "deep/two", "deep/../one", "link_in", str(inside / "one"), f"{inside}/deep/../one"):
        assert resolve_artifact("model_path", name, [str(inside)]).is_file()


def test_folders_are_searched_in_their_order(folders):
    inside, outside = folders
    (outside / "one").touch()
    assert resolve_artifact("model_path", "one", [str(outside), str(inside)]) == (outside / "one").resolve()
    assert resolve_artifact("model_path", "deep/two", [str(outside), str(inside)]) == inside / "deep" / "two"


@pytest.mark.parametrize(
    "name", ["../outside/three", "link_out", "{outside}/three", "deep/../../outside/three", "/etc/passwd"]
)
def test_what_lies_outside_is_refused_whatever_way_it_is_written(folders, name):
    inside, outside = folders
    with pytest.raises(ArtifactError, match="outside artifact_dirs"):
        resolve_artifact("model_path", name.format(outside=outside), [str(inside)])


@pytest.mark.parametrize(
    "name", ["missing", "deep", "loop", "", "a\0b", pytest.param("x" * 100_000, id="long"),
             pytest.param("x/" * 50_000, id="deeper than any"), "."]
)
def test_what_is_no_file_is_refused_with_the_parameter_named(folders, name):
    with pytest.raises(ArtifactError, match="^gallery_path") as refusal:
        resolve_artifact("gallery_path", name, [str(folders[0])])
    assert len(str(refusal.value)) < 1000


# --- snapshots ---


def test_a_snapshot_answers_with_the_model_the_gallery_and_the_settings_asked_for(settings):
    snapshot = build_snapshot(settings(k=2, distance_threshold=1e-6, smoothing__window=3))
    (recognition,) = snapshot.recognizer.recognize([FACE])
    assert len(recognition.neighbor_labels) == 2 and recognition.label == "unknown"
    assert snapshot.recognizer.classes == ("happiness", "neutral", "sadness")
    assert snapshot.smoother.window == 3 and snapshot.version == 1


def test_zero_means_the_gallerys_own(settings):
    recognizer = build_snapshot(settings()).recognizer
    assert recognizer.k == 5 and recognizer.threshold == math.inf


def test_a_change_reads_only_what_it_names_and_counts_as_one_swap(settings):
    first = build_snapshot(settings())
    second = build_snapshot(settings(k=3), {"k"}, first)
    assert second.recognizer.model is first.recognizer.model and second.gallery is first.gallery
    third = build_snapshot(settings(gallery_path="gallery_a2.safetensors"), {"gallery_path"}, second)
    assert third.recognizer.model is first.recognizer.model
    assert third.recognizer.classes == ("anger", "fear")
    assert [snapshot.version for snapshot in (first, second, third)] == [1, 2, 3]


def test_smoothing_alone_is_no_swap_and_starts_afresh(settings):
    first = build_snapshot(settings())
    second = build_snapshot(settings(smoothing__window=9), {"smoothing.window"}, first)
    assert second.recognizer is first.recognizer and second.version == 1
    assert second.smoother is not first.smoother and second.smoother.window == 9


def test_what_decides_about_enrolment_only_leaves_the_snapshot_and_its_smoothing_alone(settings):
    first = build_snapshot(settings(smoothing__window=9))
    changed = settings(smoothing__window=9, enrolment__min_score=0.2)
    assert build_snapshot(changed, {"enrolment.min_score"}, first) is first


def test_other_anchors_make_the_next_snapshot_and_leave_the_first_as_it_was(settings):
    first = build_snapshot(settings(k=4, smoothing__window=9))
    second = first.with_anchors(first.gallery.select(np.arange(6)))
    assert second.version == 2 and second.changed and not first.changed
    assert (len(second.recognizer.gallery), len(first.recognizer.gallery)) == (6, 12)
    assert second.recognizer.k == 4 and second.recognizer.model is first.recognizer.model
    assert second.smoother is not first.smoother and second.smoother.window == 9
    with pytest.raises(ValueError, match="k is 4: expected 1 to 3"):
        first.with_anchors(first.gallery.select(np.arange(3)))


def test_anchors_enrolled_stay_through_another_k_and_go_with_another_gallery(settings):
    first = build_snapshot(settings())
    less = first.with_anchors(first.gallery.select(np.arange(9)))
    assert len(build_snapshot(settings(k=3), {"k"}, less).recognizer.gallery) == 9
    assert len(build_snapshot(settings(), {"gallery_path"}, less).recognizer.gallery) == 12


def test_a_persons_neutral_stays_with_its_model_through_galleries(settings):
    first = build_snapshot(settings())
    known = first.with_neutrals(first.neutrals.learn(4, first.recognizer.model.embed([FACE])))
    assert known.version == 2
    plain, other = known.recognize([5], [FACE])[0], known.recognize([4], [FACE])[0]
    assert not np.allclose(plain.neighbor_distances, other.neighbor_distances)
    again = build_snapshot(settings(k=3), {"k"}, known)
    np.testing.assert_allclose(again.recognize([4], [FACE])[0].class_distances, other.class_distances)
    without = build_snapshot(settings(gallery_path="gallery_a2.safetensors"), {"gallery_path"}, known)
    assert without.neutrals.offset(4) is None, "anger and fear have no neutral to compare with"
    back = build_snapshot(settings(), {"gallery_path"}, without)
    np.testing.assert_allclose(back.recognize([4], [FACE])[0].class_distances, other.class_distances)
    pair = settings(model_path="model_b.safetensors", gallery_path="gallery_b3.safetensors")
    assert not build_snapshot(pair, {"model_path", "gallery_path"}, known).neutrals


def test_another_k_does_not_embed_a_gallery_of_images_again(settings, monkeypatch):
    of_images = {"model_path": "model_b.safetensors", "gallery_path": "gallery_a3_images.safetensors"}
    before = build_snapshot(settings(**of_images))
    monkeypatch.setattr(snapshots, "reembed", lambda *_: pytest.fail("nothing that it is made of has changed"))
    after = build_snapshot(settings(**of_images, k=3), {"k"}, before)
    assert after.recognizer.gallery is before.recognizer.gallery and after.recognizer.k == 3


def test_another_gallery_of_images_is_embedded_though_the_model_stays(settings, artifacts, tmp_path):
    name = "gallery_a3_images.safetensors"
    (tmp_path / "same.safetensors").write_bytes((artifacts / name).read_bytes())
    before = build_snapshot(settings(model_path="model_b.safetensors", gallery_path=name))
    there = settings(
        model_path="model_b.safetensors", gallery_path=str(tmp_path / "same.safetensors"), gallery_dir=str(tmp_path)
    )
    after = build_snapshot(there, {"gallery_path"}, before)
    assert after.ids[:2] == before.ids[:2] and after.recognizer.gallery is not before.recognizer.gallery


def test_what_is_saved_can_be_read_again_without_naming_its_folder_twice(settings, artifacts, tmp_path):
    (tmp_path / "saved.safetensors").write_bytes((artifacts / "gallery_a2.safetensors").read_bytes())
    saved = settings(gallery_path="saved.safetensors", gallery_dir=str(tmp_path))
    assert build_snapshot(saved).recognizer.classes == ("anger", "fear")
    with pytest.raises(ArtifactError, match="no such file"):
        build_snapshot(settings(gallery_path="saved.safetensors"))


def test_setting_the_same_path_reads_the_file_again(settings, artifacts, tmp_path):
    path = tmp_path / "gallery.safetensors"
    path.write_bytes((artifacts / "gallery_a3.safetensors").read_bytes())
    same = settings(gallery_path="gallery.safetensors", artifact_dirs=[str(artifacts), str(tmp_path)])
    first = build_snapshot(same)
    other = tmp_path / "other"
    other.write_bytes((artifacts / "gallery_a2.safetensors").read_bytes())
    os.replace(other, path)
    assert build_snapshot(same, {"gallery_path"}, first).recognizer.classes == ("anger", "fear")


def test_a_model_and_a_gallery_that_do_not_fit_are_refused_naming_both(settings):
    with pytest.raises(ValueError, match="set model_path and gallery_path together"):
        build_snapshot(settings(model_path="model_b.safetensors"))


def test_a_gallery_with_images_follows_its_new_model_and_comes_back_as_it_was(settings):
    first = build_snapshot(settings(gallery_path="gallery_a3_images.safetensors"))
    other = settings(model_path="model_b.safetensors", gallery_path="gallery_a3_images.safetensors")
    second = build_snapshot(other, {"model_path"}, first)
    assert second.recognizer.gallery.model_fingerprint == second.recognizer.model.fingerprint
    assert second.ids[1] != first.ids[1]
    third = build_snapshot(settings(gallery_path="gallery_a3_images.safetensors"), {"model_path"}, second)
    assert third.ids[:2] == first.ids[:2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_path": "missing.safetensors"}, "model_path is 'missing.safetensors': no such file"),
        ({"model_path": "text.safetensors"}, "not a whole safetensors file"),
        ({"model_path": "gallery_a3.safetensors"}, "expected a model file"),
        ({"gallery_path": "truncated.safetensors"}, "truncated"),
        ({"gallery_path": "model_a.safetensors"}, "expected a gallery file"),
        ({"k": 13}, "k is 13: expected 1 to 12"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(settings, values, reason):
    with pytest.raises(ValueError, match=reason):
        build_snapshot(settings(**values))
