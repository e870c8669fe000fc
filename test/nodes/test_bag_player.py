

import numpy as np
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool, String

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes.bag_player import BagPlayer, RecordedImages
from siamese_emotion_ros.nodes.conversions import nanoseconds

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def pictures():
    return [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(1, 7)]


@pytest.fixture
def play(graph):
    """Starts a player that waits for us to listen; the images so far, what was said about its end, and the node."""
    def make(path, kind=Image, topic="image_raw", **parameters):
        images = graph.listen(kind, topic, 100)
        ended = graph.listen(Bool, "bag_player/ended", LATCHED)
        values = {"bag": str(path), "rate": 20.0, "wait_for_subscribers": 1, **parameters}
        return images, ended, graph.start(BagPlayer, **values)

    return make


def numbers(images):
    return [round(float(image_from_message(image).mean()) / 10) for image in images]


def has_ended(ended):
    return bool(ended) and ended[-1].data


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("make", ["image", "compressed"])
def test_images_are_published_once_with_their_recorded_stamps(
    graph, play, bag_making, tmp_path, pictures, storage, make
):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, make=getattr(bag_making, make), storage=storage)
    images, ended, _ = play(path)
    graph.until(lambda: has_ended(ended) and len(images) == 6, "the end")
    assert numbers(images) == [1, 2, 3, 4, 5, 6]
    assert [nanoseconds(image.header.stamp) for image in images] == [
        bag_making.BEGIN + number * 100_000_000 for number in range(6)
    ]
    assert {(image.encoding, image.header.frame_id) for image in images} == {("bgr8", "camera")}


def test_compressed_images_may_stay_as_they_were_recorded(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, make=bag_making.compressed)
    images, ended, _ = play(path, CompressedImage, "image_raw/compressed", decompress=False)
    graph.until(lambda: has_ended(ended) and len(images) == 6, "the end")
    assert numbers(images) == [1, 2, 3, 4, 5, 6]


def test_a_loop_begins_again_with_stamps_that_jump_back(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    images, ended, node = play(path, loop=True)
    graph.until(lambda: len(images) >= 13, "more than two rounds")
    assert numbers(images)[:13] == [1, 2, 3, 4, 5, 6] * 2 + [1]
    assert nanoseconds(images[6].header.stamp) == bag_making.BEGIN
    assert not has_ended(ended)
    assert graph.set(node, loop=False).successful
    graph.until(lambda: has_ended(ended), "the end")


def test_a_deactivated_player_goes_on_where_it_was(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    images, ended, node = play(path, rate=1.0)
    graph.until(lambda: len(images) >= 2, "two images")
    assert graph.transition(node, "deactivate")
    assert graph.set(node, rate=20.0).successful
    assert graph.transition(node, "activate")
    graph.until(lambda: has_ended(ended) and len(images) >= 6, "the end")
    assert numbers(images) == [1, 2, 3, 4, 5, 6]


def test_the_clock_tells_the_time_of_the_recording(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    newest = QoSProfile(depth=1000, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    clock = graph.listen(Clock, "/clock", newest)
    images, ended, node = play(path, rate=1.0, clock_rate=100.0)
    graph.until(lambda: has_ended(ended) and len(images) == 6, "the end")
    times = [nanoseconds(tick.clock) - bag_making.BEGIN for tick in clock]
    assert times == sorted(times)
    # Half a second of recording, in which more is said than there are messages.
    assert len(times) > 12 and times[0] < 250_000_000 and times[-1] == 505_000_000
    assert not graph.set(node, clock_rate=0.0).successful


def test_another_rate_has_the_clock_go_on_from_where_it_is(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures[:2], rate=0.5)
    newest = QoSProfile(depth=1000, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    clock = graph.listen(Clock, "/clock", newest)
    images, ended, node = play(path, rate=1.0, clock_rate=100.0)

    def told():
        return nanoseconds(clock[-1].clock) - bag_making.BEGIN if clock else 0

    graph.until(lambda: told() > 500_000_000, "the clock between the two images")
    assert graph.set(node, rate=0.01).successful
    before = len(clock)
    graph.until(lambda: len(clock) > before + 10, "the clock at the lower rate")
    assert graph.set(node, rate=100.0).successful
    graph.until(lambda: has_ended(ended) and len(images) == 2, "the end")
    times = [nanoseconds(tick.clock) for tick in clock]
    assert times == sorted(times)


def test_other_topics_are_published_under_their_own_names(graph, play, bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, labels=[(0.15, "sad"), (0.3, "happy")])
    said = graph.listen(String, "/truth", 100)
    images, ended, _ = play(path, others="/truth")
    graph.until(lambda: has_ended(ended) and len(images) == 6 and len(said) == 2, "the end")
    assert [message.data for message in said] == ["sad", "happy"]


def test_what_was_latched_when_it_was_recorded_is_latched_again(graph, play, bag_making, tmp_path, pictures):
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
    from rosbags.rosbag2 import Writer

    from siamese_emotion_ros.bags.decoding import typestore

    latched = Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, QosTime(0, 0), QosTime(0, 0),
        QosLiveliness.AUTOMATIC, QosTime(0, 0), False,
    )
    with Writer(tmp_path / "bag", version=9) as writer:
        for time, topic, kind, message, offered in (
            (1, "/where", bag_making.STRING, bag_making.string("kitchen"), [latched]),
            (2, "/camera/image_raw", bag_making.IMAGE, bag_making.image(pictures[0], 2), []),
        ):
            connection = writer.add_connection(topic, kind, typestore=typestore(), offered_qos_profiles=offered)
            writer.write(connection, time, typestore().serialize_cdr(message, kind))
    images, ended, _ = play(tmp_path / "bag", others="/where")
    graph.until(lambda: has_ended(ended) and images, "the end")
    late = graph.listen(String, "/where", LATCHED)
    graph.until(lambda: late, "what was said before")
    assert [message.data for message in late] == ["kitchen"]


def test_a_cut_off_recording_is_played_as_far_as_it_goes(graph, play, bag_making, tmp_path, pictures, log):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    bag_making.cut(path / "bag.db3", 0.8)
    images, ended, _ = play(path)
    graph.until(lambda: has_ended(ended) and images, "the end")
    assert numbers(images) == list(range(1, len(images) + 1))
    graph.until(lambda: any("read as far as it goes" in text for _, text in log), "a word about it")


def test_an_image_that_cannot_be_decoded_is_named_and_left_out(graph, play, bag_making, tmp_path, pictures, log):
    broken = bag_making.compressed(pictures[2], bag_making.BEGIN + 1)
    broken.data = broken.data[: len(broken.data) // 2]
    messages = [("/image", bag_making.COMPRESSED, bag_making.BEGIN + number, message) for number, message in enumerate(
        [bag_making.compressed(pictures[0], 1), broken, bag_making.compressed(pictures[4], 3)]
    )]
    images, ended, _ = play(bag_making.write_bag(tmp_path / "bag", messages))
    graph.until(lambda: has_ended(ended) and len(images) == 2, "the end")
    assert numbers(images) == [1, 5]
    graph.until(lambda: any("truncated" in text for _, text in log), "its reason")


@pytest.mark.parametrize(("parameters", "reason"), [
    ({"bag": ""}, "bag is empty"),
    ({"bag": "/no/such/bag"}, "no such file or folder"),
    ({"image": "/left"}, "no images on /left"),
    ({"others": "/left"}, "others names /left"),
    ({"others": "/odd"}, "not installed here"),
])
def test_what_cannot_be_played_refuses_the_configuration(
    graph, play, bag_making, tmp_path, pictures, log, parameters, reason
):
    messages = [
        ("/image", bag_making.IMAGE, 1, bag_making.image(pictures[0], 1)),
        ("/odd", "odd_msgs/msg/Mood", 2, bag_making.expression("sad", 1)),
    ]
    path = bag_making.write_bag(
        tmp_path / "bag", messages, definitions={"odd_msgs/msg/Mood": bag_making.EXPRESSION}
    )
    _, _, node = play(path, **parameters)
    graph.until(lambda: any(reason in text for _, text in log), reason)
    assert graph.state(node) == "unconfigured"


def test_a_look_at_the_images_before_they_are_played(bag_making, tmp_path, pictures):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    source = RecordedImages(str(path))
    assert (source.rate, source.total, source.live) == (pytest.approx(10.0), 6, False)
    for _ in range(2):
        assert [round(float(source.read().mean()) / 10) for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        assert source.read() is None
        source.rewind()
    source.close()

