"""Transports for programs that have a client already: `OpenAI(http_client=httpx2_client())`, and nothing else changes.

Theory. A transport stands between a client and the network. This one lets everything pass but `POST
.../chat/completions`: it reads the request (tools, model, thinking flags), asks for an answer that is not compressed,
and puts the answer into the safe shape, streamed or whole (wire). Errors of the gateway pass as they are. If the
connection breaks in the middle of a stream, what came is given out, marked as cut, and then the same exception is
raised as without this transport.

`openai` 3 runs on httpx2, earlier ones and many programs on httpx. The two have the same interface and classes of
their own, so the classes here are made once for each; neither package is imported before one is asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import HamrParsersError
from ..wire import (
    DONE,
    ChatNormalizer,
    Exchange,
    SSEDecoder,
    SSENormalizer,
    UpstreamError,
    WireOptions,
    encode_event,
    error_in,
    gather,
    looks_like_events,
)
from .errors import MissingExtraError

if TYPE_CHECKING:
    import httpx
    import httpx2

__all__ = [
    "async_httpx2_client",
    "async_httpx_client",
    "httpx2_client",
    "httpx_client",
    "transports",
]

_WIRE = frozenset(field.name for field in fields(WireOptions))
_TIMEOUT, _CONNECT = 600.0, 5.0  # seconds, as the OpenAI SDK: a model may have to be loaded first
_QUOTED = 80  # characters of an answer that is none
_WHOLE = ("application/json", "text/html", "application/xhtml+xml", "application/problem+json")
#: Headers that say how the gateway framed what is framed anew here.
_JSON, _SSE = "application/json", "text/event-stream; charset=utf-8"
_FRAMING = frozenset(("content-length", "content-encoding", "transfer-encoding"))


def httpx2_client(**options: Any) -> httpx2.Client:
    """A `httpx2.Client` whose chat completions are in the safe shape: `http_client=` of `openai` 3.

    Args:
        options: those of `WireOptions` (`parser`, `tools`, `upstream="text"`, ...), `transport` (what to send by), and
            those of `httpx2.Client`. Time-outs are 600 s, 5 s to connect, unless `timeout` says otherwise.

    Raises:
        UnknownParserError, ValueError: an option has no such value.
        MissingExtraError: httpx2 is not installed.
    """
    httpx2 = _httpx2()
    return _client(httpx2, httpx2.Client, "Transport", "HTTPTransport", options)  # type: ignore[no-any-return]


def async_httpx2_client(**options: Any) -> httpx2.AsyncClient:
    """`httpx2_client` for asynchronous programs."""
    httpx2 = _httpx2()
    client = _client(httpx2, httpx2.AsyncClient, "AsyncTransport", "AsyncHTTPTransport", options)
    return client  # type: ignore[no-any-return]


def httpx_client(**options: Any) -> httpx.Client:
    """`httpx2_client` for programs on httpx: `openai` 2, litellm, instructor."""
    httpx = _httpx()
    return _client(httpx, httpx.Client, "Transport", "HTTPTransport", options)  # type: ignore[no-any-return]


def async_httpx_client(**options: Any) -> httpx.AsyncClient:
    """`httpx_client` for asynchronous programs."""
    httpx = _httpx()
    client = _client(httpx, httpx.AsyncClient, "AsyncTransport", "AsyncHTTPTransport", options)
    return client  # type: ignore[no-any-return]


def _httpx2() -> Any:
    try:
        import httpx2
    except ModuleNotFoundError:
        raise MissingExtraError("client", "httpx2") from None
    return httpx2


def _httpx() -> Any:
    try:
        import httpx
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this needs httpx: pip install httpx", name="httpx") from None
    return httpx


def _client(http: Any, kind: Any, ours: str, theirs: str, options: dict[str, Any]) -> Any:
    wire = {name: options.pop(name) for name in list(options) if name in _WIRE}
    inner = options.pop("transport", None)
    if inner is None:
        own = {
            n: options.pop(n) for n in ("verify", "cert", "http1", "http2", "limits", "proxy") if n in options
        }
        inner = getattr(http, theirs)(**own)
    options.setdefault("timeout", http.Timeout(_TIMEOUT, connect=_CONNECT))
    options.setdefault("follow_redirects", True)
    return kind(transport=getattr(transports(http), ours)(inner, **wire), **options)


class Reader:
    """How one transport reads requests and answers; knows neither package, does no I/O."""

    def __init__(self, **options: Any) -> None:
        self.options = WireOptions(**options)
        Exchange(None, self.options)  # an unknown parser is told now

    def exchange(self, method: str, path: str, body: bytes) -> Exchange | None:
        """What a request asks, if it is one for a chat completion."""
        if method != "POST" or not path.rstrip("/").endswith("/chat/completions"):
            return None
        try:
            request = json.loads(body)
        except ValueError:
            return None
        if not isinstance(request, dict):
            return None
        return Exchange(request, self.options)

    @staticmethod
    def streamed(exchange: Exchange) -> bool:
        """Whether the client asked for a stream."""
        return bool(exchange.body.get("stream"))

    @staticmethod
    def whole(exchange: Exchange, body: bytes, kind: str) -> tuple[int, bytes, str]:
        """(status, body, content type) for an answer that came in one piece with status 200.

        Where a stream was asked for, it becomes one. What is no answer at all (a login page, JSON that was cut, an
        error that says 200) is an error: clients that believe the status would fail far from the cause.
        """
        try:
            payload = json.loads(body)
        except ValueError:
            if looks_like_events(body):  # a stream that calls itself something else
                sse = exchange.sse()
                made = sse.feed(body) + sse.close()
                if Reader.streamed(exchange):
                    return 200, made, _SSE
                return Reader.whole(exchange, _gathered(made), _JSON)
            what = (
                "an HTML page"
                if "html" in kind or body.lstrip()[:1] == b"<"
                else "no JSON"
                if body
                else "nothing"
            )
            hint = f"the gateway answered with {what} where a chat completion was due: is the base URL right?"
            return 502, _dump(UpstreamError(hint, "not_a_gateway").to_openai()), _JSON
        error = error_in(payload)
        if error is not None and not payload.get("choices"):
            return error.status or 502, _dump(error.to_openai()), _JSON
        if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
            hint = f"the gateway answered with JSON that is no chat completion: {body[:200].decode('utf-8', 'replace')}"
            return 502, _dump(UpstreamError(hint, "not_a_gateway").to_openai()), _JSON
        if not Reader.streamed(exchange):
            try:
                return 200, _dump(exchange.response(payload)), _JSON
            except UpstreamError as told:
                return told.status or 502, _dump(told.to_openai()), _JSON
        chunks = ChatNormalizer(exchange)
        made = b"".join(map(encode_event, chunks.feed(payload) + chunks.close()))
        tail = DONE if chunks.error is None else encode_event(chunks.error.to_openai())
        return 200, made + tail, _SSE


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


@lru_cache(maxsize=4)
def transports(http: Any) -> Any:
    """The transport classes for `httpx` or `httpx2`: `.Transport(inner, **wire_options)` and `.AsyncTransport(...)`.

    Args:
        http: the package, `httpx` or `httpx2`.
    """

    class Body(http.SyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any, sse: SSENormalizer) -> None:
            self._response = response
            self._sse = sse

        def __iter__(self) -> Iterator[bytes]:
            sse = self._sse
            try:
                for data in self._response.iter_bytes():
                    out = sse.feed(data)
                    if out:
                        yield out
                    if sse.closed:
                        return
            except (http.TransportError, OSError):
                yield sse.abort()
                raise
            yield sse.close()

        def close(self) -> None:
            self._response.close()

    class AsyncBody(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, response: Any, sse: SSENormalizer) -> None:
            self._response = response
            self._sse = sse

        async def __aiter__(self) -> AsyncIterator[bytes]:
            sse = self._sse
            try:
                async for data in self._response.aiter_bytes():
                    out = sse.feed(data)
                    if out:
                        yield out
                    if sse.closed:
                        return
            except (http.TransportError, OSError):
                yield sse.abort()
                raise
            yield sse.close()

        async def aclose(self) -> None:
            await self._response.aclose()

    def asked(request: Any, exchange: Exchange, body: bytes) -> Any:
        """The request to send in place of the client's."""
        headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() != "accept-encoding"]
        if exchange.body is not exchange.request:
            body = json.dumps(exchange.body, ensure_ascii=False).encode()
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
        headers.append(("accept-encoding", "identity"))
        return http.Request(
            request.method, request.url, headers=headers, content=body, extensions=request.extensions
        )

    def answered(response: Any, status: int = 200, kind: str | None = None, **content: Any) -> Any:
        dropped = _FRAMING if kind is None else _FRAMING | {"content-type"}
        headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in dropped]
        if kind is not None:
            headers.append(("content-type", kind))
        return http.Response(status, headers=headers, extensions=response.extensions, **content)

    def whole(response: Any, exchange: Exchange, body: bytes) -> Any:
        status, made, kind = Reader.whole(exchange, body, response.headers.get("content-type", ""))
        return answered(response, status, kind, content=made)

    def is_stream(response: Any, exchange: Exchange) -> bool:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "text/event-stream" or (Reader.streamed(exchange) and kind not in _WHOLE)

    class Transport(http.BaseTransport):  # type: ignore[misc]
        """Sends by `inner`; chat completions come back in the safe shape. See `WireOptions` for the options."""

        def __init__(self, inner: Any = None, **options: Any) -> None:
            self._reader = Reader(**options)
            self._inner = inner if inner is not None else http.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            body = request.read()
            exchange = _exchange(self._reader, request, body)
            if exchange is None:
                return self._inner.handle_request(request)
            response = self._inner.handle_request(asked(request, exchange, body))
            if response.status_code != 200:
                return response
            if is_stream(response, exchange):
                if Reader.streamed(exchange):
                    return answered(response, kind=_SSE, stream=Body(response, exchange.sse()))
                data = b"".join(Body(response, exchange.sse()))
                response.close()
                return whole(response, exchange, _gathered(data))
            data = response.read()
            response.close()
            return whole(response, exchange, data)

        def close(self) -> None:
            self._inner.close()

    class AsyncTransport(http.AsyncBaseTransport):  # type: ignore[misc]
        """`Transport` for asynchronous clients."""

        def __init__(self, inner: Any = None, **options: Any) -> None:
            self._reader = Reader(**options)
            self._inner = inner if inner is not None else http.AsyncHTTPTransport()

        async def handle_async_request(self, request: Any) -> Any:
            body = await request.aread()
            exchange = _exchange(self._reader, request, body)
            if exchange is None:
                return await self._inner.handle_async_request(request)
            response = await self._inner.handle_async_request(asked(request, exchange, body))
            if response.status_code != 200:
                return response
            if is_stream(response, exchange):
                if Reader.streamed(exchange):
                    return answered(response, kind=_SSE, stream=AsyncBody(response, exchange.sse()))
                data = b"".join([part async for part in AsyncBody(response, exchange.sse())])
                await response.aclose()
                return whole(response, exchange, _gathered(data))
            data = await response.aread()
            await response.aclose()
            return whole(response, exchange, data)

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Transports:
        pass

    made: Any = Transports()
    made.Transport, made.AsyncTransport = Transport, AsyncTransport
    return made


def _gathered(data: bytes) -> bytes:
    """A stream in the safe shape as the whole answer that the client had asked for."""
    decoder = SSEDecoder()
    events = decoder.feed(data) + decoder.close()
    chunks = [event.value for event in events if isinstance(event.value, dict)]
    return _dump(next((chunk for chunk in chunks if "error" in chunk), None) or gather(chunks))


def _exchange(reader: Reader, request: Any, body: bytes) -> Exchange | None:
    try:
        return reader.exchange(request.method, request.url.path, body)
    except HamrParsersError:
        raise
    except ValueError:  # a request that is none: the gateway's to refuse
        return None
