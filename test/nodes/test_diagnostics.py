"""What /diagnostics says about a node: by counters and a clock that the test sets, then on the graph."""
import cv2
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from siamese_emotion_ros.nodes import image_source
from siamese_emotion_ros.nodes.bag_player import BagPlayer
from siamese_emotion_ros.nodes.conversions import image_message
from siamese_emotion_ros.nodes.diagnostics import NO_FACE, SILENCE, StreamStatistics
from siamese_emotion_ros.nodes.emotion_evaluator import EmotionEvaluator
from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion
from siamese_emotion_ros.nodes.sources import SourceError

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE
)


class Stage:
    """An active node's statistics, with a clock of our own."""

    def __init__(self):
        self.now = 100.0
        self.statistics = StreamStatistics(lambda: self.now)
        self.statistics.state = "active"
        self.replaced = 0
        self.statistics.replaced = lambda: self.replaced

    def second(self, images=10, latency_ms=20, face=True, replaced=0):
        """One second of images, and the report at its end."""
        for _ in range(images):
            self.now += 1.0 / images
            self.statistics.received()
            if face:
                self.statistics.saw_face()
            self.statistics.published(latency_ms * 1_000_000)
        if not images:
            self.now += 1.0
        self.replaced += replaced
        return self.statistics.report(faces_expected=True)


@pytest.fixture
def stage():
    return Stage()


def test_a_node_that_refuses_what_it_gets_is_in_error_and_says_why(stage):
    stage.second()
    for _ in range(20):
        for _ in range(10):
            stage.statistics.received()
            stage.statistics.refused("unknown encoding '64FC1'")
        report = stage.second(images=0)
    assert report.level == ERROR and report.message.endswith("messages refused, the last: unknown encoding '64FC1'")
    assert report.values["messages refused"] == "200"
    assert report.values["last refusal"] == "unknown encoding '64FC1'"
    for _ in range(12):
        report = stage.second()
    assert report.level == OK


def test_a_node_that_works_is_ok_and_says_its_rates_and_latency(stage):
    for latency in (10, 20, 30):
        report = stage.second(latency_ms=latency)
    assert (report.level, report.message) == (OK, "working")
    values = report.values
    assert (values["rate in [1/s]"], values["rate out [1/s]"]) == ("10.0", "10.0")
    assert (values["latency median [ms]"], values["latency p99 [ms]"]) == ("20.0", "30.0")
    assert (values["messages replaced by newer"], values["last refusal"]) == ("0", "none")


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "finalized"])
def test_a_node_that_is_not_active_is_stale(stage, state):
    stage.statistics.state = state
    stage.statistics.fault = "the camera is gone"
    assert stage.second()[:2] == (STALE, state)


def test_silence_is_an_error_until_something_comes(stage):
    stage.second()
    levels = [stage.second(images=0).level for _ in range(int(SILENCE) + 2)]
    assert levels == [OK] * int(SILENCE) + [ERROR] * 2
    assert stage.second().level == OK


def test_silence_with_an_excuse_is_well(stage):
    stage.statistics.idle_reason = "clip.mp4 has ended"
    assert stage.second()[:2] == (OK, "working")
    stage.now += 10 * SILENCE
    assert stage.second(images=0)[:2] == (OK, "clip.mp4 has ended")


def test_a_lost_source_is_an_error_until_it_is_back(stage):
    stage.statistics.fault = "webcam 0 gives no more frames"
    assert stage.second()[:2] == (ERROR, "webcam 0 gives no more frames")
    stage.statistics.fault = ""
    assert stage.second().level == OK


def test_a_node_that_leaves_many_images_undone_is_slow_and_recovers(stage):
    assert stage.second(images=8, replaced=1).level == OK
    report = stage.second(images=8, replaced=9)
    assert report.level == WARN and "slow: 10 of 26" in report.message
    assert report.values["messages replaced by newer"] == "10"
    assert [stage.second().level for _ in range(12)][-1] == OK


def test_long_without_a_face_is_a_warning_where_faces_are_expected(stage):
    for _ in range(int(NO_FACE) + 1):
        report = stage.second(face=False)
    assert report.level == WARN and "no face for" in report.message
    assert stage.statistics.report(faces_expected=False).level == OK
    assert stage.second().level == OK


def test_stamps_of_another_clock_are_a_warning_with_a_hint(stage):
    report = stage.second(latency_ms=3_600_000)
    assert report.level == WARN and "stamps are 3600 s old: does use_sim_time" in report.message


def test_stamps_ahead_of_the_clock_are_as_well(stage):
    report = stage.second(latency_ms=-3_600_000)
    assert report.level == WARN and "stamps are 3600 s ahead: does use_sim_time" in report.message


def test_an_activation_forgets_what_was_before(stage):
    stage.second(replaced=50)
    stage.statistics.fault = "gone"
    stage.replaced = 0
    stage.statistics.begin()
    report = stage.second()
    assert (report.level, report.values["rate in [1/s]"]) == (OK, "10.0")


# --- on the graph ---


@pytest.fixture
def heard(graph):
    """heard(node): every status of a node so far, newest last, as (level, message, values)."""
    arrays = graph.listen(DiagnosticArray, "/diagnostics", 1000)

    def of(node):
        name = node.get_fully_qualified_name()
        return [
            (status.level, status.message, {value.key: value.value for value in status.values})
            for array in arrays for status in array.status if status.name == name
        ]

    return of


def test_a_node_is_stale_before_it_is_active_and_once_it_is_deactivated(graph, heard):
    node = graph.start(FaceCrop, autostart=False, detector="haar")
    graph.until(lambda: heard(node), "a first status")
    assert heard(node)[-1][:2] == (STALE, "unconfigured")
    for transition, state in (("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive"),
                              ("cleanup", "unconfigured")):
        assert graph.transition(node, transition)
        graph.until(lambda state=state: heard(node)[-1][2]["state"] == state, state)
        assert (heard(node)[-1][0] == STALE) == (state != "active")


def test_a_working_node_says_what_it_works_with(graph, heard, portrait):
    node = graph.start(FaceCrop, detector="haar")
    images = graph.publisher(Image, "image_raw")
    graph.until_state(node, "active")

    def working():
        now = graph.node.get_clock().now().to_msg()
        images.publish(image_message(Header(stamp=now), portrait))
        return heard(node) and "latency median [ms]" in heard(node)[-1][2]

    graph.until(working, "a status with a latency")
    level, _, values = heard(node)[-1]
    assert level in (OK, WARN)  # WARN where this machine is slow
    assert values["detector"] == "haar" and float(values["latency median [ms]"]) > 0


def test_images_with_old_stamps_are_a_hint_at_the_clock(graph, heard, portrait):
    node = graph.start(FaceCrop, detector="haar")
    images = graph.publisher(Image, "image_raw")
    graph.until_state(node, "active")

    def warned():
        images.publish(image_message(Header(stamp=Time(sec=5)), portrait))
        return heard(node) and "use_sim_time" in heard(node)[-1][1]

    graph.until(warned, "a warning")
    assert heard(node)[-1][0] == WARN


def test_what_was_refused_is_told_until_something_else_is(graph, heard):
    node = graph.start(FaceCrop, detector="yunet", detector_model="/no/such.onnx")
    graph.until(lambda: heard(node) and "/no/such.onnx" in heard(node)[-1][2]["last refusal"], "the refusal")
    assert heard(node)[-1][:2] == (STALE, "unconfigured")
    assert not graph.set(node, detector="none").successful
    graph.until(lambda: "'none'" in heard(node)[-1][2]["last refusal"], "the newer refusal")


def test_a_lost_webcam_is_an_error(graph, heard, monkeypatch):
    def gone(source, rate):
        raise SourceError("webcam 0 cannot be opened.")

    monkeypatch.setattr(image_source, "open_source", gone)
    node = graph.start(ImageSource, source="0")
    graph.until(lambda: heard(node) and heard(node)[-1][0] == ERROR, "an error")
    assert "webcam 0 cannot be opened" in heard(node)[-1][1]


def test_a_source_that_has_ended_is_well(graph, heard, tmp_path, portrait):
    cv2.imwrite(str(tmp_path / "one.png"), portrait)
    node = graph.start(ImageSource, source=str(tmp_path / "one.png"), rate=100.0)
    graph.until(lambda: heard(node) and "has ended" in heard(node)[-1][1], "its end")
    assert heard(node)[-1][0] == OK


def test_an_overlay_that_nobody_watches_is_well(graph, heard):
    node = graph.start(EmotionOverlay)
    graph.until(lambda: heard(node) and heard(node)[-1][1] == "nobody watches", "its reason")
    assert heard(node)[-1][0] == OK


def test_an_evaluator_is_well_while_nobody_is_in_view(graph, heard):
    node = graph.start(EmotionEvaluator)
    graph.until(lambda: heard(node) and "nobody is in view" in heard(node)[-1][1], "its reason")
    assert heard(node)[-1][0] == OK


def test_a_player_says_what_it_plays(graph, heard, bag_making, tmp_path, portrait):
    path = bag_making.pictures_bag(tmp_path / "bag", [portrait] * 2)
    node = graph.start(BagPlayer, bag=str(path), wait_for_subscribers=1)
    graph.until(lambda: heard(node) and "waiting for 1 subscriber" in heard(node)[-1][1], "its reason")
    assert heard(node)[-1][0] == OK and heard(node)[-1][2]["bag"] == str(path)


def test_the_recogniser_says_which_model_and_gallery_answer(graph, heard, artifacts):
    node = graph.start(
        SiameseEmotion, model_path="model_a.safetensors", gallery_path="gallery_a3.safetensors",
        artifact_dirs=[str(artifacts)], device="cpu", backend="torch",
    )
    graph.until(lambda: heard(node) and "gallery" in heard(node)[-1][2], "its gallery")
    before = heard(node)[-1][2]
    assert (before["device"], before["anchors"], before["gallery version"]) == ("cpu, fp32, torch", "12", "1")
    assert not graph.set(node, gallery_path="missing.safetensors").successful
    assert graph.set(node, gallery_path="gallery_a2.safetensors").successful
    graph.until(lambda: heard(node)[-1][2]["gallery version"] == "2", "the swap")
    after = heard(node)[-1][2]
    assert after["model"] == before["model"] and after["gallery"] != before["gallery"]
    assert "missing.safetensors" in after["last refusal"]
