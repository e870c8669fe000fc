"""The demo as a user runs it: the installed executable, its processes, what it prints and what it leaves behind."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix

from siamese_emotion_ros.nodes import emotion_demo


@pytest.fixture
def demo(artifacts, tmp_path):
    """Starts the demo with our small model; arguments may override."""
    executable = Path(get_package_prefix("siamese_emotion_ros"), "lib", "siamese_emotion_ros", "emotion_demo")
    running = []

    def make(*arguments):
        process = subprocess.Popen(
            [str(executable), "--output", str(tmp_path / "out"), "--model", str(artifacts / "model_a.safetensors"),
             "--gallery", str(artifacts / "gallery_a3.safetensors"), "--detector", "haar", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        running.append(process)
        return process

    yield make
    for process in running:
        if process.poll() is None:
            process.kill()
            process.communicate()


def finished(process, patience=120):
    output, _ = process.communicate(timeout=patience)
    return process.returncode, output


@pytest.fixture
def clip(tmp_path, portrait):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), portrait if number < 15 else np.zeros_like(portrait))
    return folder


def children_of(pid):
    """Processes whose parent is `pid`."""
    children = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{pid}\n" in status.read_text():
                children.append(int(status.parent.name))
        except OSError:
            continue
    return children


def test_every_frame_of_a_clip_is_answered_shown_and_recorded(demo, clip, tmp_path):
    status, output = finished(demo("--source", str(clip)))
    assert status == 0, output
    out = tmp_path / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["frames_with_face"], summary["frames_unanswered"]) == (20, 15, 0)
    assert summary["face_ids"] == [1]
    assert summary["stamps_equal"] is True
    assert (summary["images_replaced"], summary["smoothing"]) == (0, 9)
    assert set(summary["labels"][:15]) <= {"happiness", "neutral", "sadness"} and summary["labels"][15:] == [None] * 5
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert len(summary["model"]) == len(summary["gallery"]) == 64
    video = cv2.VideoCapture(str(out / summary["video"]))
    assert sum(1 for _ in iter(lambda: video.read()[0], False)) == 20
    assert cv2.imread(str(out / summary["contact_sheet"])) is not None
    assert "20, 15 with a face (75%)" in output and "summary.json" in output


def test_every_image_of_a_recording_is_answered_with_its_recorded_stamp(demo, tmp_path, portrait, bag_making):
    path = bag_making.pictures_bag(tmp_path / "bag", [portrait] * 6 + [np.zeros_like(portrait)] * 2, storage="mcap")
    status, output = finished(demo("--source", str(path)))
    assert status == 0, output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames"], summary["frames_with_face"], summary["frames_unanswered"]) == (8, 6, 0)
    assert summary["stamps_equal"] is True
    # By the recording's clock, not by that of today.
    assert 0 < summary["latency_ms"]["p50"] < 60_000


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--source", "/no/such/clip.mp4"], "/no/such/clip.mp4: no such file"),
        (["--source", "{text}"], "not a video"),
        (["--source", "{clip}", "--output", "{text}/out"], "choose another --output"),
    ],
)
def test_what_cannot_be_played_or_recorded_is_refused_before_the_start(demo, clip, tmp_path, arguments, reason):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    status, output = finished(demo(*[argument.format(text=text, clip=clip) for argument in arguments]))
    assert status == 1
    assert reason in " ".join(output.split()) and "Traceback" not in output


def test_a_node_that_refuses_its_configuration_is_reported_with_its_reason(demo, clip):
    status, output = finished(demo("--source", str(clip), "--gallery", "missing.safetensors"))
    assert status == 1
    text = " ".join(output.split())
    assert "the demo stopped" in text and "gallery_path is 'missing.safetensors'" in text and "Traceback" not in text


def test_a_child_that_dies_ends_the_demo_with_a_report(demo, clip):
    process = demo("--source", str(clip), "--rate", "0.5")
    pipeline = []
    end = time.monotonic() + 60
    while not pipeline and time.monotonic() < end:
        pipeline = [pid for pid in children_of(process.pid) if b"emotion_pipeline" in cmdline(pid)]
        time.sleep(0.05)
    os.kill(pipeline[0], signal.SIGKILL)
    status, output = finished(process)
    assert status == 1 and "emotion_pipeline ended with status -9" in output


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_ctrl_c_ends_demo_and_children_and_still_writes_the_summary(demo, clip, tmp_path):
    process = demo("--source", str(clip), "--rate", "1")
    shown = [""]
    while "face 1" not in shown[-1]:
        shown.append(process.stdout.readline())
        assert shown[-1], "the demo ended before it showed a face:\n" + "".join(shown)
    children = children_of(process.pid)
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    status, output = finished(process)
    assert status == 0 and "Traceback" not in output, output
    assert not [pid for pid in children if b"siamese_emotion_ros" in cmdline(pid)]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 0 < summary["frames"] < 20 and summary["stamps_equal"] is True


def test_artifacts_come_from_the_folders_of_files_that_were_named(tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"")
    assert emotion_demo.folders_of((str(mine), str(mine))) == [str(tmp_path)]
    assert emotion_demo.folders_of(("", "compact_fer2013.safetensors")) == []


def test_every_argument_is_explained():
    assert not [action.dest for action in emotion_demo._parser()._actions if not action.help]
