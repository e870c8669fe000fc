import pytest

from siamese_emotion_ros.faces.continuity import OVERTAKEN, PAUSE, Continuity

SECOND = 10**9


def breaks(*stamps):
    continuity = Continuity()
    return [None if found is None else str(found) for found in map(continuity.broken, stamps)]


def test_a_stream_goes_on_at_any_ordinary_pace():
    assert breaks(5 * SECOND, 5 * SECOND, 5 * SECOND + 1, 6 * SECOND, 6 * SECOND + PAUSE) == [None] * 5


def test_it_breaks_once_where_time_jumps_back():
    assert breaks(100 * SECOND, 3 * SECOND, 4 * SECOND) == [None, "time jumped back", None]
    assert breaks(100 * SECOND, 0, 0) == [None, "time jumped back", None]


def test_it_breaks_where_nothing_came_for_long():
    assert breaks(0, 7 * SECOND, 8 * SECOND) == [None, "no image for 7.0 s", None]


@pytest.mark.parametrize("late", [1, 10**6, OVERTAKEN])
def test_images_that_overtake_each_other_break_nothing(late):
    newest = 100 * SECOND
    assert breaks(newest, newest - late, newest + 1, newest - late + 2, newest + PAUSE + 1) == [None] * 5
