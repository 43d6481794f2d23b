"""The protocols that clients speak: one class each, over the one core of `hamr_parsers.wire`.

Theory. A request of any protocol becomes an `Exchange` (a chat completion request and how its answer is read), and the
answer of it, whole or in chunks of the safe shape, becomes an answer of that protocol. So everything between (the
upstream, mending, metrics, captures) knows chat completions only. An error, too, has the client's shape: as an HTTP
answer before anything was sent, as the protocol's own event after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from ...errors import HamrParsersError
from ...wire import (
    ChatNormalizer,
    Exchange,
    Report,
    SSEDecoder,
    SSENormalizer,
    UpstreamError,
    WireOptions,
    anthropic,
    encode_event,
    responses,
)
from ...wire.adapter.history import ChatRequest
from .failure import Failure

__all__ = ["Chat", "Messages", "Responses", "Streamer", "Surface", "surface_of"]


class Streamer(Protocol):
    """Makes a client's stream of the upstream's."""

    @property
    def report(self) -> Report:
        """What was done."""

    @property
    def closed(self) -> bool:
        """Nothing comes any more."""

    @property
    def error(self) -> UpstreamError | None:
        """What the upstream reported in its stream."""

    def feed(self, data: bytes) -> bytes:
        """Some of the upstream's bytes; whole events come out, or nothing."""

    def close(self, error: UpstreamError | None = None) -> bytes:
        """The upstream's stream is over, or broke."""


class Surface:
    """One request of one protocol.

    Args:
        payload: the request's JSON body.
        options: how the answer of a model is read, by the model's name.

    Attributes:
        streams: whether a stream was asked for.
        exchange: the request as a chat completion request, and how its answer is read.
        remarks: what the translation left out.

    Raises:
        HamrParsersError: the request cannot be answered as it stands.
    """

    name: ClassVar[str]
    keep_alive: ClassVar[bytes] = b": waiting for the upstream\n\n"

    def __init__(self, payload: dict[str, Any], options: Callable[[object], WireOptions]) -> None:
        self.payload = payload
        self.streams = payload.get("stream") is True
        self.remarks: tuple[str, ...] = ()
        self.exchange = Exchange(self.chat(), options(payload.get("model")))

    def chat(self) -> Mapping[str, Any]:
        """The request as a chat completion request."""
        raise NotImplementedError

    def _take(self, translated: ChatRequest) -> Mapping[str, Any]:
        self.remarks = translated.remarks
        return translated.body

    def body(self, raw: bytes) -> bytes:
        """What is sent upstream; `raw` is what came."""
        return _dump(self.exchange.body)

    def streamer(self) -> Streamer:
        """For a streamed answer."""
        raise NotImplementedError

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        """A whole answer, of a chat completion in the safe shape."""
        raise NotImplementedError

    @classmethod
    def refusal(cls, error: Failure | HamrParsersError) -> tuple[int, dict[str, Any]]:
        """An error as an HTTP answer: status and body."""
        raise NotImplementedError


class Chat(Surface):
    """`/chat/completions`."""

    name = "chat"

    def chat(self) -> Mapping[str, Any]:
        return self.payload

    def body(self, raw: bytes) -> bytes:
        return raw if self.exchange.body is self.payload else super().body(raw)

    def streamer(self) -> Streamer:
        return _ChatStreamer(self.exchange)

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        return completion

    @classmethod
    def refusal(cls, error: Failure | HamrParsersError) -> tuple[int, dict[str, Any]]:
        if isinstance(error, UpstreamError):
            return error.status or 502, error.to_openai()
        if not isinstance(error, Failure):
            error = Failure("request", 400, str(error))
        return error.status, error.to_openai()


class _ChatStreamer:
    """`SSENormalizer`, closed by errors of any kind."""

    def __init__(self, exchange: Exchange) -> None:
        self._sse = SSENormalizer(exchange)
        self.feed = self._sse.feed

    @property
    def report(self) -> Report:
        return self._sse.report

    @property
    def closed(self) -> bool:
        return self._sse.closed

    @property
    def error(self) -> UpstreamError | None:
        return self._sse.error

    def close(self, error: UpstreamError | None = None) -> bytes:
        if error is None:
            return self._sse.close()
        return self._sse.feed(encode_event(error.to_openai(), "error"))


class _Events(Protocol):
    """What the adapters' streams are."""

    def feed(self, chunk: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]: ...

    def close(self, error: BaseException | None = None) -> list[tuple[str, dict[str, Any]]]: ...


class _AdaptedStreamer:
    """Chunks of the safe shape, and of them an adapter's events."""

    def __init__(
        self, exchange: Exchange, events: _Events, encode: Callable[[str, dict[str, Any]], bytes]
    ) -> None:
        self._decoder = SSEDecoder()
        self._chunks = ChatNormalizer(exchange)
        self._events = events
        self._encode = encode
        self.closed = False

    @property
    def report(self) -> Report:
        return self._chunks.report

    @property
    def error(self) -> UpstreamError | None:
        return self._chunks.error

    def feed(self, data: bytes) -> bytes:
        if self.closed:
            return b""
        out: list[bytes] = []
        try:
            decoded = self._decoder.feed(data)
        except UpstreamError as error:  # an event without end
            return self._end(error)
        for event in decoded:
            if event.comment is not None:
                out.append(event.raw)
            elif event.done:
                out.append(self._end(None))
            elif isinstance(event.value, dict):
                out += map(self._tell, self._chunks.feed(event.value, event.event))
                if self._chunks.error is not None:
                    out.append(self._end(self._chunks.error))
            elif event.event == "error":
                out.append(self._end(UpstreamError(event.data or "")))
            if self._over():
                break
        return b"".join(out)

    def _over(self) -> bool:
        return self.closed

    def close(self, error: UpstreamError | None = None) -> bytes:
        if self.closed:
            return b""
        if error is not None:
            return self._end(error)
        rest = [event.value for event in self._decoder.close() if isinstance(event.value, dict)]
        out = [self._tell(chunk) for value in rest for chunk in self._chunks.feed(value)]
        return b"".join(out) + self._end(self._chunks.error)

    def _tell(self, chunk: Mapping[str, Any]) -> bytes:
        return b"".join(self._encode(name, payload) for name, payload in self._events.feed(chunk))

    def _end(self, error: UpstreamError | None) -> bytes:
        out = [self._tell(chunk) for chunk in self._chunks.close(died=error is not None)]
        out += [self._encode(name, payload) for name, payload in self._events.close(error)]
        self.closed = True
        return b"".join(out)


class Responses(Surface):
    """`/responses`."""

    name = "responses"

    def chat(self) -> Mapping[str, Any]:
        return self._take(responses.to_chat(self.payload))

    def streamer(self) -> Streamer:
        return _AdaptedStreamer(self.exchange, responses.ResponsesStream(self.payload), responses.encode)

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        return responses.from_completion(completion, self.payload)

    @classmethod
    def refusal(cls, error: Failure | HamrParsersError) -> tuple[int, dict[str, Any]]:
        return responses.error_response(_told(error))


class Messages(Surface):
    """Anthropic's `/messages`."""

    name = "messages"

    def chat(self) -> Mapping[str, Any]:
        return self._take(anthropic.to_chat(self.payload))

    def streamer(self) -> Streamer:
        return _AdaptedStreamer(self.exchange, anthropic.MessagesStream(self.payload), anthropic.encode)

    def whole(self, completion: dict[str, Any]) -> dict[str, Any]:
        return anthropic.from_completion(completion, self.payload)

    @classmethod
    def refusal(cls, error: Failure | HamrParsersError) -> tuple[int, dict[str, Any]]:
        return anthropic.error_response(_told(error))


_SURFACES: dict[str, type[Surface]] = {"/v1/responses": Responses, "/v1/messages": Messages}


def surface_of(path: str) -> type[Surface] | None:
    """The protocol that a POST to a path speaks, if the proxy does."""
    if path.endswith("/chat/completions"):
        return Chat  # also of a client whose base URL lacks the /v1, or has more
    return _SURFACES.get(path)


def _told(error: Failure | HamrParsersError) -> HamrParsersError:
    return error.as_upstream_error() if isinstance(error, Failure) else error


def _dump(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
