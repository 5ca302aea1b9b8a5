"""Bytes of a file, decompressed by its ending, and the lines of its text."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from trueness.errors import DataError, first_line
from trueness.files import no_such_file

BLOCK_BYTES = 1 << 20
LONGEST_LINE = 1 << 24
"""Characters."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
"""First bytes of a text -> its encoding; the longer marks come first."""
OTHERS = {
    b"\x1f\x8b": "compressed (.gz)", b"\xfd7zXZ\0": "compressed (.xz)",
    b"\x28\xb5\x2f\xfd": "compressed (.zst)", b"PK\x03\x04": "an archive (.zip), or Excel's",
    b"\xd0\xcf\x11\xe0": "Excel's (.xls)", b"PAR1\x15": "Parquet (.parquet)",
    b"ARROW1\0\0": "Arrow (.arrow)",
}  # fmt: skip
"""First bytes of files that are no text -> what they are."""
BROKEN = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, lzma.LZMAError,
          zipfile.BadZipFile, zlib.error)  # fmt: skip
"""What files that are damaged or compressed in another way raise."""


def _zstd(path: Path) -> BinaryIO:
    try:
        import pyarrow
    except ImportError:
        raise DataError(f"{path}: .zst needs the package pyarrow; install it, or decompress the "
                        "file first", "unreadable") from None  # fmt: skip
    library: Any = pyarrow
    return cast("BinaryIO", library.input_stream(str(path), compression="zstd"))


def _zip(path: Path) -> BinaryIO:
    """The one file of an archive."""
    with zipfile.ZipFile(path) as archive:
        return cast("BinaryIO", archive.open(_member(path, archive)))


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [one.filename for one in archive.infolist() if not one.is_dir()]
    names = [one for one in names if not one.startswith("__MACOSX/")]
    if len(names) != 1:
        raise DataError(f"{path}: {len(names)} files in the archive; exactly one is read",
                        "archive")  # fmt: skip
    return names[0]


OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _zstd, ".zip": _zip,
}  # fmt: skip
"""Ending of a compressed file -> what opens it."""


def opened(path: Path) -> BinaryIO:
    """File opened for reading bytes, decompressed by its ending (one of `OPENERS`)."""
    return cast("BinaryIO", OPENERS.get(path.suffix.lower(), lambda p: p.open("rb"))(path))


def ending(path: Path) -> str:
    """Ending that tells the format, in small letters: that of the content where it is compressed.

    Raises
    ------
    DataError
        For an archive that does not hold exactly one file.

    Examples
    --------
    >>> ending(Path("bars.CSV.gz"))
    '.csv'
    """
    last = path.suffix.lower()
    if last == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return PurePath(_member(path, archive)).suffix.lower()
        except BROKEN as error:
            raise unreadable(path, error) from None
    return PurePath(path.stem).suffix.lower() if last in OPENERS else last


def checked(path: Path) -> Path:
    """The path of a file that is there.

    Raises
    ------
    DataError
        With code ``no_file`` or, for a folder, a pipe or a device, ``unreadable``.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file", "unreadable")
    if not path.exists():
        raise DataError(no_such_file(path), "no_file")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device; write its content to a file and give that",
                        "unreadable")  # fmt: skip
    return path


def unreadable(path: Path, error: BaseException) -> DataError:
    """Refusal of a file that cannot be opened or is damaged."""
    return DataError(f"{path}: cannot be read ({first_line(error)})", "unreadable")


# -------------------------------------------------------------------------------------------- lines


def blocks(path: Path) -> Iterator[bytes]:
    """Content of a file, decompressed, in blocks of `BLOCK_BYTES` bytes.

    Raises
    ------
    DataError
        With code ``unreadable``.
    """
    try:
        with closing(opened(path)) as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except BROKEN as error:
        raise unreadable(path, error) from None


def _mark(path: Path, first: bytes) -> tuple[bytes, str]:
    """Byte order mark at the beginning of a file, and its encoding.

    Raises
    ------
    DataError
        With code ``unreadable`` for a file that is no text.
    """
    other = next((what for begin, what in OTHERS.items() if first.startswith(begin)), None)
    if other is not None:
        raise DataError(f"{path}: the content is {other}, not text; give the file the ending of "
                        "what it is, or save it as text", "unreadable")  # fmt: skip
    return next((one for one in MARKS if first.startswith(one[0])), (b"", "utf-8"))


def utf8_blocks(path: Path) -> Iterator[bytes]:
    """Content of a file without its byte order mark: UTF-8, be it right or not, as it stands.

    Raises
    ------
    DataError
        As `text_blocks`, but for UTF-8 that is wrong.
    """
    content = blocks(path)
    first = next(content, b"")
    mark, encoding = _mark(path, first)
    if encoding == "utf-8":
        yield first[len(mark) :]
        yield from content
    else:
        yield from (text.encode() for text in text_blocks(path))


def text_blocks(path: Path, content: Iterator[bytes] | None = None) -> Iterator[str]:
    """Text of a file: by its byte order mark in UTF-8, UTF-16 or UTF-32, without one in UTF-8.

    Parameters
    ----------
    path : Path
        Names the text where `content` is given.
    content : iterator of bytes, optional
        In place of that of the file.

    Raises
    ------
    DataError
        With code ``encoding`` for bytes that are no such text; the message names line and byte.
    """
    decoder, line = None, 1
    for block in blocks(path) if content is None else content:
        rest = block
        if decoder is None:
            mark, encoding = _mark(path, block)
            decoder, rest = codecs.getincrementaldecoder(encoding)(), block[len(mark) :]
        try:
            text = decoder.decode(rest)
        except UnicodeDecodeError as error:
            raise _undecodable(path, error, line) from None
        if "\0" in text:
            line += text[: text.index("\0")].count("\n")
            raise DataError(
                f"{path}: line {line} holds a zero byte; text is expected, in UTF-8 or in UTF-16 "
                "with a byte order mark", "encoding",
            )  # fmt: skip
        line += text.count("\n")
        yield text
    if decoder is not None:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise _undecodable(path, error, line) from None


def _undecodable(path: Path, error: UnicodeDecodeError, line: int) -> DataError:
    """Refusal that names the line and the byte."""
    before = error.object[: error.start].decode(error.encoding, "ignore")
    line += before.count("\n")
    end = error.object.find(b"\n", error.start)
    rest = error.object[error.start : end if end >= 0 else None][:100]
    hint = "save the file as UTF-8"
    if error.encoding.startswith("utf-8"):
        try:
            rest.decode("cp1252")
            hint = f"it may be Windows-1252: iconv -f WINDOWS-1252 -t UTF-8, or {hint}"
        except UnicodeDecodeError:
            hint = f"it is another encoding; {hint}"
    return DataError(
        f"{path}: line {line}: byte 0x{error.object[error.start]:02x} is no "
        f"{error.encoding.upper()}; {hint}", "encoding",
    )  # fmt: skip


def text_lines(path: Path, content: Iterator[bytes] | None = None) -> Iterator[str]:
    r"""Lines of a text, see `text_blocks`, each with ``\n`` at its end.

    Lines end with ``\n`` or ``\r\n``; with ``\r`` where the first block holds no ``\n``.
    """
    carry, end = "", ""
    for block in text_blocks(path, content):
        text = carry + block
        end = end or ("\r" if "\r" in text and "\n" not in text else "\n")
        *whole, carry = text.split(end)
        if max(map(len, (carry, *whole[:1]))) > LONGEST_LINE:  # others are within a block
            raise DataError(f"{path}: a line of more than {LONGEST_LINE:,} characters; a table is "
                            "expected", "unreadable")  # fmt: skip
        for line in whole:
            yield (line[:-1] if line.endswith("\r") else line) + "\n"
    if carry:
        yield (carry[:-1] if carry.endswith("\r") else carry) + "\n"
