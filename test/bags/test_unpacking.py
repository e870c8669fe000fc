"""What is compressed is unpacked as far as there is room for it, and a recording that asks for more is refused."""
from __future__ import annotations

import shutil
import struct
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed; `make test` installs it")

from siamese_emotion_ros.bags import unpacking  # noqa: E402
from siamese_emotion_ros.bags.reading import Bag, BagError  # noqa: E402
from siamese_emotion_ros.bags.unpacking import MAX_RECORD, SPARE_DISK, unpack, unpack_file, zstd  # noqa: E402

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_all_frames_are_unpacked_up_to_the_limit():
    packed = zstd().compress(b"a" * 700) + zstd().compress(b"b" * 300)
    assert unpack(packed, 1000) == b"a" * 700 + b"b" * 300
    for most in (999, 700, 0):
        with pytest.raises(ValueError, match=f"unpack to more than {most}"):
            unpack(packed, most)


def test_bytes_that_are_cut_off_or_something_else_are_refused():
    packed = zstd().compress(np.random.default_rng(1).bytes(5000))
    with pytest.raises(EOFError, match="cut off"):
        unpack(packed[:-100])
    with pytest.raises(zstd().ZstdError):
        unpack(b"not compressed")


def test_lz4_is_unpacked_up_to_the_limit_too():
    lz4 = pytest.importorskip("lz4.frame", reason="packing by lz4 needs lz4")
    packed = lz4.compress(bytes(5000))
    assert unpack(packed, 5000, lz4.LZ4FrameDecompressor) == bytes(5000)
    with pytest.raises(ValueError, match="more than 4999"):
        unpack(packed, 4999, lz4.LZ4FrameDecompressor)


def test_a_file_is_unpacked_until_it_is_broken_and_says_so(tmp_path):
    content = np.random.default_rng(1).bytes(3 << 20)
    (tmp_path / "whole.zstd").write_bytes(zstd().compress(content))
    assert unpack_file(tmp_path / "whole.zstd", tmp_path / "whole") == ""
    assert (tmp_path / "whole").read_bytes() == content
    (tmp_path / "half.zstd").write_bytes(zstd().compress(content)[: 3 << 19])
    assert "half.zstd: " in unpack_file(tmp_path / "half.zstd", tmp_path / "half")
    assert content.startswith((tmp_path / "half").read_bytes())


@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_recording_that_would_fill_the_disk_is_refused_and_leaves_nothing_behind(
    bag_making, tmp_path, scratch, monkeypatch, with_metadata
):
    path = bag_making.pictures_bag(tmp_path / "bag", [np.zeros((2000, 2000), np.uint8)] * 3, compression="file")
    assert (path / "bag.db3.zstd").stat().st_size < 100_000
    if not with_metadata:
        (path / "metadata.yaml").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(0, 0, SPARE_DISK + 5_000_000))
    with pytest.raises(BagError, match=f"more than 0.0 GB, which is all that {scratch} has to spare: set TMPDIR"):
        Bag(path)
    assert list(scratch.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(0, 0, SPARE_DISK + 20_000_000))
    with Bag(path) as bag:
        assert len(list(bag.messages())) == 3
        assert list(scratch.iterdir()) != []
    assert list(scratch.iterdir()) == []


def test_a_message_that_unpacks_to_more_than_one_can_be_ends_the_reading(bag_making, tmp_path, monkeypatch):
    pictures = [np.zeros((size, 100), np.uint8) for size in (100, 100, 5000, 100)]
    path = bag_making.pictures_bag(tmp_path / "bag", pictures, compression="message")
    monkeypatch.setattr("siamese_emotion_ros.bags.reading.unpack", lambda packed: unpack(packed, 100_000))
    with Bag(path) as bag:
        assert len(list(bag.messages())) == 2
        assert "unpack to more than 100000): what follows is lost" in bag.damage[-1]


@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_chunk_that_unpacks_to_more_than_it_says_is_not_unpacked_further(bag_making, tmp_path, with_metadata):
    path = bag_making.pictures_bag(
        tmp_path / "bag", [np.zeros((1000, 1000), np.uint8)] * 3, storage="mcap", compression="storage"
    )
    file = path / "bag.mcap"
    raw = bytearray(file.read_bytes())
    place = raw.index(b"\x04\x00\x00\x00zstd") - 12  # uncompressed_size, uncompressed_crc, then the compression's name
    (size,) = struct.unpack_from("<Q", raw, place)
    assert size > 1_000_000
    # The index at the end says the same again.
    content = bytes(raw).replace(struct.pack("<Q", size), struct.pack("<Q", 50_000))
    file.write_bytes(content)
    if not with_metadata:
        (path / "metadata.yaml").unlink()
    unpacked = []
    original = unpacking.unpack

    with pytest.MonkeyPatch.context() as patch:
        for module in ("siamese_emotion_ros.bags.unpacking", "siamese_emotion_ros.bags.salvage"):
            patch.setattr(f"{module}.unpack", lambda *given: unpacked.append(given[1]) or original(*given))
        try:
            with Bag(path) as bag:
                assert list(bag.messages()) == []
                assert any("unpack to more than 50000" in sentence for sentence in bag.damage)
        except BagError as error:
            assert "nor can anything be salvaged" in str(error)
    assert unpacked and max(unpacked) <= 50_000 < MAX_RECORD


def test_metadata_cannot_have_files_unpacked_from_elsewhere(bag_making, tmp_path, scratch):
    path = bag_making.pictures_bag(tmp_path / "bag", [np.zeros((8, 8), np.uint8)], compression="file")
    metadata = path / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("bag.db3.zstd", "../../../etc/bag.db3.zstd"))
    with Bag(path) as bag:
        assert len(list(bag.messages())) == 1
        assert all(Path(scratch) in place.parents for place in scratch.rglob("*"))
