"""As much of HTTP/1.1 as the replay gateway needs, over asyncio's streams.

Written here because most faults of a connection lie below what a web framework lets one do: a status line that
waits, a body that stops in the middle, a reset. Requests are bounded (head 64 KiB, body as the kind of gateway has
it); connections are kept alive; nothing else of HTTP is attempted.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

__all__ = ["HEAD_LIMIT", "BadRequest", "Request", "framed", "head", "read_request", "reset"]

HEAD_LIMIT = 64 * 1024
DISCARDED = 64 * 1024 * 1024
LAST_CHUNK = b"0\r\n\r\n"


class BadRequest(Exception):
    """A request that cannot be read; the connection ends after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Request:
    """One request. Header names are in lower case; of a repeated header the last counts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    chunked: bool  # whether the client can read a chunked answer (HTTP/1.1)


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_body: int
) -> Request | None:
    """The next request of a connection; None if the client is done.

    Raises:
        BadRequest: it is none, or too large.
        ConnectionError: the client went away in the middle.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise ConnectionResetError("the client went away in the middle of a request") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "the request's head is too large") from None
    lines = raw.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "that was no HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        body = await _body(reader, headers, max_body)
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("the client went away in the middle of a request") from None
    newer = words[2] != "HTTP/1.0"
    told = headers.get("connection", "").lower()
    keep = told != "close" if newer else told == "keep-alive"
    return Request(words[0], unquote(urlsplit(words[1]).path), headers, body, keep, newer)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], limit: int) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts: list[bytes] = []
        total = 0
        while True:
            line = await reader.readuntil(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise BadRequest(400, "a chunk of the request has no size") from None
            total += size
            if size < 0 or total > limit:
                raise BadRequest(413, "the request's body is too large")
            part = await reader.readexactly(size + 2)
            if size == 0:
                return b"".join(parts)
            parts.append(part[:-2])
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "the Content-Length is no number")
    left = int(length)
    if left > limit:
        while 0 < left <= DISCARDED:  # a client that is still sending would not look for an answer
            left -= len(await reader.read(left)) or left
        raise BadRequest(413, "the request's body is too large")
    return await reader.readexactly(left)


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The status line and the headers of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def framed(piece: bytes) -> bytes:
    """A piece of a body as a chunk of its own, so that a client sees it as it was cut."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset: what a client sees when a server is killed."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
