"""Files that are whole or not there: what a writer leaves, what the next one clears away, and what it never touches."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from siamese_emotion_ros.recognition.whole_files import write_atomically

#: Writes a file over and over with pauses in which it is there and not yet renamed, and says so each time.
WRITER = """
import os, sys, time
from siamese_emotion_ros.recognition.whole_files import write_atomically
replace = os.replace
def slow(*names):
    print("writing", flush=True)
    sys.stdin.readline()
    replace(*names)
os.replace = slow
write_atomically(sys.argv[1], b"slowly")
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has written all of `slow` and will rename it once it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "slow")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    yield process
    process.kill()
    process.communicate()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    target = tmp_path / "gallery"
    write_atomically(target, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["gallery"]


def test_what_a_killed_writer_left_is_removed_by_the_next_one_in_the_folder(tmp_path, writer):
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".slow.") and left.read_bytes() == b"slowly"
    write_atomically(tmp_path / "other", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_somebody_still_writes_is_left_alone(tmp_path, writer):
    write_atomically(tmp_path / "slow", b"quickly")
    assert len(list(tmp_path.iterdir())) == 2
    writer.communicate(b"go on\n")
    assert writer.returncode == 0 and (tmp_path / "slow").read_bytes() == b"slowly"
    assert [path.name for path in tmp_path.iterdir()] == ["slow"]


def test_files_of_other_names_and_things_that_are_no_files_are_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    kept = [".gallery.abcdefgh", "gallery.abcdefgh.unfinished", ".gallery.unfinished", ".gallery.ABCDEFGH.unfinished"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".link.abcdefgh.unfinished").symlink_to(elsewhere)
    (tmp_path / ".folder.abcdefgh.unfinished").mkdir()
    os.mkfifo(tmp_path / ".pipe.abcdefgh.unfinished")
    before = set(os.listdir(tmp_path))
    write_atomically(tmp_path / "gallery", b"whole")
    assert set(os.listdir(tmp_path)) == {*before, "gallery"}
    assert elsewhere.read_text() == "mine"


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="no regular file"):
        write_atomically(pipe, b"whole")
    assert pipe.is_fifo() and len(list(tmp_path.iterdir())) == 1


def test_a_temporary_file_that_is_taken_for_a_dead_writers_is_replaced_by_another(tmp_path, monkeypatch):
    """In the moment between its making and its lock another writer may remove it."""
    import fcntl

    flock, removed = fcntl.flock, []

    def late(handle, how):
        if not removed:
            (name,) = os.listdir(tmp_path)
            removed.append(name)
            os.unlink(tmp_path / name)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_atomically(tmp_path / "gallery", b"whole")
    assert removed and (tmp_path / "gallery").read_bytes() == b"whole"


def test_content_and_then_name_are_flushed_to_the_disk(tmp_path, monkeypatch):
    """What a power cut would take is what was not flushed: the content before the rename, the name after it."""
    fsync, flushed = os.fsync, []

    def remembered(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        is_folder = path == tmp_path
        flushed.append(("name", (tmp_path / "gallery").exists()) if is_folder else ("content", path.read_bytes()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", remembered)
    write_atomically(tmp_path / "gallery", b"whole")
    assert flushed == [("content", b"whole"), ("name", True)]
