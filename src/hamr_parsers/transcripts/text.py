"""Bytes to text, strictly: what is not text is refused with the reason and the place, never patched over.

A replacement character in the middle of a captured call would be blamed on the model, so nothing is decoded
with `errors="replace"`. Byte order marks are obeyed (UTF-8, UTF-16, UTF-32: Windows shells write them).
"""

from __future__ import annotations

import codecs

from .model import TranscriptError

__all__ = ["decode_text"]

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode_text(data: bytes, source: str) -> str:
    """The text of a file, without its byte order mark.

    Raises:
        TranscriptError: the file is empty, binary, or not in the encoding that it seems to be in.
    """
    if not data:
        raise TranscriptError(source, "empty file")
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    nul = -1 if mark else data.find(b"\0")
    if nul >= 0:
        raise TranscriptError(source, f"binary file (a NUL byte at offset {nul})")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        raise TranscriptError(
            source, f"not {encoding.upper()} text: byte 0x{data[at]:02x} at offset {at} ({error.reason})"
        ) from None
    if not text:
        raise TranscriptError(source, "empty file (only a byte order mark)")
    return text
