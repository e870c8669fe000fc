"""`siamese-emotion evaluate-bag` as a user runs it, on recordings made here and a random network."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from siamese_emotion_ros.bags.decoding import EMOTION, FACES, decode, typestore
from siamese_emotion_ros.bags.reading import Bag
from siamese_emotion_ros.cli import evaluate_bag as command
from siamese_emotion_ros.recognition.artifacts import ModelSpec, write_gallery, write_model
from siamese_emotion_ros.recognition.gallery import build_gallery
from siamese_emotion_ros.recognition.model import EmbeddingModel
from siamese_emotion_ros.recognition.networks import build_network

app = typer.Typer()
app.command()(command.evaluate_bag)

EMOTIONS = ("anger", "happiness", "sadness")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """A random network and a gallery for it: which emotion it sees is anybody's guess, and always the same."""
    folder = tmp_path_factory.mktemp("artifacts")
    torch.manual_seed(0)
    write_model(folder / "model.safetensors", build_network("paper", 48, 16).state_dict(),
                ModelSpec("paper", 48, 16, "unit"))
    random = np.random.default_rng(7)
    faces = [random.integers(0, 256, (48, 48), np.uint8) for _ in range(12)]
    labels = np.arange(12) % 3
    gallery = build_gallery(
        EmbeddingModel.load(folder / "model.safetensors", "cpu"), faces, labels, EMOTIONS,
        [f"anchor{i}" for i in range(12)], k=3,
    )
    write_gallery(folder / "made.gallery.safetensors", gallery)
    return ["--model", folder / "model.safetensors", "--gallery", folder / "made.gallery.safetensors",
            "--detector", "haar", "--threshold", "inf"]


@pytest.fixture(scope="module")
def clip(small_portrait):
    """Twelve images: a face in the first eight and the last one."""
    nobody = np.zeros_like(small_portrait)
    return [small_portrait] * 8 + [nobody] * 3 + [small_portrait]


@pytest.fixture(scope="module")
def recording(tmp_path_factory, bag_making, clip):
    """The clip at ten images a second; the truth is spoken at the second, sixth and eighth image."""
    path = tmp_path_factory.mktemp("recording") / "party"
    return bag_making.pictures_bag(path, clip, labels=[(0.1, "happy"), (0.5, "sad"), (0.7, "")], storage="mcap")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def report_of(tmp_path, *arguments):
    path = tmp_path / "report.json"
    result = run(*arguments, "--json", path)
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text()), result.output


def test_a_recording_without_a_truth_says_who_was_seen_when(recording, artifacts, tmp_path):
    report, output = report_of(tmp_path, recording, *artifacts, "--html", tmp_path / "page.html")
    images, faces = report["bag"]["images"], report["bag"]["faces"]
    assert (images["n"], images["size"], images["rate"], images["missing"]) == (12, [320, 240], 10.0, 0)
    assert images["seconds"] == pytest.approx(1.1)
    assert images["recording_delay_ms"] == {"p50": 5.0, "p99": 5.0, "max": 5.0}
    assert faces["images_with_face"] == 9 and faces["sightings"] == 9
    first = faces["faces"]["1"]
    assert (first["start"], first["truth"]) == (0.0, [])
    assert sum(stretch["images"] for stretch in first["timeline"]) == first["images"]
    assert first["timeline"][0]["end"] == pytest.approx(0.8)
    assert "top1" not in report
    page = (tmp_path / "page.html").read_text()
    assert "Face 1" in page and "<svg" in page and "12 of 320×240 pixels" in page
    assert "12 images in" in output


def test_faces_are_held_against_the_label_of_their_moment(recording, artifacts, tmp_path):
    report, output = report_of(
        tmp_path, recording, *artifacts, "--truth", "/truth", "--html", tmp_path / "page.html"
    )
    # Said at 0.1 s and 0.5 s, and taken back at 0.7 s: images 1 to 4 are happy, 5 and 6 sad, and the rest without.
    assert {label: row["n"] for label, row in report["per_class"].items()} == {
        "anger": 0, "happiness": 4, "sadness": 2,
    }
    seen = report["bag"]["faces"]["faces"]["1"]["labels"]
    (label,) = seen  # the same picture each time
    assert report["top1"] == pytest.approx({"happiness": 4, "sadness": 2}.get(label, 0) / 6)
    assert report["left_out"] == {"no true label at that time": 3}
    assert report["confidence_intervals"]["resampled"] == "subjects"
    truth = report["bag"]["faces"]["faces"]["1"]["truth"]
    assert [(stretch["label"], stretch["start"], stretch["end"]) for stretch in truth] == [
        ("happiness", 0.1, 0.5), ("sadness", 0.5, 0.7),
    ]
    assert "party, against /truth" in output
    page = (tmp_path / "page.html").read_text()
    assert "Each emotion against the rest" in page and "Face 1" in page and "The stream of images" in page


def test_intervals_of_a_file_count_from_the_first_image_or_since_1970(recording, artifacts, bag_making, tmp_path):
    for offset in (0.0, bag_making.BEGIN / 1e9):
        truth = tmp_path / "truth.csv"
        truth.write_text(
            f"start,end,label,face_id\n{offset},{offset + 0.35},Happy,\n{offset + 0.3},{offset + 0.6},SA,1\n"
        )
        report, _ = report_of(tmp_path, recording, *artifacts, "--truth", truth)
        # What is said about face 1 goes before what is said about all, at image 3.
        assert {label: row["n"] for label, row in report["per_class"].items()} == {
            "anger": 0, "happiness": 3, "sadness": 3,
        }


@pytest.mark.parametrize(("text", "reason"), [
    ("", "expected start,end,label"),
    ("from,to,label\n0,1,sad\n", "expected start,end,label"),
    ("start,end,label\n", "no intervals"),
    ("start,end,label\n0,x,sad\n", "line 2: end is 'x': expected seconds"),
    ("start,end,label\n0,1,sad\n1,0.5,sad\n", "line 3: end 0.5 is not after start 1"),
    ("start,end,label\n0,1,cheerful\n", "line 2: unknown emotion 'cheerful'"),
    ("start,end,label,face_id\n0,1,sad,Ann\n", "face_id is 'Ann': expected a whole number"),
    ("start,end,label\n0,2,sad\n1,3,happy\n", "lines 2 and 3 overlap"),
    ("start,end,label\n90,91,sad\n", "no face was seen at a time for which"),
])
def test_a_file_of_intervals_that_makes_no_sense_is_refused_with_its_line(
    recording, artifacts, tmp_path, text, reason
):
    truth = tmp_path / "truth.csv"
    truth.write_text(text)
    result = run(recording, *artifacts, "--truth", truth)
    assert result.exit_code == 2
    assert reason in result.output and "Traceback" not in result.output


def test_words_that_are_no_emotions_of_ours_are_left_out_and_named(bag_making, clip, artifacts, tmp_path):
    path = bag_making.pictures_bag(tmp_path / "bag", clip, labels=[(0.0, "bored"), (0.2, "sad")])
    report, _ = report_of(tmp_path, path, *artifacts, "--truth", "truth")
    assert report["n"] == 7
    assert any("'bored' (1)" in notice for notice in report["notices"])


def test_emotions_that_the_gallery_does_not_know_are_named(bag_making, clip, artifacts, tmp_path):
    path = bag_making.pictures_bag(tmp_path / "bag", clip, labels=[(0.0, "contempt"), (0.2, "sad")])
    report, _ = report_of(tmp_path, path, *artifacts, "--truth", "truth")
    assert any("face(s) show contempt, which the gallery does not know" in notice for notice in report["notices"])
    path = bag_making.pictures_bag(tmp_path / "contempt", clip, labels=[(0.0, "contempt")])
    report, _ = report_of(tmp_path, path, *artifacts, "--truth", "truth")
    assert "top1" not in report and any("contempt" in notice for notice in report["notices"])


def test_stamps_that_jump_back_behind_the_first_image_are_drawn_too(bag_making, portrait, artifacts, tmp_path):
    messages = []
    for place, tenth in enumerate((50, 51, 52, 0, 1, 2)):
        stamp = bag_making.BEGIN + tenth * 100_000_000
        picture = bag_making.image(portrait if tenth < 50 else portrait * 0, stamp)
        messages.append(("/image_raw", bag_making.IMAGE, bag_making.BEGIN + place, picture))
    path = bag_making.write_bag(tmp_path / "bag", messages)
    report, _ = report_of(tmp_path, path, *artifacts, "--html", tmp_path / "page.html")
    assert report["bag"]["images"]["seconds"] == pytest.approx(5.2)
    assert "-5 s" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_two_runs_give_identical_files(recording, artifacts, tmp_path):
    made = []
    for number in range(2):
        folder = tmp_path / "new" / str(number)
        files = ["--json", folder / "r.json", "--html", folder / "r.html", "--video", folder / "video" / "r.mp4",
                 "--results", folder / "copy" / "results"]
        result = run(recording, *artifacts, "--truth", "/truth", *files)
        assert result.exit_code == 0, result.output
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        made.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
    assert set(made[0]) == {
        "r.json", "r.html", "video/r.mp4", "copy/results/results.mcap", "copy/results/metadata.yaml",
    }
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


def test_the_video_shows_every_image_at_the_rate_of_the_recording(recording, artifacts, clip, tmp_path):
    assert run(recording, *artifacts, "--video", tmp_path / "seen.mp4").exit_code == 0
    video = cv2.VideoCapture(str(tmp_path / "seen.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    shown = [video.read()[1] for _ in clip]
    assert not video.read()[0]
    changed = [float(cv2.absdiff(image, original).max()) for image, original in zip(shown, clip)]
    assert min(changed[:8]) > 100 > max(changed[8:11])


def test_the_copy_holds_every_message_and_the_answers(recording, artifacts, tmp_path):
    from rosbags.highlevel import AnyReader

    report, _ = report_of(tmp_path, recording, *artifacts, "--results", tmp_path / "copy")
    with Bag(recording) as before, Bag(tmp_path / "copy") as after:
        assert list(after.messages(list(before.topics))) == list(before.messages())
        answers = [decode(EMOTION, message.data) for message in after.messages(["/evaluation/emotion"])]
        times = [message.time for message in after.messages()]
    assert times == sorted(times)
    assert len(answers) == 9
    assert {answer.label for answer in answers} == set(report["bag"]["faces"]["faces"]["1"]["labels"])
    assert answers[0].header.frame_id == "camera" and answers[0].face_count == 1
    assert len(answers[0].model_id) == len(answers[0].gallery_id) == 64
    # Another reader finds our definition in the file itself.
    with AnyReader([tmp_path / "copy"]) as reader:
        connection = next(c for c in reader.connections if c.topic == "/evaluation/emotion")
        _, _, data = next(reader.messages([connection]))
        assert list(reader.deserialize(data, connection.msgtype).classes) == list(EMOTIONS)


def test_the_answers_of_one_evaluation_are_a_truth_for_the_next(recording, artifacts, tmp_path):
    assert run(recording, *artifacts, "--results", tmp_path / "copy").exit_code == 0
    report, _ = report_of(tmp_path, tmp_path / "copy", *artifacts, "--truth", "/evaluation/emotion")
    assert (report["n"], report["top1"]) == (9, 1.0)
    assert report["bag"]["recorded"] == []


def test_what_the_robot_answered_while_recording_is_counted(bag_making, clip, artifacts, tmp_path):
    types = typestore().types
    messages = []
    for number, picture in enumerate(clip):
        stamp = bag_making.BEGIN + number * 100_000_000
        messages.append(("/image_raw", bag_making.IMAGE, stamp, bag_making.image(picture, stamp)))
        if number % 2 == 0:
            faces = types[FACES](header=bag_making.header(stamp), image_width=320, image_height=240, faces=[],
                                 images_replaced=number // 2)
            messages.append(("/faces", FACES, stamp + 1, faces))
        if number in (0, 2):
            messages.append(("/emotion", EMOTION, stamp + 2, answer(bag_making, stamp, "anger", number + 40)))
    path = bag_making.write_bag(tmp_path / "bag", messages)
    report, output = report_of(tmp_path, path, *artifacts)
    by_topic = {figures["topic"]: figures for figures in report["bag"]["recorded"]}
    assert by_topic["/faces"]["not_looked_at"] == 6 and by_topic["/faces"]["images_replaced"] == 5
    emotion = by_topic["/emotion"]
    assert (emotion["images"], emotion["compared"]) == (2, 2)
    assert emotion["latency_ms"] == {"p50": 41.0, "p99": pytest.approx(41.98), "max": 42.0}
    seen = set(report["bag"]["faces"]["faces"]["1"]["labels"])
    assert emotion["agreement"] == (1.0 if seen == {"anger"} else 0.0)
    assert "2 answers were recorded" in output


def answer(bag_making, stamp, label, latency_ms):
    types = typestore().types
    return types[EMOTION](
        header=bag_making.header(stamp), face_id=1, face_count=1,
        roi=types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=9, width=9, do_rectify=False),
        detection_score=1.0, label=label, confidence=1.0, classes=[label], class_scores=np.float32([1]),
        class_distances=np.float32([0]), neighbor_labels=[], neighbor_distances=np.float32([]), neighbor_names=[],
        model_id="m", gallery_id="g", gallery_version=1, personal_offset=0.0,
        latency=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=latency_ms * 1_000_000),
    )


def test_gaps_jumps_and_broken_images_are_counted(bag_making, portrait, artifacts, tmp_path):
    messages = []
    for place, tenth in enumerate((0, 1, 2, 5, 6, 0, 1)):  # 3 and 4 are not there; then it starts again
        stamp = bag_making.BEGIN + tenth * 100_000_000
        picture = bag_making.image(portrait, stamp)
        if place == 4:
            picture.data = picture.data[:1000]
        messages.append(("/image_raw", bag_making.IMAGE, bag_making.BEGIN + place, picture))
    path = bag_making.write_bag(tmp_path / "bag", messages)
    report, _ = report_of(tmp_path, path, *artifacts)
    images = report["bag"]["images"]
    assert (images["n"], images["missing"], images["jumps_back"], images["largest_gap_ms"]) == (6, 2, 1, 300.0)
    assert list(images["unreadable"].values()) == [1]
    assert images["recording_delay_ms"] is None
    # After a jump back nobody is who they were.
    assert sorted(report["bag"]["faces"]["faces"]) == ["1", "2"]


def test_a_cut_off_recording_is_evaluated_as_far_as_it_goes_and_says_so(bag_making, clip, artifacts, tmp_path):
    path = bag_making.pictures_bag(tmp_path / "bag", clip)
    bag_making.cut(path / "bag.db3", 0.5)
    report, output = report_of(tmp_path, path, *artifacts)
    assert 3 <= report["bag"]["images"]["n"] <= 7
    assert any("read as far as it goes" in notice for notice in report["notices"])
    assert "as far as it goes" in " ".join(output.split())


@pytest.mark.parametrize(("arguments", "reason"), [
    (["{tmp}/missing"], "no such file or folder"),
    (["{bag}", "--image", "/left"], "no images on /left: choose one of /camera/image_raw (12)"),
    (["{bag}", "--truth", "/nothing"], "neither a topic of"),
    (["{bag}", "--truth", "/camera/image_raw"], "is a sensor_msgs/msg/Image: expected"),
    (["{bag}", "--k", "99"], "k is 99"),
    (["{bag}", "--detection-width", "1"], "detection_width is 1"),
    (["{bag}", "--results", "{bag}"], "exists already"),
    (["{bag}", "--results", "{tmp}/copy", "--results-topic", "/truth"], "has a topic /truth already"),
    (["{bag}", "--results", "/proc/no/where"], "/proc takes no file"),
])
def test_mistakes_are_one_line_before_the_replay_and_exit_code_2(recording, artifacts, tmp_path, arguments, reason):
    given = [argument.format(bag=recording, tmp=tmp_path) for argument in arguments]
    result = run(given[0], *artifacts, *given[1:])
    assert result.exit_code == 2
    assert reason in result.output and "Traceback" not in result.output
    assert "images in" not in result.output
    assert not (tmp_path / "copy").exists()


def test_a_recording_without_definitions_as_humble_makes_it_is_copied_too(bag_making, clip, artifacts, tmp_path):
    import sqlite3

    path = bag_making.write_bag(
        tmp_path / "bag",
        [("/image_raw", bag_making.IMAGE, 5, bag_making.image(clip[0], 5)),
         ("/odd", "odd_msgs/msg/Mood", 6, bag_making.expression("sad", 6))],
        definitions={"odd_msgs/msg/Mood": bag_making.EXPRESSION},
    )
    database = sqlite3.connect(path / "bag.db3")
    database.execute("DROP TABLE message_definitions")
    database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    database.execute("DROP TABLE schema")
    database.commit()
    database.close()
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"]["version"] = 5
    for topic in metadata["rosbag2_bagfile_information"]["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
        topic["topic_metadata"]["offered_qos_profiles"] = ""
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    result = run(path, *artifacts, "--results", tmp_path / "copy")
    assert result.exit_code == 0, result.output
    assert "does not say what a odd_msgs/msg/Mood consists of" in " ".join(result.output.split())
    with Bag(tmp_path / "copy") as copy:
        assert {name: topic.count for name, topic in copy.topics.items()} == {
            "/image_raw": 1, "/evaluation/emotion": 1,
        }
        assert "std_msgs/Header header" in copy.topics["/image_raw"].definition
