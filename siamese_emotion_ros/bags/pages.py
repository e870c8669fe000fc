"""Finds the rows of a recording's messages in the pages of a sqlite3 file, whatever became of the tree above them.

The tree that leads to a table's rows is written as the table grows, and what is cut off at the end of a file is often
its upper part: sqlite3 then finds none of the rows that are all still there. They are found here leaf by leaf instead,
by the file format (https://www.sqlite.org/fileformat2.html): section 1.6 for pages and cells, 2.1 for records.
"""
from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

MAGIC = b"SQLite format 3\0"

#: The first byte of a page with rows of a table.
TABLE_LEAF = 0x0D

#: Bytes of an integer by its serial type; 8 and 9 are the integers 0 and 1 themselves.
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}


class Row(NamedTuple):
    """A row of the table messages: id, topic_id, timestamp and where its data begins."""

    rowid: int
    topic_id: int
    time: int
    payload: _Payload
    begin: int


class _Payload(NamedTuple):
    """The bytes of a row: `size` of them, the first `local` at `offset`, the others in a chain of overflow pages."""

    size: int
    offset: int
    local: int


class MessageRows:
    """The rows of the table messages in a sqlite3 file; a context manager. ValueError for a file that is no database.

    missing: pages that the file should have and has not; incomplete: rows of which a part lies in those.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            if path.stat().st_size < 512:
                raise ValueError("too short for a database")
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = self._file[:100]
        if not head.startswith(MAGIC):
            self._file.close()
            raise ValueError("not a database")
        (size,) = struct.unpack_from(">H", head, 16)
        self._page = 65536 if size == 1 else size
        self._usable = self._page - head[20]
        if self._page < 512 or self._page & (self._page - 1) or self._usable < 480:
            self._file.close()
            raise ValueError(f"pages of {self._page} bytes")
        self._pages = len(self._file) // self._page
        self.missing = max(0, int(struct.unpack_from(">I", head, 28)[0]) - self._pages)
        self.incomplete = 0
        self._rows = sorted(self._found(), key=lambda row: row.rowid)

    def __enter__(self) -> MessageRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Tuple[int, int, bytes]]:
        """(topic_id, timestamp, data) of each whole row, in the order in which they were written."""
        for row in self._rows:
            yield row.topic_id, row.time, b"".join(self._parts(row.payload))[row.begin :]

    def _found(self) -> List[Row]:
        rows: Dict[int, Row] = {}
        for number in range(self._pages):
            start = number * self._page
            header = start + (100 if number == 0 else 0)
            if self._file[header] != TABLE_LEAF:
                continue
            (count,) = struct.unpack_from(">H", self._file, header + 3)
            if 8 + 2 * count > self._page:
                continue
            for pointer in struct.unpack_from(f">{count}H", self._file, header + 8):
                try:
                    row = self._row(start + pointer, start + self._page)
                except (IndexError, struct.error):
                    continue  # what looks like a leaf may be the middle of a picture
                if row is None:
                    continue
                if sum(len(part) for part in self._parts(row.payload)) == row.payload.size:
                    rows.setdefault(row.rowid, row)
                else:
                    self.incomplete += 1
        return list(rows.values())

    def _row(self, cell: int, end: int) -> Optional[Row]:
        """The row of the table messages in a cell; None for a row of another table, or none at all."""
        size, at = self._varint(cell)
        rowid, at = self._varint(at)
        local = self._local(size)
        if at + local > end:
            return None
        length, after = self._varint(at)
        kinds: List[int] = []
        while after < at + length and len(kinds) <= 4:
            kind, after = self._varint(after)
            kinds.append(kind)
        # id (which is the rowid, so null), topic_id, timestamp, data
        if len(kinds) != 4 or kinds[0] != 0 or kinds[1] not in INTEGERS or kinds[2] not in INTEGERS:
            return None
        if kinds[3] < 12 or kinds[3] % 2:
            return None
        middle = after + INTEGERS[kinds[1]]
        begin = length + INTEGERS[kinds[1]] + INTEGERS[kinds[2]]
        if begin + (kinds[3] - 12) // 2 != size:
            return None
        topic_id, time = self._integer(after, kinds[1]), self._integer(middle, kinds[2])
        return Row(rowid, topic_id, time, _Payload(size, at, local), begin)

    def _local(self, size: int) -> int:
        """How much of a payload lies in its leaf (section 1.6)."""
        most = self._usable - 35
        if size <= most:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        kept = least + (size - least) % (self._usable - 4)
        return kept if kept <= most else least

    def _parts(self, payload: _Payload) -> Iterator[bytes]:
        """The bytes of a payload, piece by piece, as far as they are there."""
        yield self._file[payload.offset : payload.offset + payload.local]
        left, link = payload.size - payload.local, payload.offset + payload.local
        for _ in range(self._pages):  # a chain with more links than there are pages runs in a circle
            if left <= 0:
                return
            (page,) = struct.unpack_from(">I", self._file, link)
            if not 1 < page <= self._pages:
                return
            link = (page - 1) * self._page
            part = self._file[link + 4 : link + 4 + min(left, self._usable - 4)]
            left -= len(part)
            yield part

    def _integer(self, at: int, kind: int) -> int:
        return kind - 8 if kind >= 8 else int.from_bytes(self._file[at : at + INTEGERS[kind]], "big", signed=True)

    def _varint(self, at: int) -> Tuple[int, int]:
        """A variable-length integer and the place behind it."""
        value = 0
        for position in range(at, at + 8):
            byte = self._file[position]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, position + 1
        return value << 8 | self._file[at + 8], at + 9
