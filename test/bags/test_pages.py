"""Rows are found in the pages of a sqlite3 file without the tree above them, and garbage gives none."""
from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from siamese_emotion_ros.bags.pages import MessageRows


def write_rows(path, sizes, page=4096):
    """A database with the table messages, whose rows have data of these sizes, and another table; returns the rows."""
    random = np.random.default_rng(5)
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA page_size = {page}")
    database.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL)")
    database.execute("INSERT INTO topics VALUES (1, 'a', 'b')")
    database.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)")
    database.execute("CREATE INDEX timestamp_idx ON messages (timestamp ASC)")
    rows = [(1 + number % 3, number * 10**12, random.bytes(size)) for number, size in enumerate(sizes)]
    database.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
    database.commit()
    database.close()
    return rows


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_every_row_of_a_whole_file_is_found(tmp_path, page):
    sizes = [0, 1, 100, 400, 477, 478, 600, 4000, 4061, 4062, 5000, 70000, 300000] * 4
    expected = write_rows(tmp_path / "whole.db3", sizes, page)
    with MessageRows(tmp_path / "whole.db3") as rows:
        assert list(rows) == expected
        assert (rows.missing, rows.incomplete) == (0, 0)


def test_rows_are_found_below_a_tree_whose_upper_part_is_cut_off(tmp_path):
    path = tmp_path / "wide.db3"
    expected = write_rows(path, [1300] * 3000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 5])
    database = sqlite3.connect(path)
    database.execute("PRAGMA writable_schema = ON")
    with pytest.raises(sqlite3.DatabaseError):
        database.execute("SELECT data FROM messages ORDER BY rowid").fetchall()
    database.close()
    with MessageRows(path) as rows:
        found = list(rows)
        assert rows.missing > 100
    assert found == expected[: len(found)]
    assert len(found) > 1000


def test_a_row_of_which_a_part_is_missing_is_left_out_and_counted(tmp_path):
    path = tmp_path / "long.db3"
    expected = write_rows(path, [100, 100, 200000])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with MessageRows(path) as rows:
        assert list(rows) == expected[:2]
        assert rows.incomplete == 1


def test_scribbled_bytes_never_raise(tmp_path):
    path = tmp_path / "scribbled.db3"
    expected = write_rows(path, [50, 700, 9000] * 30)
    whole = path.read_bytes()
    random = np.random.default_rng(8)
    for _ in range(40):
        raw = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(100, len(raw), 300)
        raw[places] = random.integers(0, 256, 300)
        path.write_bytes(raw.tobytes())
        with MessageRows(path) as rows:
            for topic_id, time, data in rows:
                assert isinstance(topic_id, int) and isinstance(time, int) and len(data) <= 9000
    path.write_bytes(whole)
    with MessageRows(path) as rows:
        assert list(rows) == expected


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000, b"SQLite format 3\0" + b"\0" * 5000])
def test_what_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "none.db3"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        MessageRows(path)
