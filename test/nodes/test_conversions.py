import sys
from array import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from siamese_emotion_ros.faces.image_messages import (
    ENCODINGS,
    ImageError,
    drawable,
    frame_from_message,
    image_from_message,
)
from siamese_emotion_ros.nodes.conversions import ReusedImage, duration_message, image_message

HEIGHT, WIDTH = 12, 16


@pytest.fixture
def colors():
    """A smooth BGR picture, so that encodings that share colour between pixels lose little."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.stack((60 + 8 * x, 200 - 9 * y, 90 + 4 * x + 3 * y), axis=2).astype(np.uint8)


@pytest.fixture
def grays(colors):
    return colors[:, :, 2].copy()


def tolerance(encoding):
    return 14 if encoding.startswith(("bayer", "yuv", "uyvy", "yuyv", "nv")) else 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_shows_the_picture(pictures, encoding, colors, grays):
    rows, expected = pictures.encoded(encoding, colors, grays)
    image = image_from_message(pictures.message_of(encoding, rows))
    assert image.dtype == np.uint8 and image.shape == expected.shape
    # A mosaic knows less at the border, where it has neighbours on one side only.
    inner = np.s_[2:-2, 2:-2] if encoding.startswith("bayer") else np.s_[:]
    difference = np.abs(image[inner].astype(int) - expected[inner])
    assert difference.max() <= tolerance(encoding)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "nv24"])
@pytest.mark.parametrize("padding", [4, 48])
def test_padding_at_the_end_of_rows_changes_nothing(pictures, encoding, padding, colors, grays):
    rows, _ = pictures.encoded(encoding, colors, grays)
    padded = image_from_message(pictures.message_of(encoding, rows, padding=padding))
    np.testing.assert_array_equal(padded, image_from_message(pictures.message_of(encoding, rows)))


def test_padded_nv24_has_chroma_rows_of_two_steps(pictures, colors):
    y, u, v = pictures.yuv(colors)
    step = WIDTH + 8
    data = np.full((3 * HEIGHT, step), 0xA5, np.uint8)
    data[:HEIGHT, :WIDTH] = y
    data[HEIGHT:].reshape(HEIGHT, 2 * step)[:, : 2 * WIDTH] = np.stack((u, v), axis=2).reshape(HEIGHT, -1)
    message = Image(height=HEIGHT, width=WIDTH, encoding="nv24", step=step, data=array("B", data.tobytes()))
    assert np.abs(image_from_message(message).astype(int) - colors).max() <= tolerance("nv24")


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@pytest.mark.parametrize("step", [2 * WIDTH, WIDTH * 3 // 2])
def test_unpadded_planes_are_read_whatever_the_driver_calls_a_step(pictures, encoding, step, colors, grays):
    rows, _ = pictures.encoded(encoding, colors, grays)
    message = pictures.message_of(encoding, rows)
    expected = image_from_message(message)
    message.step = step
    np.testing.assert_array_equal(image_from_message(message), expected)


@pytest.mark.parametrize("encoding", ["mono16", "bgr16", "bayer_rggb16", "32FC1"])
def test_big_endian_is_read_as_such(pictures, encoding, colors, grays):
    rows, _ = pictures.encoded(encoding, colors, grays)
    np.testing.assert_array_equal(
        image_from_message(pictures.message_of(encoding, rows, big_endian=True, padding=8)),
        image_from_message(pictures.message_of(encoding, rows)),
    )


@pytest.mark.parametrize("encoding", ["bgr8", "mono8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_what_needs_no_conversion_is_not_copied(pictures, encoding, padding, colors, grays):
    message = pictures.message_of(encoding, pictures.encoded(encoding, colors, grays)[0], padding=padding)
    assert np.shares_memory(image_from_message(message), np.frombuffer(message.data, np.uint8))


def test_data_beyond_the_last_row_is_ignored(pictures, grays):
    message = pictures.message_of("mono8", grays)
    message.data.extend([1, 2, 3])
    np.testing.assert_array_equal(image_from_message(message), grays)


def spoilt(**changes):
    def spoil(message):
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoilt(width=0, step=0), "0x12"),
        (spoilt(height=0), "16x0"),
        (spoilt(data=array("B", bytes(HEIGHT * WIDTH * 3 - 1))), "575 bytes of data"),
        (spoilt(data=array("B")), "0 bytes of data"),
        (spoilt(step=WIDTH * 3 - 1), "step is 47"),
        (spoilt(step=0), "step is 0"),
        (spoilt(encoding="rgb9"), "'rgb9'"),
        (spoilt(encoding=""), "unknown encoding ''"),
        (spoilt(encoding="x" * 5000), "unknown encoding"),
        (spoilt(width=20000, height=2, step=60000, data=array("B", bytes(120000))), "20000x2"),
        (spoilt(width=2**31, height=2**31), "expected sides of at most"),
        (spoilt(encoding="nv12", width=15), "even width"),
        (spoilt(encoding="yuv422", width=15), "even width"),
        (spoilt(encoding="nv12", width=WIDTH, step=WIDTH * 3, height=11), "even width and height"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_with_the_reason(pictures, spoil, reason, colors):
    with pytest.raises(ImageError, match=reason) as refusal:
        image_from_message(spoil(pictures.message_of("bgr8", pictures.flat(colors))))
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("encoding", ["nv12", "nv24"])
@pytest.mark.parametrize("padding", [0, 8])
def test_planes_that_are_shorter_than_they_say_are_refused(pictures, encoding, padding, colors, grays):
    message = pictures.message_of(encoding, pictures.encoded(encoding, colors, grays)[0], padding=padding)
    message.data = message.data[:-9]
    with pytest.raises(ImageError, match="bytes of data: 16x12 nv.* takes"):
        image_from_message(message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 3.7])
def test_floats_that_are_no_grey_values_are_refused(pictures, value, grays):
    floats = grays.astype(np.float32) / 255
    floats[3, 4] = value
    with pytest.raises(ImageError, match="32FC1"):
        image_from_message(pictures.message_of("32FC1", floats))


# --- compressed ---


def compressed(suffix, picture, **parameters):
    data = cv2.imencode(suffix, picture, *parameters.values())[1].tobytes()
    return CompressedImage(format=suffix[1:], data=array("B", data))


def test_png_and_jpeg_show_the_picture_and_stay_gray_when_they_are(colors, grays):
    np.testing.assert_array_equal(image_from_message(compressed(".png", colors)), colors)
    np.testing.assert_array_equal(image_from_message(compressed(".png", grays)), grays)
    assert image_from_message(compressed(".jpg", grays)).shape == grays.shape
    assert np.abs(image_from_message(compressed(".jpg", colors)).astype(int) - colors).mean() < 8


def test_jpeg_with_padding_after_its_end_is_read(colors):
    message = compressed(".jpg", colors)
    expected = image_from_message(message)
    message.data.extend(bytes(100))
    np.testing.assert_array_equal(image_from_message(message), expected)


def test_jpeg_with_fill_bytes_before_a_marker_is_read(colors):
    message = compressed(".jpg", colors)
    expected = image_from_message(message)
    message.data[2:2] = array("B", b"\xff\xff")
    np.testing.assert_array_equal(image_from_message(message), expected)


def test_progressive_jpeg_is_read(colors):
    message = compressed(".jpg", colors, flags=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert image_from_message(message).shape == colors.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.1, 0.02, 0.0])
def test_truncated_data_is_refused(suffix, kept, portrait):
    message = compressed(suffix, portrait)
    message.data = message.data[: int(len(message.data) * kept)]
    with pytest.raises(ImageError, match="truncated|expected a jpeg or png"):
        image_from_message(message)


def test_jpeg_truncated_after_a_whole_thumbnail_is_refused(portrait, colors):
    """The end of an embedded thumbnail is not the end of the image."""
    thumbnail = bytes(compressed(".jpg", colors).data)
    whole = bytes(compressed(".jpg", portrait).data)
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    message = CompressedImage(format="jpeg", data=array("B", whole[:2] + segment + whole[2:]))
    assert image_from_message(message).shape == portrait.shape
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(ImageError, match="truncated"):
        image_from_message(message)


def test_a_small_png_that_promises_an_enormous_picture_is_refused(colors):
    message = compressed(".png", colors)
    message.data[16:20] = array("B", (60000).to_bytes(4, "big"))
    with pytest.raises(ImageError, match="60000x12"):
        image_from_message(message)


def test_damaged_contents_and_other_formats_are_refused(colors):
    message = compressed(".png", colors)
    message.data[40:60] = array("B", bytes(20))
    for bad in (message, CompressedImage(format="gif", data=array("B", b"GIF89a....")),
                CompressedImage(format="16UC1; compressedDepth", data=compressed(".png", colors).data)):
        with pytest.raises(ImageError):
            image_from_message(bad)


# --- out ---


@pytest.mark.parametrize("picture", ["colors", "grays"])
def test_an_image_survives_the_way_into_a_message_and_back(picture, request):
    image = request.getfixturevalue(picture)
    header = Header(stamp=Time(sec=3, nanosec=4), frame_id="eye")
    for shown in (image, image[::2, 1:-3]):
        message = image_message(header, shown)
        assert message.header == header
        assert message.step * message.height == len(message.data)
        np.testing.assert_array_equal(image_from_message(message), shown)


def test_a_reused_message_shows_each_frame_in_turn_and_follows_their_size(colors):
    reused = ReusedImage()
    for number, frame in enumerate((colors, colors[::-1], colors[:6], colors)):
        message = reused.fill(Header(frame_id=str(number)), frame)
        assert (message.header.frame_id, message.height) == (str(number), len(frame))
        np.testing.assert_array_equal(image_from_message(message), frame)


def test_a_reused_message_keeps_its_memory_while_the_size_stays(colors):
    reused = ReusedImage()
    before = np.frombuffer(reused.fill(Header(), colors).data, np.uint8)
    assert np.shares_memory(before, np.frombuffer(reused.fill(Header(), colors).data, np.uint8))


def test_rgb8_is_not_converted_before_it_is_searched(pictures, colors):
    message = pictures.message_of("rgb8", np.ascontiguousarray(colors[:, :, ::-1]))
    frame, rgb = frame_from_message(message)
    assert rgb and np.shares_memory(frame, np.frombuffer(message.data, np.uint8))
    np.testing.assert_array_equal(frame[:, :, ::-1], colors)
    assert not frame_from_message(image_message(Header(), colors))[1]


def test_a_reused_message_is_drawn_into_where_it_lies(colors, grays):
    reused = ReusedImage()
    for image in (colors, grays):
        drawn = drawable(image, reused.pixels(*image.shape[:2]))
        assert np.shares_memory(drawn, np.frombuffer(reused.message.data, np.uint8))
        np.testing.assert_array_equal(image_from_message(reused.message), drawable(image))


def test_a_duration_is_never_negative_and_always_fits():
    late = duration_message(1_400_000_000)
    assert (late.sec, late.nanosec) == (1, 400_000_000)
    ahead = duration_message(-1)
    assert (ahead.sec, ahead.nanosec) == (0, 0)
    assert duration_message(2**70).sec == 2**31 - 1


def test_messages_say_the_byte_order_of_this_machine(colors):
    assert bool(image_message(Header(), colors).is_bigendian) == (sys.byteorder == "big")
