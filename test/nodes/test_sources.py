import cv2
import numpy as np
import pytest

from siamese_emotion_ros.nodes.sources import SourceError, Stills, Video, Webcam, image_files, open_source, webcam_index


def frame(number, size=(48, 64)):
    return np.full((*size, 3), 10 * number, np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    for number in range(6):
        writer.write(frame(number))
    writer.release()
    return path


def values(source):
    """The brightness of each frame to the end."""
    brightness = []
    while True:
        image = source.read()
        if image is None:
            return brightness
        brightness.append(round(float(image.mean()) / 10))


def test_a_folder_gives_its_images_in_the_order_a_person_counts(folder):
    source = open_source(str(folder))
    assert source.total == 3
    assert values(source) == [1, 2, 10]
    source.rewind()
    assert values(source) == [1, 2, 10]


def test_an_unreadable_image_is_named_and_the_next_one_read(folder):
    (folder / "frame3.png").write_bytes(b"\x89PNG and no more")
    source = open_source(str(folder))
    assert [source.read() is not None for _ in range(2)] == [True, True]
    with pytest.raises(SourceError, match="frame3.png"):
        source.read()
    assert values(source) == [10]


def test_a_single_image_is_one_frame(folder):
    source = open_source(str(folder / "frame2.png"))
    assert isinstance(source, Stills)
    assert values(source) == [2]


def test_a_picture_in_a_loop_is_shown_as_its_file_is_now(folder):
    picture = folder / "frame2.png"
    source = open_source(str(picture))

    def shown_again():
        source.rewind()
        return source.read()[0, 0, 0]

    assert [shown_again(), shown_again()] == [20, 20]
    cv2.imwrite(str(picture), frame(7, size=(100, 30)))
    assert [shown_again(), shown_again()] == [70, 70]
    for spoil in (lambda: picture.write_bytes(b"cut off"), picture.unlink):
        spoil()
        with pytest.raises(SourceError, match=r"frame2\.png"):
            shown_again()
    cv2.imwrite(str(picture), frame(3))
    assert shown_again() == 30


def test_a_video_gives_all_its_frames_at_its_rate_and_again_after_a_rewind(video):
    source = open_source(str(video))
    assert isinstance(source, Video)
    assert source.rate == pytest.approx(12.5)
    assert source.total == 6
    assert values(source) == [0, 1, 2, 3, 4, 5]
    source.rewind()
    assert values(source) == [0, 1, 2, 3, 4, 5]
    source.rewind()
    assert len(values(source)) == 6
    source.close()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "not a video"),
        ("text.mp4", b"hello " * 100, "not a video"),
        ("cut.png", b"\x89PNG\r\n\x1a\n", "not an image"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name_and_the_reason(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=reason) as refusal:
        open_source(str(tmp_path / name))
    assert name in str(refusal.value)


def test_a_truncated_video_is_refused_or_ends_where_it_was_cut(video, tmp_path):
    whole = video.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    try:
        count = len(values(open_source(str(cut))))
    except SourceError as refusal:
        assert "cut.avi" in str(refusal)
    else:
        assert 0 < count < 6


def test_an_empty_source_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(SourceError, match="source is empty"):
        open_source(" ")
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "index"),
    [("0", 0), ("12", 12), ("/dev/video3", 3), (" 1 ", 1), ("0.png", None), ("video0", None), ("", None), ("-1", None)],
)
def test_a_webcam_is_told_by_its_number(text, index):
    assert webcam_index(text) == index


def test_a_webcam_is_told_by_the_name_that_udev_gives_it(tmp_path):
    name = tmp_path / "usb-Maker_Camera-video-index0"
    name.symlink_to("/dev/video7")
    assert webcam_index(str(name)) == 7


class Camera:
    """Stands for cv2.VideoCapture: gives `frames` frames, then fails."""

    def __init__(self, frames, rate=25.0):
        self.frames, self.rate, self.asked, self.released = frames, rate, {}, False

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.frames >= 0

    def get(self, _property):
        return self.rate

    def set(self, name, value):
        self.asked[name] = value

    def read(self):
        self.frames -= 1
        return (True, frame(1)) if self.frames >= 0 else (False, None)

    def release(self):
        self.released = True


def test_a_webcam_is_live_and_says_when_it_is_gone():
    camera = Camera(2)
    source = Webcam(4, 15.0, lambda index: camera)
    assert source.live and source.rate == 25.0
    assert camera.asked == {cv2.CAP_PROP_FPS: 15.0}
    assert source.read().shape == source.read().shape == (48, 64, 3)
    with pytest.raises(SourceError, match="webcam 4 .* unplugged"):
        source.read()
    source.close()
    assert camera.released


def test_a_webcam_that_is_not_there_is_refused():
    with pytest.raises(SourceError, match="/dev/video7"):
        Webcam(7, capture=lambda index: Camera(-1))


@pytest.mark.parametrize("told", [0.0, float("nan"), -1.0, 1e9])
def test_a_camera_that_tells_no_sensible_rate_is_taken_for_30(told):
    assert Webcam(0, capture=lambda index: Camera(1, told)).rate == 30.0


def test_image_files_ignores_the_case_of_suffixes(tmp_path):
    for name in ("b.PNG", "a.Jpg", "c.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in image_files(tmp_path)] == ["a.Jpg", "b.PNG"]


def test_a_recording_is_for_bag_player(tmp_path):
    (tmp_path / "bag_0.mcap").write_bytes(b"")
    with pytest.raises(SourceError, match="bag_player"):
        open_source(str(tmp_path))
