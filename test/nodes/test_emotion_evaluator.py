import json

import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import RegionOfInterest
from siamese_emotion_ros.msg import EmotionStamped, FaceCropArray
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from siamese_emotion_ros.nodes.conversions import duration_message
from siamese_emotion_ros.nodes.emotion_evaluator import REPORT, EmotionEvaluator

CLASSES = ["happiness", "sadness"]


def emotion(tenth, label, face_id=1, x=0):
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 1000 + tenth // 10, tenth % 10 * 100_000_000
    return EmotionStamped(
        header=header, face_id=face_id, face_count=1, label=label, confidence=1.0, classes=CLASSES,
        roi=RegionOfInterest(x_offset=x, y_offset=0, width=40, height=40),
        class_scores=[float(name == label) for name in CLASSES], model_id="m", gallery_id="g",
        latency=duration_message(25_000_000),
    )


class Evaluated:
    """An evaluator on the graph, and what is published for it."""

    def __init__(self, graph, truth_type, **parameters):
        self.graph = graph
        self.emotions = graph.publisher(EmotionStamped, "emotion", 100)
        self.truths = graph.publisher(String if truth_type == "string" else EmotionStamped, "truth", 100)
        self.node = graph.start(EmotionEvaluator, truth_type=truth_type, **parameters)
        graph.until_state(self.node, "active")
        graph.until(lambda: self.emotions.get_subscription_count() == 1, "a listener")
        if not parameters.get("truth_file"):
            graph.until(lambda: self.truths.get_subscription_count() == 1, "a listener to the truth")

    def heard(self, count):
        self.graph.until(lambda: len(self.node._evaluation) == count, f"{count} answers")

    def ask(self, service="report"):
        return self.graph.call(Trigger, f"emotion_evaluator/{service}", Trigger.Request())


def test_answers_are_held_against_truths_with_their_stamp_and_reported_when_asked(graph, tmp_path):
    evaluated = Evaluated(graph, "emotion", output_dir=str(tmp_path))
    assert "0 answers" in evaluated.ask().message
    for tenth in range(4):
        evaluated.truths.publish(emotion(tenth, "happiness", x=3))
        evaluated.emotions.publish(emotion(tenth, "happiness" if tenth else "sadness"))
    evaluated.heard(4)
    graph.until(lambda: "4 of 4 answers have a truth" in evaluated.ask().message, "all truths")
    answer = evaluated.ask()
    assert answer.success and "top-1 75.0%" in answer.message and "latency 25 ms" in answer.message
    report = json.loads((tmp_path / REPORT).read_text())
    assert (report["n"], report["top1"], report["rounds"]) == (4, 0.75, 1)


def test_a_loop_with_the_recordings_clock_is_evaluated_round_by_round(graph):
    newest = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    clock = graph.publisher(Clock, "/clock", newest)
    evaluated = Evaluated(graph, "string", use_sim_time=True)
    graph.until(lambda: clock.get_subscription_count() >= 1, "a listener to the clock")
    for number, truth in enumerate(("happy", "sad"), 1):
        tick = Clock()
        tick.clock.sec = 1000

        def told(tick=tick):
            clock.publish(tick)
            return evaluated.node.get_clock().now().nanoseconds == 1000 * 10**9

        graph.until(told, "the time of the recording")
        evaluated.truths.publish(String(data=truth))
        for tenth in range(1, 12, 5):
            evaluated.emotions.publish(emotion(tenth, "happiness"))
        evaluated.heard(3 * number)
        tick.clock.sec = 1001
        clock.publish(tick)
    graph.until(lambda: "6 of 6 answers" in evaluated.ask().message, "all labels")
    message = evaluated.ask().message
    assert "top-1 50.0%" in message and "2 round(s)" in message


def test_a_file_is_a_truth_too(graph, tmp_path):
    (tmp_path / "truth.csv").write_text("start,end,label\n0,0.15,happiness\n0.15,1,sadness\n")
    evaluated = Evaluated(graph, "emotion", truth_file=str(tmp_path / "truth.csv"))
    images = graph.publisher(FaceCropArray, "faces", 100)
    graph.until(lambda: images.get_subscription_count() == 1, "a listener to the images")
    images.publish(FaceCropArray(header=emotion(-2, "").header))  # nobody is there yet
    graph.until(lambda: evaluated.node._evaluation._first_images, "the first image")
    for tenth in range(-1, 3):
        evaluated.emotions.publish(emotion(tenth, "happiness"))
    evaluated.heard(4)
    assert "4 of 4 answers have a truth: top-1 25.0%" in evaluated.ask().message


def test_a_truth_file_that_is_spoilt_meanwhile_costs_the_report_and_not_what_was_heard(graph, log, tmp_path):
    whole = "start,end,label\n0,1,happiness\n"
    file = tmp_path / "truth.csv"
    file.write_text(whole)
    evaluated = Evaluated(graph, "emotion", truth_file=str(file))
    evaluated.emotions.publish(emotion(1, "happiness"))
    evaluated.heard(1)
    file.write_text("start,end,label\n0,1,cheerful\n")
    answer = evaluated.ask()
    assert not answer.success and "cheerful" in answer.message
    assert graph.transition(evaluated.node, "deactivate") and graph.state(evaluated.node) == "inactive"
    graph.until(lambda: any("there is no report" in text and "cheerful" in text for _, text in log), "its reason")
    file.write_text(whole)
    assert "1 of 1 answers have a truth" in evaluated.ask().message


@pytest.mark.parametrize("odd", [
    {"label": "joy"}, {"confidence": float("nan")}, {"label": "unknown", "classes": [], "class_scores": []},
    {"class_scores": [1.0], "label": "sadness"},
])
def test_a_message_that_is_no_answer_is_left_out_and_spoils_nothing(graph, log, odd):
    evaluated = Evaluated(graph, "emotion")
    for tenth in (1, 2):
        evaluated.truths.publish(emotion(tenth, "happiness"))
    strange = emotion(1, "happiness")
    for name, value in odd.items():
        setattr(strange, name, value)
    evaluated.emotions.publish(strange)
    evaluated.emotions.publish(emotion(2, "happiness"))
    evaluated.heard(1)
    graph.until(lambda: "1 of 1 answers have a truth: top-1 100.0%" in evaluated.ask().message, "a report")
    assert any("left out" in text for _, text in log)


def test_the_end_of_a_node_is_a_report(graph, log, tmp_path):
    evaluated = Evaluated(graph, "emotion", output_dir=str(tmp_path))
    evaluated.emotions.publish(emotion(1, "happiness"))
    evaluated.heard(1)
    assert graph.transition(evaluated.node, "active_shutdown")
    assert json.loads((tmp_path / REPORT).read_text())["answers"] == 1
    graph.until(lambda: any("1 answers, none of them with a truth" in text for _, text in log), "a line about it")


def test_the_folder_for_the_report_may_be_at_home(graph, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "reports").mkdir()
    assert Evaluated(graph, "emotion", output_dir="~/reports").ask().success
    assert json.loads((tmp_path / "reports" / REPORT).read_text())["answers"] == 0


def test_a_deactivation_keeps_what_was_heard_and_reset_forgets_it(graph):
    evaluated = Evaluated(graph, "emotion")
    evaluated.emotions.publish(emotion(1, "happiness"))
    evaluated.heard(1)
    assert graph.transition(evaluated.node, "deactivate") and graph.transition(evaluated.node, "activate")
    assert "1 answers" in evaluated.ask().message
    assert evaluated.ask("reset").success
    assert "0 answers" in evaluated.ask().message


def test_an_unconfigured_node_has_nothing_to_say(graph):
    node = graph.start(EmotionEvaluator, autostart=False)
    for service in ("report", "reset"):
        answer = graph.call(Trigger, f"{node.get_name()}/{service}", Trigger.Request())
        assert not answer.success and "unconfigured" in answer.message


@pytest.mark.parametrize(("name", "text", "reason"), [
    ("truth_file", None, "no such file"),
    ("truth_file", "start,end,label\n0,1,cheerful\n", "unknown emotion 'cheerful'"),
    ("output_dir", None, "expected a folder that can be written to"),
])
def test_what_cannot_be_read_or_written_refuses_the_configuration(graph, log, tmp_path, name, text, reason):
    path = tmp_path / "given"
    if text is not None:
        path.write_text(text)
    node = graph.start(EmotionEvaluator, **{name: str(path)})
    graph.until(lambda: any(reason in line for _, line in log), reason)
    assert graph.state(node) == "unconfigured"


def test_a_recording_played_in_a_loop_is_evaluated_on_its_way_through_the_pipeline(
    graph, artifacts, bag_making, tmp_path, portrait
):
    """bag_player with its clock, face_crop, siamese_emotion and the evaluator, all on the recording's time."""
    from siamese_emotion_ros.nodes.bag_player import BagPlayer
    from siamese_emotion_ros.nodes.face_crop import FaceCrop
    from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

    path = bag_making.pictures_bag(tmp_path / "bag", [portrait] * 6, rate=5.0, labels=[(0.1, "sad")], topic="/image")
    evaluator = graph.start(EmotionEvaluator, use_sim_time=True)
    others = [
        graph.start(FaceCrop, detector="haar", use_sim_time=True),
        graph.start(SiameseEmotion, model_path="model_a.safetensors", gallery_path="gallery_a3.safetensors",
                    artifact_dirs=[str(artifacts)], device="cpu", use_sim_time=True),
    ]
    # The label is recorded on /truth; the evaluator listens in the namespace of this test.
    said = graph.publisher(String, "truth")
    graph.node.create_subscription(String, "/truth", said.publish, 10)
    for node in (evaluator, *others):
        graph.until_state(node, "active")
    graph.start(BagPlayer, bag=str(path), others="/truth", loop=True, clock_rate=200.0, wait_for_subscribers=1)

    def report():
        return evaluator._evaluation.report()

    graph.until(lambda: report()["rounds"] >= 3 and report()["n"] >= 3, "three rounds")
    heard = report()
    assert heard["ignored"] == {} and heard["classes"] == ["happiness", "neutral", "sadness"]
    assert sum(heard["confusion"]["counts"][2]) == heard["n"]  # sadness is all that was said
    assert 0 <= heard["latency_ms"]["p50"] < 60_000  # by the recording's clock
