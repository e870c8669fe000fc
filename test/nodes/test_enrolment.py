"""The gallery changed by services while frames flow: anchors in, out, saved and back, and a person's own neutral."""
import errno
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from siamese_emotion_ros.srv import (
    AddAnchors,
    CalibrateNeutral,
    DescribeGallery,
    RemoveAnchors,
    ResetGallery,
    SaveGallery,
)

from siamese_emotion_ros.nodes import enrolment
from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.nodes.qos import SERVICE_QOS
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion
from siamese_emotion_ros.recognition.artifacts import read_gallery, write_gallery

SERVICES = {
    "add_anchors": AddAnchors, "remove_anchors": RemoveAnchors, "save_gallery": SaveGallery,
    "reset_gallery": ResetGallery, "describe_gallery": DescribeGallery, "calibrate_neutral": CalibrateNeutral,
}


def ask(graph, called, **fields):
    service = SERVICES[called]
    return graph.call(service, f"siamese_emotion/{called}", service.Request(**fields))


def steady(number=20, seed=11):
    """One made-up face, held still: a texture with a little noise."""
    random = np.random.default_rng(seed)
    texture = cv2.resize(random.integers(0, 256, (24, 24), np.uint8), (60, 60), interpolation=cv2.INTER_CUBIC)
    return [np.clip(texture + random.normal(0, 3, texture.shape), 0, 255).astype(np.uint8) for _ in range(number)]


@pytest.fixture
def enrolling(start, tmp_path):
    """A running node that saves to tmp_path/saved and takes every crop as well detected."""
    def make(**parameters):
        return start(**{"enrolment.min_score": 0.0, "gallery_dir": str(tmp_path / "saved"), **parameters})

    return make


class Stream(threading.Thread):
    """Publishes the crops of a face, or of several, again and again, as a camera would; waits for all answers."""

    def __init__(self, graph, faces, publisher, emotions, *people, first_id=1, start=0):
        super().__init__(daemon=True)
        self._graph, self._emotions, self._before = graph, emotions, len(emotions)
        self._faces, self._publisher, self._people, self._first_id = faces, publisher, people, first_id
        self._ended = threading.Event()
        self.sent = self._start = start

    def run(self):
        while not self._ended.wait(0.02):
            self.sent += 1
            crops = [person[self.sent % len(person)] for person in self._people]
            self._publisher.publish(self._faces.of(20 * self.sent, crops, self._first_id))

    @property
    def next_stamp(self):
        """When the next image would come [ms]."""
        return 20 * (self.sent + 1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()
        expected = self._before + (self.sent - self._start) * len(self._people)
        self._graph.until(lambda: len(self._emotions) >= expected, "the answers to a stream")


# --- anchors in ---


def test_the_next_crops_of_a_face_become_anchors_that_act_from_the_next_frame(graph, enrolling, faces):
    _, publisher, emotions = enrolling()
    somebody = steady()
    (before,) = faces.answers(graph, emotions, publisher, faces.of(1, somebody[:1]))
    label = "sadness" if before.label == "happiness" else "happiness"
    with Stream(graph, faces, publisher, emotions, faces.CROPS[:1], somebody, first_id=4):
        answer = ask(graph, "add_anchors", label=label, face_id=5, count=10)
    assert answer.success, answer.message
    assert answer.added == answer.considered == 10 and "10 of 10 faces taken" in answer.message
    assert list(answer.names) == [f"enrolled/{label}/{number}" for number in range(1, 11)]
    assert answer.gallery_version == 2
    (after,) = faces.answers(graph, emotions, publisher, faces.of(9000, somebody[:1]))
    assert after.label == label and set(after.neighbor_names) <= set(answer.names)
    assert (after.gallery_id, after.gallery_version) == (answer.gallery_id, 2)
    assert after.gallery_id != before.gallery_id and after.model_id == before.model_id
    told = ask(graph, "describe_gallery")
    assert told.success and told.changed and sum(told.unsaved) == 10 and sum(told.counts) == 22
    assert (told.gallery_id, told.gallery_version, told.k) == (answer.gallery_id, 2, 5)


def test_forty_callers_at_once_are_all_answered(graph, enrolling):
    enrolling()
    client = graph.node.create_client(DescribeGallery, "siamese_emotion/describe_gallery", qos_profile=SERVICE_QOS)
    assert client.wait_for_service(timeout_sec=30)
    answers = [client.call_async(DescribeGallery.Request()) for _ in range(40)]
    graph.until(lambda: all(answer.done() for answer in answers), "forty answers")
    assert all(answer.result().success for answer in answers)
    graph.node.destroy_client(client)


def test_given_images_are_enrolled_and_the_unfit_ones_counted_by_reason(graph, enrolling, faces):
    _, publisher, emotions = enrolling()
    pictures = steady(6)
    pictures += [cv2.GaussianBlur(pictures[0], (0, 0), 6), pictures[0][:9, :9], faces.CROPS[2]]
    header = faces.of(1).header
    answer = ask(graph, "add_anchors", label="bored", new_class=True, name="lab",
                 images=[image_message(header, cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)) for picture in pictures])
    assert answer.success, answer.message
    assert (answer.added, answer.blurred, answer.too_small, answer.unlike_the_others) == (6, 1, 1, 1)
    assert answer.considered == 9 and "1 blurred" in answer.message
    (message,) = faces.answers(graph, emotions, publisher, faces.of(2, pictures[:1]))
    assert message.label == "bored" and list(message.classes) == ["happiness", "neutral", "sadness", "bored"]


def test_without_an_id_the_only_face_in_view_is_meant(graph, enrolling, faces):
    _, publisher, emotions = enrolling()
    with Stream(graph, faces, publisher, emotions, steady(), first_id=17):
        answer = ask(graph, "add_anchors", label="neutral", count=3)
    assert answer.success and answer.added == 3
    with Stream(graph, faces, publisher, emotions, steady(), steady(seed=2)):
        answer = ask(graph, "add_anchors", label="neutral", count=3, timeout=0.2)
    assert not answer.success and "exactly one face" in answer.message


def test_frames_parameters_and_other_services_do_not_wait_for_crops_that_do_not_come(graph, enrolling, faces):
    node, publisher, emotions = enrolling()
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(ask(graph, "add_anchors", label="neutral", face_id=9, count=5, timeout=60.0))
    )
    asking.start()
    graph.until(lambda: node._crops._missing, "the service to wait")
    for stamp in range(1, 4):
        (message,) = faces.answers(graph, emotions, publisher, faces.of(stamp))
    assert graph.set(node, k=2).successful
    assert ask(graph, "describe_gallery").success
    (message,) = faces.answers(graph, emotions, publisher, faces.of(5))
    assert (len(message.neighbor_labels), message.gallery_version) == (2, 2)
    assert not answers
    assert graph.transition(node, "deactivate")
    asking.join()
    assert not answers[0].success and "not active" in answers[0].message


def test_frames_flow_while_faces_are_chosen_and_embedded(graph, enrolling, faces, monkeypatch):
    node, publisher, emotions = enrolling()
    choose, choosing, go_on = enrolment.choose, threading.Event(), threading.Event()

    def slow(*arguments):
        choosing.set()
        assert go_on.wait(30)
        return choose(*arguments)

    monkeypatch.setattr(enrolment, "choose", slow)
    images = [image_message(faces.of(1).header, face) for face in steady(3)]
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(graph, "add_anchors", label="neutral", images=images)))
    asking.start()
    assert choosing.wait(20)
    for stamp in range(1, 6):
        assert faces.answers(graph, emotions, publisher, faces.of(stamp))[0].gallery_version == 1
    assert ask(graph, "describe_gallery").success and not answers
    go_on.set()
    asking.join()
    assert answers[0].success
    assert faces.answers(graph, emotions, publisher, faces.of(9))[0].gallery_version == 2


def test_what_came_in_time_is_used(graph, enrolling, faces):
    node, publisher, _ = enrolling()
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(ask(graph, "add_anchors", label="neutral", face_id=1, count=50, timeout=4.0))
    )
    asking.start()
    graph.until(lambda: node._crops._missing, "the service to wait")
    for stamp, crop in enumerate(steady(4)):
        publisher.publish(faces.of(stamp, [crop]))
    asking.join()
    assert answers[0].success and answers[0].added == answers[0].considered == 4


REFUSED = [
    ("add_anchors", {"label": "hapiness", "count": 3}, "set new_class to add one"),
    ("add_anchors", {"label": "unknown", "new_class": True, "count": 3}, "the label is 'unknown'"),
    ("add_anchors", {"label": "neutral", "count": 3, "name": 65 * "x"}, "expected up to 64 printable"),
    ("add_anchors", {"label": "neutral", "count": 3, "name": "a\nb"}, "name is 'a\\nb'"),
    ("add_anchors", {"label": "neutral"}, "count is 0: expected 1 to 200"),
    ("add_anchors", {"label": "neutral", "count": 201}, "count is 201"),
    ("add_anchors", {"label": "neutral", "count": 1, "timeout": float("nan")}, "timeout is nan"),
    ("add_anchors", {"label": "neutral", "count": 1, "face_id": 3, "timeout": 0.1}, "face 3 was in none"),
    ("remove_anchors", {}, "neither names nor a label"),
    ("remove_anchors", {"names": ["nobody"]}, "no anchor has such a name"),
    ("remove_anchors", {"label": "neutral"}, "no anchor would be left for neutral"),
    ("remove_anchors", {"names": ["*"]}, "all 12 anchors"),
    ("save_gallery", {"name": "../escaped"}, "expected a file name"),
    ("save_gallery", {"name": ""}, "expected a file name"),
    ("save_gallery", {"name": ".hidden"}, "expected a file name"),
    ("calibrate_neutral", {"count": 0}, "count is 0"),
    ("calibrate_neutral", {"count": 3, "timeout": 0.1}, "none had exactly one face"),
]


@pytest.mark.parametrize(("name", "fields", "reason"), REFUSED)
def test_a_refused_call_says_why_and_changes_nothing(graph, enrolling, name, fields, reason):
    enrolling()
    before = ask(graph, "describe_gallery")
    answer = ask(graph, name, **fields)
    assert not answer.success and reason in answer.message
    assert ask(graph, "describe_gallery") == before


def test_a_bad_image_is_named(graph, enrolling, faces):
    enrolling()
    good, bad = (image_message(faces.of(1).header, face) for face in steady(2))
    bad.data = bad.data[:7]
    answer = ask(graph, "add_anchors", label="neutral", images=[good, bad])
    assert not answer.success and "images[1]: 7 bytes of data" in answer.message


def test_every_service_answers_in_every_state(graph, artifacts, pair, faces):
    node = graph.start(SiameseEmotion, autostart=False, artifact_dirs=[str(artifacts)], device="cpu", **pair())
    for name in SERVICES:
        answer = ask(graph, name)
        assert not answer.success and "configure it first" in answer.message, name
    assert graph.transition(node, "configure")
    answer = ask(graph, "add_anchors", label="neutral", count=3)
    assert not answer.success and answer.message
    images = [image_message(faces.of(1).header, face) for face in steady(3)]
    assert ask(graph, "add_anchors", label="neutral", images=images).success, "given images need no frames"
    assert ask(graph, "describe_gallery").success
    answer = ask(graph, "save_gallery", name="mine")
    assert not answer.success and "gallery_dir is empty" in answer.message
    assert graph.transition(node, "cleanup")
    assert not ask(graph, "reset_gallery").success


def test_enrolling_and_swapping_at_once_is_done_one_after_the_other(graph, enrolling, faces):
    """Whoever asks, from whatever thread: every change counts once, and a version is one gallery in every answer."""
    node, publisher, emotions = enrolling(gallery_path="gallery_a3_images.safetensors")
    images = [image_message(faces.of(1).header, face) for face in steady(2)]
    enrolled = []

    def enrol():
        for _ in range(15):
            enrolled.append(ask(graph, "add_anchors", label="neutral", images=images))

    asking = threading.Thread(target=enrol)
    with Stream(graph, faces, publisher, emotions, steady(seed=3)):
        asking.start()
        swaps = [graph.set(node, k=1 + number % 5).successful for number in range(15)]
        asking.join()
    assert all(swaps) and all(answer.success for answer in enrolled)
    told = ask(graph, "describe_gallery")
    assert told.gallery_version == 31 and sum(told.unsaved) == 30
    assert len({answer.gallery_version for answer in enrolled}) == 15
    versions = [message.gallery_version for message in emotions]
    assert versions == sorted(versions)
    answered = {(message.gallery_version, message.gallery_id, len(message.neighbor_names)) for message in emotions}
    assert len(answered) == len({version for version, _, _ in answered})


# --- anchors out, saved, and back ---


def test_removed_anchors_answer_no_more_and_a_reset_brings_them_back(graph, enrolling, faces):
    _, publisher, emotions = enrolling()
    (before,) = faces.answers(graph, emotions, publisher, faces.of(1))
    gone = before.neighbor_names[:2]
    answer = ask(graph, "remove_anchors", names=gone)
    assert answer.success and answer.removed == 2 and answer.gallery_version == 2
    (after,) = faces.answers(graph, emotions, publisher, faces.of(2))
    assert not set(after.neighbor_names) & set(gone) and after.gallery_id == answer.gallery_id
    answer = ask(graph, "reset_gallery")
    assert answer.success and (answer.gallery_id, answer.gallery_version) == (before.gallery_id, 3)
    (again,) = faces.answers(graph, emotions, publisher, faces.of(3))
    assert again.neighbor_names == before.neighbor_names


def test_a_class_is_dropped_when_that_is_wanted(graph, enrolling, faces):
    _, publisher, emotions = enrolling()
    assert ask(graph, "remove_anchors", label="neutral", drop_classes=True).removed == 4
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert list(message.classes) == ["happiness", "sadness"]


def test_fewer_anchors_than_k_are_refused(graph, enrolling):
    node, _, _ = enrolling(k=11)
    answer = ask(graph, "remove_anchors", names=["a1", "a2"])
    assert not answer.success and "k is 11: expected 1 to 10" in answer.message
    assert ask(graph, "describe_gallery").counts.tolist() == [4, 4, 4]


def test_a_saved_gallery_is_the_one_in_use_and_can_be_loaded_by_its_name(graph, enrolling, faces, tmp_path):
    node, publisher, emotions = enrolling()
    images = [image_message(faces.of(1).header, face) for face in steady(5)]
    added = ask(graph, "add_anchors", label="neutral", images=images)
    saved = ask(graph, "save_gallery", name="kitchen")
    assert saved.success and saved.path == str(tmp_path / "saved" / "kitchen.gallery.safetensors")
    assert read_gallery(saved.path).fingerprint == saved.gallery_id == added.gallery_id
    told = ask(graph, "describe_gallery")
    assert not told.changed and sum(told.unsaved) == 0 and told.gallery_version == added.gallery_version
    again = ask(graph, "save_gallery", name="kitchen")
    assert not again.success and "set overwrite" in again.message
    assert ask(graph, "save_gallery", name="kitchen", overwrite=True).success
    ask(graph, "reset_gallery")
    assert graph.set(node, gallery_path="kitchen.gallery.safetensors").successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1))
    assert (message.gallery_id, message.gallery_version) == (added.gallery_id, 4)


def test_a_model_is_never_replaced_by_a_gallery(graph, enrolling, artifacts):
    model = artifacts / "model_b.safetensors"
    before = model.read_bytes()
    enrolling(gallery_dir=str(artifacts))
    answer = ask(graph, "save_gallery", name="model_b.safetensors", overwrite=True)
    intact = model.read_bytes() == before
    model.write_bytes(before)  # other tests read it, too
    assert intact and not answer.success and "only a gallery is replaced" in answer.message


def full_disk(path, gallery):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("write", "why"), [(full_disk, "No space left"), (write_gallery, "File exists")])
def test_a_place_that_cannot_be_written_to_is_named_and_nothing_enrolled_is_lost(
    graph, enrolling, faces, tmp_path, monkeypatch, write, why
):
    folder = tmp_path / "saved"
    if write is write_gallery:
        folder.write_text("a file where the folder should be")
    monkeypatch.setattr(enrolment, "write_gallery", write)
    enrolling()
    images = [image_message(faces.of(1).header, face) for face in steady(3)]
    assert ask(graph, "add_anchors", label="neutral", images=images).success
    before = ask(graph, "describe_gallery")
    answer = ask(graph, "save_gallery", name="kitchen")
    assert not answer.success and why in answer.message and "gallery_dir" in answer.message
    assert str(folder / "kitchen.gallery.safetensors") in answer.message
    assert ask(graph, "describe_gallery") == before and before.changed


def test_what_is_enrolled_and_not_saved_goes_with_a_new_gallery_and_the_log_says_so(graph, log, enrolling, faces):
    node, _, _ = enrolling()
    images = [image_message(faces.of(1).header, face) for face in steady(5)]
    assert ask(graph, "add_anchors", label="neutral", images=images).success
    assert graph.set(node, k=3).successful
    assert sum(ask(graph, "describe_gallery").unsaved) == 5, "another k takes nothing away"
    assert graph.set(node, gallery_path="gallery_a2.safetensors").successful
    graph.until(lambda: any("was read or saved is gone" in text for _, text in log), "a warning")


def test_what_is_enrolled_and_not_saved_is_warned_of_when_the_node_is_cleaned_up(graph, log, enrolling, faces):
    node, _, _ = enrolling()
    images = [image_message(faces.of(1).header, face) for face in steady(5)]
    assert ask(graph, "add_anchors", label="neutral", images=images).success
    assert graph.transition(node, "deactivate") and graph.transition(node, "cleanup")
    graph.until(lambda: any("was read or saved is gone" in text for _, text in log), "a warning")


def test_the_name_of_a_removed_anchor_is_not_given_to_another_before_that_is_saved(graph, enrolling, faces):
    enrolling()
    images = [image_message(faces.of(1).header, face) for face in steady(2)]
    assert ask(graph, "add_anchors", label="neutral", images=images).success
    assert ask(graph, "save_gallery", name="mine").success
    assert ask(graph, "remove_anchors", names=["enrolled/*"]).success
    again = ask(graph, "add_anchors", label="neutral", images=images)
    assert list(again.names) == ["enrolled/neutral/3", "enrolled/neutral/4"]
    assert sum(ask(graph, "describe_gallery").unsaved) == 2


def test_enrolled_anchors_with_images_follow_a_change_of_model(graph, enrolling, faces):
    node, publisher, emotions = enrolling(gallery_path="gallery_a3_images.safetensors")
    somebody = steady(8)
    images = [image_message(faces.of(1).header, face) for face in somebody]
    enrolled = ask(graph, "add_anchors", label="sadness", images=images)
    assert graph.set(node, model_path="model_b.safetensors").successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(1, somebody[:1]))
    assert message.label == "sadness" and set(message.neighbor_names) <= set(enrolled.names)
    assert graph.set(node, model_path="model_a.safetensors").successful
    (message,) = faces.answers(graph, emotions, publisher, faces.of(2, somebody[:1]))
    assert message.gallery_id == enrolled.gallery_id


def test_a_directory_that_cannot_be_written_is_the_answer_and_not_the_end(graph, enrolling, tmp_path):
    (tmp_path / "saved").write_text("a file where the folder should be")
    enrolling()
    answer = ask(graph, "save_gallery", name="mine")
    assert not answer.success and "saved" in answer.message
    assert ask(graph, "describe_gallery").success


SAVER = """
import os, sys
from siamese_emotion_ros.recognition.artifacts import read_gallery, write_gallery
first, second = (read_gallery(path) for path in sys.argv[1:3])
for _ in sys.stdin:
    child = os.fork()
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        continue
    while True:
        for gallery in (first, second):
            write_gallery(sys.argv[3], gallery)
"""


def test_kill_9_while_saving_leaves_a_whole_gallery(artifacts, tmp_path):
    """Killed in the midst of writing over and over, it leaves one of the two whole galleries each time."""
    sources = [str(artifacts / name) for name in ("gallery_a3_images.safetensors", "gallery_a2.safetensors")]
    wholes = {read_gallery(path).fingerprint for path in sources}
    target, killed = tmp_path / "saved.gallery.safetensors", 30
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVER, *sources, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    for attempt in range(killed):
        saver.stdin.write("again\n")
        saver.stdin.flush()
        child = int(saver.stdout.readline())
        while not target.exists():
            time.sleep(0.001)
        time.sleep(0.0007 * attempt)
        os.kill(child, signal.SIGKILL)
        assert read_gallery(target).fingerprint in wholes
    saver.communicate()
    others = [name for name in os.listdir(tmp_path) if name != target.name]
    assert all(name.startswith(f".{target.name}.") for name in others), "what is half-written hides"
    assert len(others) < 2, "each new writer removes what the one before it left"
    write_gallery(target, read_gallery(sources[0]))
    assert os.listdir(tmp_path) == [target.name], "the next save removes what was half-written"


# --- a person's own neutral ---


def test_a_calibrated_face_is_neutral_at_rest_and_nobody_else_is_touched(graph, enrolling, faces):
    _, publisher, emotions = enrolling(k=1)
    # Of made-up people, one whom the gallery does not take for neutral.
    people = [steady(8, seed) for seed in range(20, 40)]
    array = faces.of(1, [person[0] for person in people])
    stranger = next(m.face_id for m in faces.answers(graph, emotions, publisher, array) if m.label != "neutral")
    resting = people[stranger - 1]
    (before, other) = faces.answers(graph, emotions, publisher, faces.of(2, [resting[0], faces.CROPS[0]], first_id=5))
    with Stream(graph, faces, publisher, emotions, resting, first_id=5) as stream:
        answer = ask(graph, "calibrate_neutral", face_id=5, count=8)
        assert answer.success, answer.message
    assert (answer.face_id, answer.used, answer.gallery_version) == (5, 8, 2) and answer.offset > 0
    array = faces.of(stream.next_stamp, [resting[0], faces.CROPS[0]], first_id=5)
    (after, same) = faces.answers(graph, emotions, publisher, array)
    assert after.gallery_version == 2 and after.gallery_id == before.gallery_id
    assert before.personal_offset == same.personal_offset == 0
    assert after.personal_offset == pytest.approx(answer.offset), "every answer says that it was corrected"
    neutral = list(after.classes).index("neutral")
    assert after.class_distances[neutral] < before.class_distances[neutral]
    assert same.neighbor_distances == other.neighbor_distances and same.label == other.label
    assert ask(graph, "describe_gallery").calibrated_face_ids.tolist() == [5]
    assert ask(graph, "reset_gallery").success
    assert not ask(graph, "describe_gallery").calibrated_face_ids
    (reset, _) = faces.answers(graph, emotions, publisher, array)
    assert reset.neighbor_distances == before.neighbor_distances and reset.personal_offset == 0


def test_a_calibrated_face_is_enrolled_as_it_is_compared(graph, enrolling, faces):
    _, publisher, emotions = enrolling(k=1)
    resting, face = steady(8), steady(8, seed=31)
    with Stream(graph, faces, publisher, emotions, resting, first_id=5) as stream:
        assert ask(graph, "calibrate_neutral", face_id=5, count=8).success
    with Stream(graph, faces, publisher, emotions, face, first_id=5, start=stream.sent) as stream:
        enrolled = ask(graph, "add_anchors", label="sadness", face_id=5, count=8)
    assert enrolled.success, enrolled.message
    (answer,) = faces.answers(graph, emotions, publisher, faces.of(stream.next_stamp, face[:1], first_id=5))
    assert answer.personal_offset > 0
    assert set(answer.neighbor_names) <= set(enrolled.names) and answer.label == "sadness"


def test_a_gallery_of_images_takes_no_calibrated_face(graph, enrolling, faces):
    _, publisher, emotions = enrolling(gallery_path="gallery_a3_images.safetensors")
    with Stream(graph, faces, publisher, emotions, steady(), first_id=5):
        refused = ask(graph, "calibrate_neutral", face_id=6, count=3, timeout=0.1)
        assert not refused.success and refused.gallery_version == 1
        assert ask(graph, "calibrate_neutral", face_id=5, count=8).success
        answer = ask(graph, "add_anchors", label="sadness", face_id=5, count=3)
    assert not answer.success and "face 5 has a personal neutral" in answer.message


def test_nobody_has_the_neutral_of_who_was_there_before_a_pause(graph, enrolling, faces):
    """A face_crop that was started anew begins its ids at 1 again."""
    _, publisher, emotions = enrolling()
    with Stream(graph, faces, publisher, emotions, steady()) as stream:
        assert ask(graph, "calibrate_neutral", face_id=1, count=5).success
    (still,) = faces.answers(graph, emotions, publisher, faces.of(stream.next_stamp))
    (later,) = faces.answers(graph, emotions, publisher, faces.of(stream.next_stamp + 3000))
    assert still.personal_offset > 0 and later.personal_offset == 0
    assert later.gallery_version == still.gallery_version
    assert not ask(graph, "describe_gallery").calibrated_face_ids


def test_a_gallery_without_neutral_has_nothing_to_compare_with(graph, enrolling):
    enrolling(gallery_path="gallery_a2.safetensors")
    answer = ask(graph, "calibrate_neutral", face_id=1, count=3)
    assert not answer.success and "the gallery knows anger, fear, not neutral" in answer.message


def test_a_calibration_stays_with_its_model(graph, enrolling, faces, pair):
    node, publisher, emotions = enrolling()
    with Stream(graph, faces, publisher, emotions, steady()):
        assert ask(graph, "calibrate_neutral", count=5).success
    assert graph.set(node, k=3).successful
    assert ask(graph, "describe_gallery").calibrated_face_ids.tolist() == [1]
    assert graph.set(node, atomically=True, **pair("b", "b3")).successful
    assert not ask(graph, "describe_gallery").calibrated_face_ids


def test_a_stop_does_not_wait_for_crops(graph, enrolling):
    """The end of the process is not held up by a service that waits two minutes."""
    node, _, _ = enrolling()
    client = graph.node.create_client(AddAnchors, "siamese_emotion/add_anchors")
    assert client.wait_for_service(20)
    client.call_async(AddAnchors.Request(label="neutral", face_id=9, count=5, timeout=120.0))
    graph.until(lambda: node._crops._missing, "the service to wait")
    stopping = threading.Thread(target=graph._threads.stop, daemon=True)
    stopping.start()
    graph.until(lambda: not stopping.is_alive(), "the threads to end")


def test_the_interfaces_are_the_documented_ones(graph, enrolling):
    enrolling()
    wanted = {f"{graph.namespace}/siamese_emotion/{name}": service for name, service in SERVICES.items()}
    offered = dict(graph.node.get_service_names_and_types())
    for name, service in wanted.items():
        assert offered[name] == [f"siamese_emotion_ros/srv/{service.__name__}"]


