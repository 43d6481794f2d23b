"""Server-sent events, as gateways write them: bytes in, events out; and back.

Theory. An event is one or more `data:` lines up to a blank line. Gateways leave out the blank line (at the end, or
everywhere), the blank after the colon, write CRLF or CR, send comments and pings, and TCP cuts anywhere, inside a
character too. So lines are found in bytes, where a cut character cannot hurt; a `data:` line that is JSON by itself
(or `[DONE]`) is an event at once; what is not is joined with the next lines up to the blank one. What is held is one
unfinished line and the data lines of one event, at most `max_event` bytes.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from .errors import UpstreamError

__all__ = ["DONE", "SSEDecoder", "SSEEvent", "encode_event", "looks_like_events", "read_json"]

DONE = b"data: [DONE]\n\n"
_BOM = b"\xef\xbb\xbf"
_NONE: Any = object()
_EVENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(?:data|event|id|retry)?+:")
_LINE = 64  # bytes that a held line costs beside its text


class SSEEvent(NamedTuple):
    """One event, or one comment.

    Attributes:
        data: the text of its data; None for a comment.
        value: the data as JSON; None if it is none.
        event: its name, if it has one.
        comment: the text of a comment.
        done: it is `[DONE]`.
    """

    data: str | None
    value: Any = None
    event: str | None = None
    comment: str | None = None
    done: bool = False

    @property
    def raw(self) -> bytes:
        """The event in its plainest spelling."""
        if self.comment is not None:
            return f":{self.comment}\n\n".encode("utf-8", "replace")
        name = f"event: {self.event}\n" if self.event else ""
        lines = "".join(f"data: {line}\n" for line in (self.data or "").split("\n"))
        return f"{name}{lines}\n".encode("utf-8", "replace")


class SSEDecoder:
    """Reads one stream of events.

    Args:
        max_event: bytes that one event may have.
    """

    __slots__ = ("_buffer", "_data", "_event", "_first", "_held", "_max", "_size", "_skip_lf")

    def __init__(self, max_event: int = 1 << 26) -> None:
        self._buffer: list[bytes] = []
        self._size = 0  # bytes held, of the unfinished line and of the event
        self._held = 0  # ... of the event
        self._data: list[str] = []
        self._event: str | None = None
        self._first = True
        self._skip_lf = False
        self._max = max_event

    def feed(self, data: bytes) -> list[SSEEvent]:
        """The events that `data` completes.

        Raises:
            UpstreamError: an event is larger than `max_event`.
        """
        if not data:
            return []
        if b"\r" in data or self._skip_lf:
            data = self._line_feeds(data)
        if b"\n" not in data:
            self._hold(data)
            return []
        *lines, rest = data.split(b"\n")
        if self._buffer:
            self._buffer.append(lines[0])
            lines[0] = b"".join(self._buffer)
            self._buffer = []
            self._size = self._held
        events: list[SSEEvent] = []
        for line in lines:
            self._line(line, events)
        if rest:
            self._hold(rest)
        return events

    def close(self) -> list[SSEEvent]:
        """The stream is over: what its last line and event hold, although they were not ended."""
        events: list[SSEEvent] = []
        if self._buffer:
            line, self._buffer = b"".join(self._buffer), []
            self._line(line, events)
        self._line(b"", events)
        return events

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max:
            raise UpstreamError(f"one event of the stream is larger than {self._max} bytes")
        self._buffer.append(data)

    def _line_feeds(self, data: bytes) -> bytes:
        """Every line end as LF. CR is one by itself, also at the end of `data`."""
        if self._skip_lf and data[:1] == b"\n":
            data = data[1:]
        self._skip_lf = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _line(self, line: bytes, events: list[SSEEvent]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                text = "\n".join(self._data)
                self._data = []
                events.append(SSEEvent(text, read_json(text), self._event))
            self._event = None
            self._size = self._held = 0
            return
        if line[:1] == b":":
            events.append(SSEEvent(None, None, None, line[1:].decode("utf-8", "replace")))
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._take(value, events)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace") or None

    def _take(self, value: bytes, events: list[SSEEvent]) -> None:
        if not self._data or value[:1] in b"{[":
            if value.strip() == b"[DONE]":
                self._flush(events)
                events.append(SSEEvent("[DONE]", None, self._event, None, True))
                return
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError:
                text = value.decode("utf-8", "replace")
            loaded = read_json(text, _NONE)
            if loaded is not _NONE and isinstance(loaded, dict):
                self._flush(events)
                events.append(SSEEvent(text, loaded, self._event))
                return
        else:
            text = value.decode("utf-8", "replace")
        self._held += len(value) + _LINE
        self._size = self._held
        if self._size > self._max:
            raise UpstreamError(f"one event of the stream is larger than {self._max} bytes")
        self._data.append(text)

    def _flush(self, events: list[SSEEvent]) -> None:
        if self._data:
            text = "\n".join(self._data)
            self._data = []
            self._held = 0
            events.append(SSEEvent(text, read_json(text), self._event))


def looks_like_events(data: bytes) -> bool:
    """Whether a body begins as a stream of events does, whatever type its server gave it."""
    return _EVENTS.match(data) is not None


def encode_event(value: Any, event: str | None = None) -> bytes:
    """A JSON value as one event."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate in a field that is not ours
        data = json.dumps(value, separators=(",", ":")).encode()
    name = b"" if event is None else f"event: {event}\n".encode()
    return b"%sdata: %s\n\n" % (name, data)


def read_json(text: str, otherwise: Any = None) -> Any:
    """A JSON text's value; `otherwise` if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
