import threading
from types import SimpleNamespace

import pytest

from siamese_emotion_ros.faces.image_messages import image_from_message
from siamese_emotion_ros.nodes.lifecycle import StreamNode
from siamese_emotion_ros.nodes.stream import LiveMailbox, Mailbox, Throttle, Worker


def test_the_newest_wins_in_a_full_mailbox_and_the_replaced_are_counted():
    mailbox = Mailbox(2)
    for number in range(5):
        mailbox.put(number)
    assert (mailbox.take(0), mailbox.take(0), mailbox.take(0)) == (3, 4, None)
    assert mailbox.replaced == 3


def test_an_unlimited_mailbox_keeps_everything_in_order():
    mailbox = Mailbox(None)
    for number in range(1000):
        mailbox.put(number)
    assert [mailbox.take(0) for _ in range(1000)] == list(range(1000))
    assert mailbox.replaced == 0


def test_limiting_a_mailbox_keeps_the_newest():
    mailbox = Mailbox(None)
    for number in range(5):
        mailbox.put(number)
    mailbox.limit(2)
    assert (mailbox.take(0), mailbox.take(0)) == (3, 4)


def test_what_comes_while_the_reader_is_late_waits_in_order():
    mailbox = LiveMailbox(5)
    for start in (0, 5, 10):
        for number in range(start, start + 5):
            mailbox.put(number)
        assert [mailbox.take(0) for _ in range(6)] == [*range(start, start + 5), None]
    assert mailbox.replaced == 0


def test_a_reader_that_is_too_slow_soon_gets_the_newest_only():
    mailbox, lateness = LiveMailbox(4), []
    for number in range(40):
        mailbox.put(number)
        if number % 2:
            lateness.append(number - mailbox.take(0))
    assert max(lateness) <= 4 and lateness[-10:] == [0] * 10
    assert mailbox.replaced == 40 - len(lateness)


def test_a_reader_that_has_caught_up_may_be_late_again():
    mailbox = LiveMailbox(3)
    for number in range(20):
        mailbox.put(number)
    assert (mailbox.take(0), mailbox.take(0)) == (19, None)
    before = mailbox.replaced
    for number in range(3):
        mailbox.put(number)
    assert [mailbox.take(0) for _ in range(3)] == [0, 1, 2]
    assert mailbox.replaced == before


@pytest.mark.parametrize("kind", [Mailbox, LiveMailbox])
def test_a_mailbox_for_one_holds_the_newest(kind):
    mailbox = kind(1)
    for number in range(3):
        mailbox.put(number)
    assert (mailbox.take(0), mailbox.take(0), mailbox.replaced) == (2, None, 2)


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="0"):
        Mailbox(0)
    with pytest.raises(ValueError, match="-1"):
        Mailbox(1).limit(-1)


def test_a_worker_survives_what_its_work_raises():
    done, failures, mailbox = [], [], Mailbox(None)
    finished = threading.Event()

    def work(number):
        if number % 2:
            raise RuntimeError(str(number))
        done.append(number)
        if number == 4:
            finished.set()

    worker = Worker(mailbox, work, failures.append, "test")
    for number in range(5):
        mailbox.put(number)
    assert finished.wait(10)
    worker.stop()
    assert done == [0, 2, 4]
    assert [str(error) for error in failures] == ["1", "3"]


def test_stopping_waits_for_the_item_in_work_and_drops_the_others():
    done, mailbox = [], Mailbox(None)
    begun, go_on = threading.Event(), threading.Event()

    def work(number):
        begun.set()
        go_on.wait(10)
        done.append(number)

    worker = Worker(mailbox, work, pytest.fail, "test")
    mailbox.put("in work")
    mailbox.put("waiting")
    assert begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    worker.stop()
    worker.stop()
    assert done == ["in work"]


def test_begin_runs_in_the_worker_before_any_work():
    seen, mailbox = [], Mailbox(None)
    mailbox.put("item")
    finished = threading.Event()
    worker = Worker(
        mailbox, lambda item: (seen.append((item, threading.current_thread().name)), finished.set()), pytest.fail,
        "mine", begin=lambda: seen.append(("begin", threading.current_thread().name)),
    )
    assert finished.wait(10)
    worker.stop()
    assert seen == [("begin", "mine"), ("item", "mine")]


def test_the_same_line_is_let_through_once_a_period_and_says_how_often_it_was_held_back():
    now = [100.0]
    throttle = Throttle(5.0, lambda: now[0])
    assert throttle.line("a", "first") == "first"
    for _ in range(3):
        assert throttle.line("a", "again") is None
    assert throttle.line("b", "another") == "another"
    now[0] += 5.0
    assert throttle.line("a", "later") == "later (3 more since the last such line)"
    now[0] += 5.0
    assert throttle.line("a", "later") == "later"


def test_images_that_cannot_be_read_are_one_line_though_each_has_another_size():
    said = []
    node = SimpleNamespace(
        context=SimpleNamespace(ok=lambda: True), _throttle=Throttle(5.0, lambda: 0.0),
        get_logger=lambda: SimpleNamespace(warning=said.append),
    )
    for size in (70123, 8456, 70124):
        try:
            image_from_message(SimpleNamespace(format="h264", data=bytes(size)))
        except ValueError as error:
            StreamNode.stream_failed(node, error)
    StreamNode.stream_failed(node, ValueError("something else"))
    assert [line.split(" bytes")[0] for line in said] == ["70123", "something else"]


def test_endless_new_lines_do_not_fill_the_memory():
    throttle = Throttle(5.0, lambda: 0.0)
    for number in range(10_000):
        key = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        throttle.line(key, "")
        throttle.line(key, "")
    assert len(throttle._last) <= 101 and len(throttle._held_back) <= 101
