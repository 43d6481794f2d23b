"""A streamed answer as the bytes of `text/event-stream`: what transports and the proxy pass on.

Chunks that do not change keep their bytes. Comments are passed on (they keep connections alive), pings become
comments, names of events are dropped (clients of the chat API know none), `[DONE]` comes once, at the end, unless the
answer ended in an error: then there is none, as clients expect.
"""

from __future__ import annotations

from .errors import UpstreamError
from .report import Report
from .request import Exchange
from .sse import DONE, SSEDecoder, SSEEvent, encode_event, read_json
from .stream import ChatNormalizer

__all__ = ["SSENormalizer"]

_MAX_BARE = 1 << 26


class SSENormalizer:
    """Reads one streamed answer. `feed` and `close` return the bytes to pass on.

    Attributes:
        error: what the gateway reported inside the stream.
        closed: the answer is over; what still comes is not passed on.
    """

    __slots__ = ("_bare", "_chunks", "_decoder", "_first", "_size", "closed", "error")

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._decoder = SSEDecoder()
        self._chunks = ChatNormalizer(exchange)
        self.error: UpstreamError | None = None
        self.closed = False
        self._first = True  # nothing came yet
        self._bare: list[bytes] | None = None  # a body that is one JSON object
        self._size = 0

    @property
    def report(self) -> Report:
        """What was done."""
        return self._chunks.report

    def feed(self, data: bytes) -> bytes:
        """Read what came; return what is to be passed on."""
        if self.closed:
            return b""
        if self._bare is not None:
            return self._take_bare(data)
        if self._first and data.strip():
            self._first = False
            if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
                self._bare = []
                return self._take_bare(data)
        out: list[bytes] = []
        try:
            events = self._decoder.feed(data)
        except UpstreamError as error:
            return self._fail(error)
        for event in events:
            if self._event(event, out):
                break
        return b"".join(out)

    def close(self, error: str | None = None) -> bytes:
        """The stream is over; return the rest. Calling it again does nothing.

        Args:
            error: why the connection broke, if it did; the answer is cut then and ends in this error.
        """
        if self.closed:
            return b""
        out: list[bytes] = []
        if self._bare is not None:
            text = b"".join(self._bare).decode("utf-8-sig", "replace")
            if self._event(SSEEvent(text, read_json(text)), out):
                return b"".join(out)
        for event in self._decoder.close():
            if self._event(event, out):
                return b"".join(out)
        if error is not None:
            return b"".join(out) + self._fail(UpstreamError(error, "connection_error"))
        self._finish(out)
        return b"".join(out)

    def _take_bare(self, data: bytes) -> bytes:
        """A whole answer, or an error, that only calls itself a stream of events."""
        assert self._bare is not None
        self._bare.append(data)
        self._size += len(data)
        if self._size > _MAX_BARE:
            return self._fail(UpstreamError(f"the answer is larger than {_MAX_BARE} bytes"))
        return b""

    def abort(self) -> bytes:
        """The connection broke, and whoever reads this will be told in another way: the rest, marked as cut."""
        if self.closed:
            return b""
        self.closed = True
        return b"".join(map(encode_event, self._chunks.close(died=True)))

    def _event(self, event: SSEEvent, out: list[bytes]) -> bool:
        """Read one event; returns whether the answer is over."""
        if event.comment is not None:
            out.append(event.raw)
            return False
        if event.done:
            self._finish(out)
            return True
        chunk = event.value
        if not isinstance(chunk, dict):
            if event.event == "error":
                out.append(self._fail(UpstreamError(event.data or "")))
                return True
            self._chunks.report.repairs["no_json"] += 1
            if event.data and event.data.lstrip()[:1] == "{":
                self._chunks.spoil()
            return False
        made = self._chunks.feed(chunk, event.event)
        for one in made:
            if one is chunk and "\n" not in (event.data or ""):
                out.append(b"data: %s\n\n" % (event.data or "").encode("utf-8", "replace"))
            else:
                out.append(encode_event(one))
        if self._chunks.error is not None:
            self.error = self._chunks.error
            self.closed = True
            out.append(encode_event(self.error.to_openai()))
            return True
        if not made and (event.event == "ping" or chunk.get("type") == "ping"):
            out.append(b": ping\n\n")
        return False

    def _finish(self, out: list[bytes]) -> None:
        out += map(encode_event, self._chunks.close())
        out.append(DONE)
        self.closed = True

    def _fail(self, error: UpstreamError) -> bytes:
        out = [encode_event(chunk) for chunk in self._chunks.close(died=True)]
        out.append(encode_event(error.to_openai()))
        self.error = error
        self.closed = True
        return b"".join(out)
