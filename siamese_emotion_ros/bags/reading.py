"""Reads a rosbag2 recording, whole or damaged: its topics, and its messages as far as they can be read."""
from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Collection, Dict, Iterator, List, NamedTuple, Optional, Type, Union

from .salvage import SalvagedBag, has_unmerged_rows
from .unpacking import UnpackingRefused, limit_chunks, unpack, unpack_folder


class BagError(ValueError):
    """A recording that cannot be used; the message says what was found, what was expected and what to do."""


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    type: such as sensor_msgs/msg/Image. count: messages that can be read. definition: the text of the type as it is
    stored with the messages, empty where the recording has none (sqlite3 before Iron). digest: the type's RIHS01
    hash or empty. qos: the offered profiles, as rosbags holds them.
    """

    name: str
    type: str
    count: int
    definition: str = ""
    digest: str = ""
    qos: Any = ()


class BagMessage(NamedTuple):
    """One message as it was recorded. time: of recording, nanoseconds. data: serialized, CDR."""

    topic: str
    time: int
    data: bytes


class Bag:
    """A recording that is open for reading; a context manager.

    topics: by name. damage: what could not be read, in sentences; messages() adds what it finds while reading.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        """`path`: the folder of a recording, or a .db3 or .mcap file of it. BagError when nothing can be read."""
        try:
            from rosbags.rosbag2 import Reader
        except ModuleNotFoundError as error:
            raise BagError(f"{error.name} is not installed: in the source tree, pip install '.[bags]'") from error
        limit_chunks()
        self.path = Path(os.path.expanduser(path))
        self.damage: List[str] = []
        self._reader: Any = None
        self._salvaged: Optional[SalvagedBag] = None
        self._scratch: Optional[tempfile.TemporaryDirectory] = None
        self._packed = False
        if not self.path.exists():
            raise BagError(f"{self.path}: no such file or folder: expected the folder of a rosbag2 recording")
        if (self.path.is_file() and self.path.suffix == ".bag") or not _storage_files(self.path):
            raise BagError(
                f"{self.path}: not a rosbag2 recording: expected a folder with .db3 or .mcap files, or one such file"
                + (" (a ROS 1 bag is converted by rosbags-convert)" if self.path.suffix == ".bag" else "")
            )
        unmerged = [file.name for file in _storage_files(self.path) if has_unmerged_rows(file)]
        try:
            if unmerged:
                raise BagError(f"{unmerged[0]} was still being written")
            self._scratch = unpack_folder(self.path) if self.path.is_dir() else None
            reader = Reader(self.path if self._scratch is None else Path(self._scratch.name))
            reader.open()
            self._reader = reader
            self.topics = _topics_of(reader)
            if reader.compression_mode == "message":
                # rosbags would unpack without a limit.
                reader.storage.metadata = reader.storage.metadata._replace(compression_mode=None)
                self._packed = True
        except UnpackingRefused as error:
            self.close()
            raise BagError(str(error)) from error
        except Exception as error:  # rosbags raises whatever the broken bytes lead to
            self.close()
            self._salvage(error)

    def messages(self, names: Optional[Collection[str]] = None) -> Iterator[BagMessage]:
        """The messages of these topics (None: of all) in the order of their recording, as far as they can be read."""
        wanted = set(self.topics if names is None else names)
        if self._salvaged is not None:
            yield from (BagMessage(*message) for message in self._salvaged.messages(wanted))
            self._note_salvaged()
            return
        connections = [connection for connection in self._reader.connections if connection.topic in wanted]
        if not connections:
            return
        last = 0
        try:
            for connection, time, data in self._reader.messages(connections):
                last = time
                yield BagMessage(connection.topic, time, unpack(data) if self._packed else bytes(data))
        except Exception as error:
            self._note(f"{self.path}: damaged after the message recorded at {last / 1e9:.3f} s ({_reason(error)}): "
                       "what follows is lost")

    def close(self) -> None:
        """Close the files; may be called twice."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._salvaged is not None:
            self._salvaged.close()
            self._salvaged = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _salvage(self, error: Exception) -> None:
        try:
            salvaged = SalvagedBag(_storage_files(self.path))
        except UnpackingRefused as refusal:
            raise BagError(str(refusal)) from refusal
        if not salvaged.topics:
            salvaged.close()
            raise BagError(f"{self.path} cannot be read: {_reason(error)}; nor can anything be salvaged from it")
        self._salvaged = salvaged
        self.topics = {
            name: Topic(name, found.type, found.count, found.definition)
            for name, found in sorted(salvaged.topics.items())
        }
        self._note(f"{self.path} is damaged or incomplete ({_reason(error)}): it is read as far as it goes")
        self._note_salvaged()

    def _note_salvaged(self) -> None:
        for sentence in self._salvaged.damage if self._salvaged is not None else ():
            self._note(sentence)

    def _note(self, sentence: str) -> None:
        if sentence not in self.damage:
            self.damage.append(sentence)


#: What the files with the messages are called.
STORAGE_SUFFIXES = (".db3", ".mcap", ".db3.zstd", ".mcap.zstd")


def is_bag(path: Union[str, Path]) -> bool:
    """Whether a path looks like a rosbag2 recording: a folder with storage files in it, or one such file."""
    return bool(_storage_files(Path(os.path.expanduser(path))))


def _storage_files(path: Path) -> List[Path]:
    """The files with the messages, in the order of their numbers."""
    if path.is_file():
        return [path] if path.name.endswith(STORAGE_SUFFIXES) else []
    if not path.is_dir():
        return []
    files = [file for file in path.iterdir() if file.name.endswith(STORAGE_SUFFIXES) and file.is_file()]
    return sorted(files, key=lambda file: (_number(file), file.name))


def _number(file: Path) -> int:
    tail = file.name.split(".")[0].rpartition("_")[2]
    return int(tail) if tail.isdigit() else -1


def _topics_of(reader: Any) -> Dict[str, Topic]:
    """One entry for each topic; where several writers offered one, their messages are counted together."""
    topics: Dict[str, Topic] = {}
    for connection in sorted(reader.connections, key=lambda connection: connection.topic):
        before = topics.get(connection.topic)
        topics[connection.topic] = Topic(
            connection.topic, connection.msgtype, connection.msgcount + (before.count if before else 0),
            connection.msgdef.data, connection.digest, tuple(connection.ext.offered_qos_profiles),
        )
    return topics


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text if text else type(error).__name__
