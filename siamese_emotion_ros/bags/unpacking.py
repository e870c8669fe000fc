"""Unpacks what is compressed in a recording, up to a limit: a hundred bytes can unpack to gigabytes."""
from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path, PurePath
from typing import Any, Callable, Optional

#: No message and no chunk of messages is larger [bytes].
MAX_RECORD = 1 << 30

#: What unpacked files leave free of the disk [bytes].
SPARE_DISK = 1 << 30

_STEP = 1 << 20


class UnpackingRefused(ValueError):
    """Unpacking would take more room than there is; the message says how much there is, and what to do."""


def unpack(packed: bytes, most: int = MAX_RECORD, decompressor: Optional[Callable[[], Any]] = None) -> bytes:
    """The content of all frames in `packed`, zstd's unless another `decompressor` is given.

    ValueError when it is longer than `most` bytes, of which no more are unpacked; EOFError when it is cut off.
    """
    parts, left = [], most
    while packed:
        frame = (decompressor or zstd().ZstdDecompressor)()
        part = frame.decompress(packed, left + 1)
        if len(part) > left:
            raise ValueError(f"{len(packed)} bytes unpack to more than {most}")
        if not frame.eof:
            raise EOFError("compressed bytes are cut off")
        parts.append(part)
        left -= len(part)
        packed = frame.unused_data
    return b"".join(parts)


def unpack_file(file: Path, target: Path) -> str:
    """Unpack a zstd file into a new one; returns why it could not be unpacked to its end, or an empty text.

    UnpackingRefused when the disk would be left with less than SPARE_DISK.
    """
    room = shutil.disk_usage(target.parent).free - SPARE_DISK
    with target.open("wb") as unpacked:
        try:
            with file.open("rb") as packed, zstd().open(packed, "rb") as source:
                while True:
                    part = source.read(_STEP)
                    if not part:
                        return ""
                    if unpacked.tell() + len(part) > room:
                        raise UnpackingRefused(
                            f"{file} unpacks to more than {max(room, 0) / 1e9:.1f} GB, which is all that "
                            f"{target.parent.parent} has to spare: set TMPDIR to a folder with more room"
                        )
                    unpacked.write(part)
        except UnpackingRefused:
            raise
        except Exception as error:  # zstd has exceptions of its own
            return f"{file.name}: {unpacked.tell()} bytes can be unpacked, then it is broken ({error})"


def unpack_folder(folder: Path) -> Optional[tempfile.TemporaryDirectory]:
    """A copy of a recording's folder in which its files are unpacked; None where they are not compressed.

    UnpackingRefused as `unpack_file`; broken metadata and files raise whatever they lead to.
    """
    from ruamel.yaml import YAML

    file = folder / "metadata.yaml"
    if not file.exists():
        return None
    metadata = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    information = metadata["rosbag2_bagfile_information"]
    if str(information.get("compression_mode", "")).lower() != "file":
        return None
    scratch = tempfile.TemporaryDirectory(prefix="unpacked_bag_")
    try:
        files = [folder / PurePath(name).name for name in information["relative_file_paths"]]
        for packed in files:
            broken = unpack_file(packed, Path(scratch.name, packed.stem))
            if broken:
                raise ValueError(broken)
        information.update(
            compression_mode="", compression_format="", relative_file_paths=[packed.stem for packed in files]
        )
        with Path(scratch.name, file.name).open("w", encoding="utf-8") as target:
            YAML(typ="safe").dump(metadata, target)
    except BaseException:
        scratch.cleanup()
        raise
    return scratch


def limit_chunks() -> None:
    """Have rosbags unpack a chunk of an mcap file up to the size that it declares, and no further."""
    from lz4.frame import LZ4FrameDecompressor
    from rosbags.rosbag2 import storage_mcap

    storage_mcap.DECOMPRESSORS.update(
        zstd=lambda packed, size: unpack(packed, min(size, MAX_RECORD)),
        lz4=lambda packed, size: unpack(packed, min(size, MAX_RECORD), LZ4FrameDecompressor),
    )


def zstd() -> Any:
    """Python's own zstd (3.14), or the one that rosbags brings."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
