"""Reads what is left of a recording that was cut off: no metadata, half a database, an mcap file without its end.

A robot that loses its power leaves such files. A sqlite3 file is read row by row and an mcap file record by record, in
the order in which they were written, up to the first byte that makes no sense.
"""
from __future__ import annotations

import sqlite3
import struct
import tempfile
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Collection, Dict, Iterator, List, Optional, Sequence, Set, Tuple
from urllib.parse import quote

from .pages import MessageRows
from .unpacking import MAX_RECORD, UnpackingRefused, unpack, unpack_file

MCAP_MAGIC = b"\x89MCAP0\r\n"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

#: What mcap calls its records (https://mcap.dev/spec); the others hold nothing that is needed here.
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F

#: What sqlite3, zstd, lz4 and struct raise over broken bytes.
BROKEN = (sqlite3.Error, struct.error, OSError, EOFError, ValueError, RuntimeError, KeyError, IndexError, MemoryError)


@dataclass(frozen=True)
class Found:
    """A topic that was met: its type, how many of its messages are whole, and the type's definition or nothing."""

    type: str
    count: int
    definition: str


class SalvagedBag:
    """What can be read of a recording's files. topics: by name. damage: in sentences."""

    def __init__(self, files: Sequence[Path]) -> None:
        """UnpackingRefused when a compressed file takes more room than there is."""
        self.topics: Dict[str, Found] = {}
        self.damage: List[str] = []
        self._scratch: List[tempfile.TemporaryDirectory] = []
        self._parts: List[Any] = []
        for file in files:
            try:
                plain = self._unpacked(file)
            except UnpackingRefused:
                self.close()
                raise
            if plain is None:
                continue
            part = _SqliteFile(plain) if plain.suffix == ".db3" else _McapFile(plain)
            found = part.survey()
            if part.stopped:
                self.damage.append(
                    f"{file.name}: {sum(topic.count for topic in found.values())} messages can be read, then it is "
                    f"{part.stopped}"
                )
            if part.incomplete:
                self.damage.append(f"{file.name}: {part.incomplete} message(s) are there in part only, and left out")
            for name, topic in found.items():
                before = self.topics.get(name)
                count = topic.count + (before.count if before else 0)
                self.topics[name] = Found(topic.type, count, topic.definition)
            self._parts.append(part)

    def messages(self, names: Set[str]) -> Iterator[Tuple[str, int, bytes]]:
        """(topic, time, data) of these topics, in the order in which they were written; adds to damage at the end."""
        broken: Counter = Counter()
        for part in self._parts:
            for topic, time, data in part.messages(names):
                try:
                    plain = unpack(data) if data[:4] == ZSTD_MAGIC else data
                except Exception:  # zstd has exceptions of its own
                    broken[topic] += 1
                    continue
                yield topic, time, plain
        self.damage += [f"{count} message(s) on {topic} cannot be unpacked" for topic, count in broken.items()]

    def close(self) -> None:
        """Remove what was unpacked."""
        for folder in self._scratch:
            folder.cleanup()
        self._scratch = []

    def _unpacked(self, file: Path) -> Optional[Path]:
        """The file itself, or what can be unpacked of it into a scratch folder."""
        if file.suffix != ".zstd":
            return file
        folder = tempfile.TemporaryDirectory(prefix="salvaged_bag_")
        self._scratch.append(folder)
        plain = Path(folder.name) / file.stem
        broken = unpack_file(file, plain)
        if broken:
            self.damage.append(broken)
        return plain if plain.stat().st_size else None


def has_unmerged_rows(file: Path) -> bool:
    """Whether a sqlite3 file's newest rows still lie in the log beside it, as when its recorder was killed."""
    log = file.with_name(file.name + "-wal")
    return log.exists() and log.stat().st_size > 0


class _SqliteFile:
    """One .db3 file. stopped: why it could not be read to its end, or nothing. incomplete: messages lost in part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stopped = ""
        self.incomplete = 0

    def survey(self) -> Dict[str, Found]:
        topics: Dict[str, Found] = {}
        try:
            connection = self._open()
            definitions = self._definitions(connection)
            types = dict(connection.execute("SELECT name, type FROM topics").fetchall())
            connection.close()
        except BROKEN as error:
            self.stopped = f"broken ({error})"
            return {}
        counts = dict.fromkeys(types, 0)
        for topic, _, _ in self.messages(types):
            counts[topic] += 1
        for name, kind in types.items():
            topics[name] = Found(kind, counts[name], definitions.get(kind, ""))
        return topics

    def messages(self, names: Collection[str]) -> Iterator[Tuple[str, int, bytes]]:
        try:
            connection = self._open()
        except BROKEN as error:
            self.stopped = f"broken ({error})"
            return
        try:
            by_id = dict(connection.execute("SELECT id, name FROM topics").fetchall())
            for topic_id, time, data in self._rows(connection):
                name = by_id.get(topic_id)
                if name in names and isinstance(data, bytes):
                    yield str(name), time, data
        except BROKEN as error:
            self.stopped = f"broken ({error})"
        finally:
            connection.close()

    def _rows(self, connection: sqlite3.Connection) -> Iterator[Tuple[int, int, bytes]]:
        if has_unmerged_rows(self._path):
            # Nothing is cut off, but the newest rows are in another file, which sqlite3 knows to read.
            yield from connection.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY rowid")
            return
        with MessageRows(self._path) as rows:
            if rows.missing:
                self.stopped = f"cut off: its last {rows.missing} pages are missing"
            self.incomplete = rows.incomplete
            yield from rows

    def _open(self) -> sqlite3.Connection:
        mode = "mode=ro" if has_unmerged_rows(self._path) else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"file:{quote(str(self._path))}?{mode}", uri=True, check_same_thread=False)
        # Otherwise a file shorter than its header says is refused as a whole; nothing can be written either way.
        connection.execute("PRAGMA writable_schema = ON")
        return connection

    @staticmethod
    def _definitions(connection: sqlite3.Connection) -> Dict[str, str]:
        try:
            rows = connection.execute(
                "SELECT topic_type, encoded_message_definition FROM message_definitions WHERE encoding = 'ros2msg'"
            )
            return dict(rows.fetchall())
        except sqlite3.Error:
            return {}  # sqlite3 bags have them since Iron


class _McapFile:
    """One .mcap file, read from its beginning without its index. stopped: why not to its end, or nothing."""

    incomplete = 0  # a record that is cut off ends the file

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stopped = ""

    def survey(self) -> Dict[str, Found]:
        topics: Dict[str, Found] = {}
        for name, kind, definition, _, _ in self._read():
            count = topics[name].count if name in topics else 0
            topics[name] = Found(kind, count + 1, definition)
        return topics

    def messages(self, names: Collection[str]) -> Iterator[Tuple[str, int, bytes]]:
        for name, _, _, time, data in self._read():
            if name in names:
                yield name, time, data

    def _read(self) -> Iterator[Tuple[str, str, str, int, bytes]]:
        """(topic, type, definition, time, data) of each message."""
        schemas: Dict[int, Tuple[str, str]] = {0: ("", "")}
        channels: Dict[int, Tuple[str, int]] = {}
        self.stopped = ""
        with self._path.open("rb") as file:
            if file.read(8) != MCAP_MAGIC:
                self.stopped = "not an mcap file"
                return
            try:
                for kind, record in _records(file):
                    if kind == SCHEMA:
                        number, name, encoding, text = _unpack(record, "Hss*")
                        schemas[number] = (name, text.decode() if encoding == "ros2msg" else "")
                    elif kind == CHANNEL:
                        number, schema, topic = _unpack(record, "HHs")
                        channels[number] = (topic, schema)
                    elif kind == MESSAGE:
                        number, _, time, _ = struct.unpack_from("<HIQQ", record)
                        topic, schema = channels[number]
                        type_name, definition = schemas[schema]
                        yield topic, type_name, definition, time, record[22:]
                    elif kind in (FOOTER, DATA_END):
                        return
            except Exception as error:  # decompressors have exceptions of their own
                self.stopped = f"broken ({type(error).__name__}: {error})"
                return
            self.stopped = "cut off"


def _records(file: BinaryIO) -> Iterator[Tuple[int, bytes]]:
    """The records of an mcap file from here on, those within chunks included, up to one that is not whole."""
    while True:
        head = file.read(9)
        if len(head) < 9:
            return
        kind, size = struct.unpack("<BQ", head)
        if size > MAX_RECORD:
            raise ValueError(f"a record claims {size} bytes")
        body = file.read(size)
        if kind == CHUNK:
            yield from _records(BytesIO(_chunk(body)))
        elif len(body) == size:
            yield kind, body
        if len(body) < size:
            return


def _chunk(body: bytes) -> bytes:
    """The records of a chunk; of one that is cut off, those that are left when it is not compressed."""
    size, _ = struct.unpack_from("<QI", body, 16)
    length = struct.unpack_from("<I", body, 28)[0]
    compression = body[32 : 32 + length].decode()
    packed = body[40 + length : 40 + length + struct.unpack_from("<Q", body, 32 + length)[0]]
    if size > MAX_RECORD:
        raise ValueError(f"a chunk claims {size} bytes")
    if compression == "":
        return packed
    if compression == "zstd":
        return unpack(packed, size)
    if compression == "lz4":
        from lz4.frame import LZ4FrameDecompressor

        return unpack(packed, size, LZ4FrameDecompressor)
    raise ValueError(f"unknown compression {compression!r}")


def _unpack(record: bytes, fields: str) -> List[Any]:
    """Fields of an mcap record: H a uint16, s a string, * bytes; each with its length before it but the first."""
    values: List[Any] = []
    position = 0
    for field in fields:
        if field == "H":
            values.append(struct.unpack_from("<H", record, position)[0])
            position += 2
            continue
        (length,) = struct.unpack_from("<I", record, position)
        value = record[position + 4 : position + 4 + length]
        if len(value) < length:
            raise ValueError("a record ends within a text")
        values.append(value.decode() if field == "s" else value)
        position += 4 + length
    return values
