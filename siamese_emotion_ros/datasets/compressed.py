"""Lines of a text file that may be compressed, read as a stream, with the position for a progress bar."""
from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Iterator, Tuple, cast

from .face_set import DataSetError

_MAX_LINE = 1 << 16


def read_lines(path: Path) -> Iterator[Tuple[bytes, int]]:
    """(line without its end, bytes of `path` consumed) for each line of a plain, .xz, .gz or .zip file.

    A .zip must hold exactly one .csv. Never more than a few lines are in memory. Raises DataSetError when the
    file cannot be opened, is damaged or cut off, or holds a line of more than 64 KiB.
    """
    number = 0
    try:
        with open(path, "rb") as raw, _decompressed(raw, path) as text:
            for line in iter(lambda: text.readline(_MAX_LINE), b""):
                number += 1
                if len(line) == _MAX_LINE:
                    raise DataSetError(f"{path}: line {number} is longer than {_MAX_LINE} bytes: this is no "
                                       f"csv of small images. Is it an archive inside the archive?")
                yield line.rstrip(b"\r\n"), raw.tell()
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataSetError(f"{path}: is damaged or cut off after line {number} ({error}): "
                           f"copy or download it again") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: zipfile's word for a password
        raise DataSetError(f"{path}: cannot be read ({error})") from error


def _decompressed(raw: BinaryIO, path: Path) -> BinaryIO:
    kind = path.suffix.lower()
    if kind == ".xz":
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if kind == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if kind == ".zip":
        archive = zipfile.ZipFile(raw)
        tables = [name for name in archive.namelist()
                  if name.lower().endswith(".csv") and not Path(name).name.startswith(".")]
        if len(tables) != 1:
            raise DataSetError(f"{path}: holds {len(tables)} csv files, expected one: name the unpacked csv")
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, archive.open(tables[0]))))
    return raw
