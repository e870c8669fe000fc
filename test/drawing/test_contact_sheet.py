"""All the pictures are on the sheet, in order, whole."""
from __future__ import annotations

import numpy as np
import pytest

from siamese_emotion_ros.drawing.contact_sheet import contact_sheet

COLORS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]


def flat(color, height=90, width=160):
    image = np.empty((height, width, 3), np.uint8)
    image[:] = color
    return image


def place_of(sheet, color):
    """(first row, first column, rows, columns) of what has that color."""
    rows, columns = np.nonzero((sheet == np.array(color, np.uint8)).all(axis=2))
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def test_images_stand_in_rows_in_their_order():
    sheet = contact_sheet([flat(color) for color in COLORS], ["a"] * 5, columns=3)
    places = [place_of(sheet, color)[:2] for color in COLORS]
    assert places == sorted(places)
    assert [row for row, _ in places].count(places[0][0]) == 3
    assert places[3][1] == places[0][1]


def test_an_image_keeps_its_proportions():
    sheet = contact_sheet([flat(COLORS[0]), flat(COLORS[1], 160, 160), flat(COLORS[2])], [""] * 3, cell_width=160)
    assert place_of(sheet, COLORS[0])[2:] == (90, 160)
    assert place_of(sheet, COLORS[1])[2:] == (90, 90)


def test_gray_and_tiny_images_will_do():
    sheet = contact_sheet([np.full((48, 48), 77, np.uint8), np.full((1, 1), 20, np.uint8)], ["", ""], cell_width=96)
    assert place_of(sheet, (77, 77, 77))[2:] == (96, 96)
    assert place_of(sheet, (20, 20, 20))[2:] == (96, 96)


def test_a_caption_is_under_its_own_image_only():
    plain = contact_sheet([flat(COLORS[0]), flat(COLORS[1])], ["", ""], columns=2)
    named = contact_sheet([flat(COLORS[0]), flat(COLORS[1])], ["", "a far too long caption " * 9], columns=2)
    rows, columns = np.nonzero((plain != named).any(axis=2))
    top, left, tall, wide = place_of(plain, COLORS[1])
    assert rows.min() >= top + tall
    assert left <= columns.min() <= columns.max() < left + wide


def test_a_color_strip_marks_each_image():
    mark = (1, 2, 3)
    sheet = contact_sheet([flat(COLORS[0]), flat(COLORS[1])], ["", ""], colors=[mark, COLORS[2]])
    assert place_of(sheet, mark)[1::2] == place_of(sheet, COLORS[0])[1::2]


def test_fewer_images_than_columns_leave_no_empty_columns():
    one = contact_sheet([flat(COLORS[0])], [""], columns=8, cell_width=100)
    assert one.shape[1] < 150


@pytest.mark.parametrize(("images", "captions", "options", "complaint"), [
    ([], [], {}, "at least one"),
    ([flat(COLORS[0])], [], {}, "1 images, 0 captions"),
    ([flat(COLORS[0])], ["a"], {"colors": []}, "0 colors"),
    ([np.zeros((4, 4, 3))], ["a"], {}, "image 0 .* float64"),
    ([flat(COLORS[0]), np.zeros((0, 4), np.uint8)], ["a", "b"], {}, "image 1"),
    ([None], ["a"], {}, "NoneType"),
    ([flat(COLORS[0])], ["a"], {"columns": 0}, "0 columns"),
    ([flat(COLORS[0])], ["a"], {"cell_width": 5}, "5 pixels"),
])
def test_what_makes_no_sheet_is_refused(images, captions, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        contact_sheet(images, captions, **options)
