"""Recordings of every kind are read, and broken ones as far as they go."""
from __future__ import annotations

import shutil

import numpy as np
import pytest

from siamese_emotion_ros.bags.reading import Bag, BagError, is_bag

STORAGES = [
    ("sqlite3", "none"), ("sqlite3", "message"), ("sqlite3", "file"), ("mcap", "none"), ("mcap", "storage"),
    ("mcap", "file"),
]


@pytest.fixture
def pictures():
    """Forty pictures of noise, which does not compress, so that a file cut in half has lost about half of them."""
    return list(np.random.default_rng(1).integers(0, 256, (40, 120, 160, 3), np.uint8))


def numbers(bag, bag_making, names=None):
    """Which pictures of the forty are in a bag, by the time of their recording."""
    return [
        round((message.time - bag_making.BEGIN) / 1e8) for message in bag.messages(names or ["/camera/image_raw"])
    ]


@pytest.mark.parametrize(("storage", "compression"), STORAGES)
def test_every_message_of_a_whole_recording_comes_in_order(tmp_path, bag_making, pictures, storage, compression):
    path = bag_making.pictures_bag(
        tmp_path / "bag", pictures, labels=[(0.05, "happy"), (2.0, "sad")], storage=storage, compression=compression,
    )
    with Bag(path) as bag:
        assert {name: (topic.type, topic.count) for name, topic in bag.topics.items()} == {
            "/camera/image_raw": (bag_making.IMAGE, 40), "/truth": (bag_making.STRING, 2),
        }
        assert numbers(bag, bag_making) == list(range(40))
        assert [message.topic for message in bag.messages()].count("/truth") == 2
        assert bag.damage == []


@pytest.mark.parametrize(("storage", "suffix"), [("sqlite3", "db3"), ("mcap", "mcap")])
def test_a_storage_file_alone_is_a_recording(tmp_path, bag_making, pictures, storage, suffix):
    bag_making.pictures_bag(tmp_path / "bag", pictures, storage=storage)
    with Bag(tmp_path / "bag" / f"bag.{suffix}") as bag:
        assert numbers(bag, bag_making) == list(range(40))


@pytest.mark.parametrize(("storage", "compression"), STORAGES)
@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_cut_off_recording_is_read_as_far_as_it_goes(
    tmp_path, bag_making, pictures, storage, compression, with_metadata
):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, storage=storage, compression=compression)
    bag_making.cut(next(path.glob("bag.*")), 0.6)
    if not with_metadata:
        (path / "metadata.yaml").unlink()
    with Bag(path) as bag:
        found = numbers(bag, bag_making)
        assert found == list(range(len(found)))
        assert 12 <= len(found) <= 24
        assert bag.topics["/camera/image_raw"].count == len(found)
        assert "read as far as it goes" in bag.damage[0]


@pytest.mark.parametrize(("storage", "compression"), STORAGES)
def test_a_recording_without_its_metadata_is_whole(tmp_path, bag_making, pictures, storage, compression):
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, storage=storage, compression=compression)
    (path / "metadata.yaml").unlink()
    with Bag(path) as bag:
        assert numbers(bag, bag_making) == list(range(40))
        message = next(bag.messages())
        assert message.data[:4] == b"\x00\x01\x00\x00"
        assert len(bag.damage) == 1


def test_a_message_that_cannot_be_unpacked_is_left_out_of_what_is_salvaged(tmp_path, bag_making, pictures):
    import sqlite3

    path = bag_making.pictures_bag(tmp_path / "bag", pictures, compression="message")
    (path / "metadata.yaml").unlink()
    database = sqlite3.connect(path / "bag.db3")
    database.execute("UPDATE messages SET data = substr(data, 1, 2000) WHERE id = 7")
    database.commit()
    database.close()
    with Bag(path) as bag:
        for _ in range(2):
            assert numbers(bag, bag_making) == [number for number in range(40) if number != 6]
        assert bag.damage[1:] == ["1 message(s) on /camera/image_raw cannot be unpacked"]


def test_a_message_that_is_there_in_part_is_told(tmp_path, bag_making):
    path = bag_making.pictures_bag(tmp_path / "bag", [np.zeros((8, 8), np.uint8), np.zeros((600, 600), np.uint8)])
    bag_making.cut(path / "bag.db3", 0.5)
    with Bag(path) as bag:
        assert numbers(bag, bag_making) == [0]
        assert "bag.db3: 1 message(s) are there in part only, and left out" in bag.damage


def test_parts_of_a_recording_are_read_in_the_order_of_their_numbers(tmp_path, bag_making):
    whole = tmp_path / "whole"
    whole.mkdir()
    for part in (0, 2, 10):
        made = bag_making.pictures_bag(tmp_path / f"part{part}", [np.full((8, 8), part, np.uint8)] * 2, storage="mcap")
        shutil.copy(made / f"part{part}.mcap", whole / f"whole_{part}.mcap")
    with Bag(whole) as bag:
        assert [message.data[-1] for message in bag.messages()] == [0, 0, 2, 2, 10, 10]


def test_rows_that_a_killed_recorder_left_in_its_log_are_read(tmp_path, bag_making, pictures):
    import sqlite3

    path = bag_making.pictures_bag(tmp_path / "bag", pictures)
    recorder = sqlite3.connect(path / "bag.db3")
    recorder.execute("PRAGMA journal_mode = WAL")
    row = recorder.execute("SELECT topic_id, data FROM messages").fetchone()
    recorder.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)",
                     (row[0], bag_making.BEGIN + 40 * 100_000_000, row[1]))
    recorder.commit()
    killed = tmp_path / "killed"
    shutil.copytree(path, killed)
    recorder.close()
    with Bag(killed) as bag:
        assert numbers(bag, bag_making) == list(range(41))
        assert "still being written" in bag.damage[0]


def test_a_damaged_chunk_ends_the_reading_with_a_word_about_it(tmp_path, bag_making):
    pictures = list(np.random.default_rng(1).integers(0, 4, (40, 120, 160, 3), np.uint8))
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, storage="mcap", compression="storage")
    file = path / "bag.mcap"
    raw = bytearray(file.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 5000] = bytes(5000)
    file.write_bytes(bytes(raw))
    with Bag(path) as bag:
        found = numbers(bag, bag_making)
        assert found == list(range(len(found)))
        assert 0 < len(found) < 40
        assert "what follows is lost" in bag.damage[-1]


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("missing", None, "no such file or folder"),
    ("text.db3", b"not a database, and long enough to look at " * 50, "nor can anything be salvaged"),
    ("text.mcap", b"not an mcap file", "nor can anything be salvaged"),
    ("empty.db3", b"", "nor can anything be salvaged"),
    ("old.bag", b"#ROSBAG V2.0\n", "rosbags-convert"),
    ("clip.mp4", b"video", "not a rosbag2 recording"),
])
def test_what_is_no_recording_is_refused_with_the_reason(tmp_path, bag_making, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=reason):
        Bag(tmp_path / name)


def test_what_looks_like_a_recording(tmp_path, bag_making):
    path = bag_making.pictures_bag(tmp_path / "bag", [np.zeros((8, 8), np.uint8)])
    assert is_bag(path) and is_bag(path / "bag.db3")
    assert not is_bag(tmp_path) and not is_bag(tmp_path / "clip.mp4")
