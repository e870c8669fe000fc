"""What is drawn is where it belongs, and nothing else is touched."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_emotion_ros.drawing.overlay import EmotionMark, draw_emotions
from siamese_emotion_ros.drawing.palette import EMOTION_COLORS, color_of, ink_on

CLASSES = ("anger", "happiness", "surprise", "neutral", "fear")
SIZES = [(320, 180), (320, 240), (640, 360), (480, 640), (1920, 1080)]


def mark(roi, label="happiness", **kwargs):
    return EmotionMark(roi, label, 0.8, **kwargs)


def full_mark(roi, label="happiness", scores=(0.05, 0.8, 0.05, 0.05, 0.05)):
    return mark(roi, label, face_id=1, classes=CLASSES, scores=scores)


def gray_frame(width=640, height=360):
    return np.full((height, width, 3), 90, np.uint8)


def pixels_of(frame, color):
    return int((frame == np.array(color, np.uint8)).all(axis=2).sum())


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_faces_frame_and_label_have_its_emotions_color(width, height):
    frame = gray_frame(width, height)
    draw_emotions(frame, [mark((width // 3, height // 3, height // 4, height // 4))])
    assert pixels_of(frame, EMOTION_COLORS["happiness"]) > 2 * height // 4
    assert pixels_of(frame, EMOTION_COLORS["anger"]) == 0


def test_the_middle_of_the_face_stays_free():
    frame = gray_frame()
    draw_emotions(frame, [full_mark((200, 100, 120, 120))])
    assert (frame[125:195, 225:295] == 90).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_bars_grow_with_their_scores(width, height):
    counts = []
    for score in (0.1, 0.5, 0.9):
        frame = gray_frame(width, height)
        scores = (score, 0.9, 0.0, 0.0, 0.0)
        draw_emotions(frame, [full_mark((width // 2, height // 4, height // 4, height // 4), scores=scores)])
        counts.append(pixels_of(frame, EMOTION_COLORS["anger"]))
    assert 0 < counts[0] < counts[1] < counts[2]


def test_bars_stand_left_where_there_is_no_room_to_the_right():
    frame = gray_frame()
    draw_emotions(frame, [full_mark((500, 100, 120, 120))])
    assert (frame[100:160, 330:490] != 90).any()


def test_bars_never_hide_another_face():
    neighbours = [(150, 120, 100, 100), (270, 120, 100, 100), (390, 120, 100, 100)]
    frame = gray_frame()
    draw_emotions(frame, [full_mark(roi) for roi in neighbours])
    for left, top, width, height in neighbours:
        assert (frame[top + 20 : top + height - 20, left + 20 : left + width - 20] == 90).all()


def test_a_label_gives_way_to_a_face_above():
    above, below = (200, 60, 120, 120), (210, 185, 110, 110)
    frame = gray_frame()
    draw_emotions(frame, [mark(above), mark(below)])
    assert (frame[80:160, 225:295] == 90).all()
    assert (frame[300:320, 210:330] != 90).any()


def test_without_scores_there_are_no_bars():
    frame = gray_frame()
    draw_emotions(frame, [mark((200, 100, 120, 120))])
    assert (frame[:, 400:] == 90).all()
    assert (frame[:, :180] == 90).all()


def test_nothing_to_draw_changes_nothing():
    frame = gray_frame()
    draw_emotions(frame, [])
    assert (frame == 90).all()


def test_drawing_is_in_place_on_a_view_and_does_not_leave_it():
    canvas = gray_frame(900, 600)
    view = canvas[100:460, 100:740]
    draw_emotions(view, [full_mark((-20, -20, 300, 300)), full_mark((560, 280, 100, 100))])
    assert (view != 90).any()
    outside = np.ones(canvas.shape[:2], bool)
    outside[100:460, 100:740] = False
    assert (canvas[outside] == 90).all()


@settings(max_examples=60)
@given(
    width=st.integers(1, 400), height=st.integers(1, 300),
    rois=st.lists(
        st.tuples(st.integers(-50, 450), st.integers(-50, 350), st.integers(1, 400), st.integers(1, 300)), max_size=5,
    ),
    label=st.sampled_from([*CLASSES, "unknown", "x" * 80, "", "Ärger"]),
    score=st.sampled_from([0.0, 0.3, 1.0, 7.0, -1.0, float("nan"), float("inf")]),
)
def test_any_marks_can_be_drawn_on_any_frame(width, height, rois, label, score):
    frame = gray_frame(width, height)
    marks = [EmotionMark(roi, label, 0.5, 12345, CLASSES, (score,) * 5) for roi in rois]
    draw_emotions(frame, marks)
    assert frame.shape == (height, width, 3)


@pytest.mark.parametrize("roi", [(2**32 - 1, 10, 40, 40), (10, 10, 2**32 - 1, 2**32 - 1), (20, 20, 0, 0)])
def test_a_box_of_any_size_that_a_message_can_hold_can_be_drawn(roi):
    frame = gray_frame(160, 120)
    draw_emotions(frame, [EmotionMark(roi, "anger", 0.5, 1, CLASSES, (0.2,) * 5)])
    assert (frame != gray_frame(160, 120)).any(), "its label is in the frame, wherever the box is"


@pytest.mark.parametrize("frame", [
    np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 3), np.float32), None,
])
def test_a_frame_that_is_not_bgr_is_refused(frame):
    with pytest.raises(ValueError, match="uint8 BGR"):
        draw_emotions(frame, [])


def test_scores_without_their_classes_are_refused():
    with pytest.raises(ValueError, match="3 scores for 5 classes"):
        EmotionMark((0, 0, 9, 9), "fear", 0.5, 1, CLASSES, (0.1, 0.2, 0.3))


def test_every_emotion_has_a_color_of_its_own():
    assert len(set(EMOTION_COLORS.values())) == len(EMOTION_COLORS)
    assert color_of("boredom") == color_of("boredom")
    assert color_of("boredom") not in EMOTION_COLORS.values()


def luminance(color):
    """Relative luminance after WCAG 2."""
    linear = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]


@pytest.mark.parametrize("label", sorted(EMOTION_COLORS))
def test_labels_can_be_read_on_their_colors(label):
    color = color_of(label)
    light, dark = sorted((luminance(color), luminance(ink_on(color))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3.5
