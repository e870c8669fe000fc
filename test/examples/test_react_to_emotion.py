"""The example behaviours react to steady changes only, and both in the same way."""
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Through the links of an installed tree to the sources.
EXAMPLES = next(
    (parent / "examples" for parent in Path(__file__).resolve().parents if (parent / "examples" / "cpp").is_dir()), None
)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("react_to_emotion", EXAMPLES / "react_to_emotion.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def reactions(example, labels, step=0.1, confidence=1.0, face_id=1, **limits):
    """(number of the frame, before, now) of each reaction to labels that come one a step."""
    emotions = example.SteadyEmotions(**limits)
    found = []
    for number, label in enumerate(labels):
        change = emotions.update(face_id, label, confidence, 100.0 + number * step)
        if change is not None:
            found.append((number, change.before, change.now))
    return found


#: Runs a script, and says when its node is being spun: rclpy raises another error over a signal before that.
TELLING = """
import rclpy, runpy, sys
spin = rclpy.spin
rclpy.spin = lambda node: (node.create_timer(0.1, lambda: print("spins", flush=True)), spin(node))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_in_order(number):
    if not all(importlib.util.find_spec(name) for name in ("rclpy", "siamese_emotion_ros.msg")):
        pytest.skip("ROS is not sourced")
    process = subprocess.Popen(
        [sys.executable, "-c", TELLING, str(EXAMPLES / "react_to_emotion.py")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        assert process.stdout.readline() == "spins\n"
        time.sleep(0.05)  # until it waits for the next turn of the timer
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, complaints) == (0, "")


def test_a_steady_emotion_is_reacted_to_once(example):
    assert reactions(example, ["neutral"] * 30, hold=0.45) == [(5, None, "neutral")]


def test_a_change_is_reacted_to_once_it_has_held(example):
    found = reactions(example, ["neutral"] * 10 + ["happiness"] * 20, hold=0.45)
    assert found == [(5, None, "neutral"), (15, "neutral", "happiness")]


def test_single_frames_that_flicker_change_nothing(example):
    labels = ["neutral"] * 10 + ["fear", "neutral", "neutral"] * 10
    assert reactions(example, labels, hold=0.45) == [(5, None, "neutral")]


def test_unknown_and_unclear_frames_neither_help_nor_harm(example):
    assert reactions(example, ["sadness", "unknown"] * 10, hold=0.45) == [(6, None, "sadness")]
    assert reactions(example, ["sadness"] * 30, confidence=0.3, hold=0.45) == []


def test_a_face_that_was_away_begins_anew(example):
    emotions = example.SteadyEmotions(hold=0.0, forget=1.0)
    assert emotions.update(1, "anger", 1.0, 10.0).before is None
    assert emotions.update(1, "anger", 1.0, 10.9) is None
    assert emotions.update(1, "anger", 1.0, 12.0).before is None


def test_faces_do_not_disturb_each_other(example):
    emotions = example.SteadyEmotions(hold=0.15)
    found = [emotions.update(face, label, 1.0, 1.0 + number / 10)
             for number in range(3) for face, label in ((1, "anger"), (2, "fear"))]
    assert [(change.face_id, change.now) for change in found if change] == [(1, "anger"), (2, "fear")]


def test_a_recording_that_starts_again_is_a_new_scene(example):
    emotions = example.SteadyEmotions(hold=0.0)
    assert emotions.update(1, "anger", 1.0, 50.0)
    assert emotions.update(1, "anger", 1.0, 10.0).before is None


def test_a_message_that_comes_late_is_left_out(example):
    emotions = example.SteadyEmotions(hold=0.5)
    found = [emotions.update(1, label, 1.0, stamp) for label, stamp in (
        ("anger", 10.0), ("anger", 10.4), ("fear", 10.2), ("anger", 10.6))]
    assert [change.now for change in found if change] == ["anger"]


@pytest.mark.parametrize("limits", [{"hold": -1}, {"enter": 2}, {"forget": 0}, {"hold": float("nan")}])
def test_limits_that_make_no_sense_are_refused(example, limits):
    with pytest.raises(ValueError, match="expected"):
        example.SteadyEmotions(**limits)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_both_languages_react_alike(example, tmp_path):
    """A random stream with gaps, jumps and unclear frames through both."""
    (tmp_path / "main.cpp").write_text(
        '#include <iostream>\n#include "steady_emotions.hpp"\n'
        "int main() {\n"
        "  SteadyEmotions emotions(0.25, 0.5, 1.0);\n"
        "  std::uint32_t face; std::string label; double confidence, stamp;\n"
        "  while (std::cin >> face >> label >> confidence >> stamp) {\n"
        "    const auto change = emotions.update(face, label, confidence, stamp);\n"
        '    if (change) std::cout << stamp << " " << change->face_id << " " <<\n'
        '      (change->before.empty() ? "-" : change->before) << " " << change->now << "\\n";\n'
        "  }\n}\n"
    )
    program = tmp_path / "steady"
    subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{EXAMPLES / 'cpp'}",
                    str(tmp_path / "main.cpp"), "-o", str(program)], check=True)
    chance = random.Random(3)
    stream, stamp = [], 0
    for _ in range(3000):
        stamp += chance.choice([1, 1, 1, 1, 1, 30, -50 if chance.random() < 0.02 else 1])
        label = chance.choice(["anger", "anger", "anger", "fear", "unknown"]) if stamp % 400 < 200 else "fear"
        stream.append((chance.choice([1, 1, 2]), label, chance.choice([0.25, 0.75, 1.0]), stamp / 16))
    emotions = example.SteadyEmotions(0.25, 0.5, 1.0)
    expected = [
        f"{message[3]:g} {change.face_id} {change.before or '-'} {change.now}"
        for message in stream for change in [emotions.update(*message)] if change
    ]
    text = "".join(f"{face} {label} {confidence} {stamp}\n" for face, label, confidence, stamp in stream)
    answer = subprocess.run([str(program)], input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert answer.splitlines() == expected
    assert len(expected) > 50


@pytest.mark.skipif(
    not any((Path(prefix) / "share" / "rclcpp" / "cmake").is_dir()
            for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":")),
    reason="rclcpp is not here: PyPI has no wheel of it",
)
def test_the_node_in_cpp_compiles(tmp_path):
    subprocess.run(["cmake", "-S", str(EXAMPLES / "cpp"), "-B", str(tmp_path / "build")], check=True)
    subprocess.run(["cmake", "--build", str(tmp_path / "build")], check=True)
