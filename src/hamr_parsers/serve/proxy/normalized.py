"""One request whose answer is mended: chat completions, and the protocols that are made of them.

Theory. The request is read whole (its tools decide how the answer is read), sent on, and the answer comes back piece by
piece through the wire layer. Three rules decide what a client sees of trouble:

- Nothing sent yet: an HTTP status and a JSON error. The upstream's own JSON errors pass with their status; what is no
  JSON (a login page, a web server's 502) becomes one that says so.
- The head is out: what came is given out, then the error, in the protocol's own event; never a clean end.
- The client leaves: the upstream's connection is closed at once, which tells servers to stop generating.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from ...errors import HamrParsersError
from ...wire import (
    Report,
    SSEDecoder,
    UpstreamError,
    encode_event,
    error_in,
    gather,
    looks_like_events,
    normalize_completion,
)
from .capture import Capture
from .client import Receive, Scope, attend, read_json
from .delivery import SSE_HEADERS, Delivery, Send
from .failure import ENDED, Failure
from .headers import Raw, from_upstream, to_upstream
from .redact import Known, Redactor
from .surface import Messages, Streamer, Surface
from .upstream import Answer

if TYPE_CHECKING:
    from .app import Proxy

__all__ = ["answer"]

JSON_HEADERS: Raw = [(b"content-type", b"application/json")]
_ERROR = 1 << 20  # bytes of an error that are read
_TAIL = 0.1  # seconds that an upstream has to end its response after `[DONE]`, to keep the connection

log = logging.getLogger("hamr_parsers.serve")


async def answer(proxy: Proxy, kind: type[Surface], scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request of a protocol."""
    delivery = Delivery(send, proxy.settings.timeouts)
    began = time.monotonic()
    exchange: _Exchange | None = None
    trouble = ""
    model: object = None
    stayed = True
    try:
        raw, payload = await read_json(scope, receive, proxy.settings.limits.request)
        model = payload.get("model")
        surface = kind(payload, proxy.settings.wire_for)
        exchange = _Exchange(proxy, surface, scope, raw, delivery)
        stayed = await attend(receive, exchange.run(), lambda: delivery.finished, proxy.running)
        trouble = exchange.trouble
    except ConnectionError:
        stayed = False
    except (Failure, HamrParsersError) as error:
        trouble = str(error)
        await refuse(delivery, kind, error)
    report, remarks = (exchange.report, exchange.remarks) if exchange is not None else (None, ())
    if not stayed:
        proxy.metrics.gone.inc()
    proxy.metrics.requests.labels(
        kind.name, f"{delivery.status // 100}xx" if delivery.status else "none"
    ).inc()
    if report is not None:
        proxy.metrics.took(report)
    if log.isEnabledFor(logging.INFO):
        log.info(
            "%s",
            _line(kind, model, delivery, report, stayed, time.monotonic() - began)
            + "".join(f"; {remark}" for remark in remarks[:5])
            + _told_of(trouble, proxy, scope),
        )


async def refuse(delivery: Delivery, kind: type[Surface], error: Failure | HamrParsersError) -> None:
    """An error before anything was sent."""
    status, body = kind.refusal(error)
    await delivery.respond(status, JSON_HEADERS, json.dumps(body).encode())


class _Exchange:
    """The way there and back."""

    def __init__(self, proxy: Proxy, surface: Surface, scope: Scope, raw: bytes, delivery: Delivery) -> None:
        self._proxy = proxy
        self._surface = surface
        self._delivery = delivery
        settings = proxy.settings
        self._content = surface.body(raw)
        self._headers = to_upstream(
            scope["headers"],
            settings.headers,
            settings.authorization,
            read_here=True,
            anthropic=isinstance(surface, Messages),
        )
        query = scope["query_string"].decode("latin-1")
        path = scope["path"] if surface.name == "chat" else "/v1/chat/completions"
        self._url = settings.target.url(path) + (f"?{query}" if query and surface.name == "chat" else "")
        self._capture: Capture | None = None
        if proxy.captures is not None:
            redactor = Redactor(scope["headers"], settings.secrets())
            self._capture = proxy.captures.start(surface.exchange.body, redactor)
        self.report: Report | None = None
        self.remarks = surface.remarks
        self.trouble = ""

    async def run(self) -> None:
        """All of it. Whatever happens, the upstream's connection is given back and the capture written."""
        surface, delivery = self._surface, self._delivery
        got: Answer | None = None
        streamed = False
        try:
            if surface.streams:
                delivery.watch(surface.keep_alive)
            try:
                got = await self._proxy.upstream.send("POST", self._url, self._headers, self._content)
                if got.status != 200:
                    await self._failed(got)
                else:
                    first, streamed = await _is_stream(got)
                    if streamed and surface.streams:
                        await self._stream(got, first)
                    else:
                        await self._whole(got, first, streamed)
            except Failure as failure:
                self._proxy.metrics.upstream_errors.labels(failure.kind).inc()
                await self._end(failure)
            except asyncio.CancelledError:
                if not self._proxy.closing:
                    raise
                await self._end(Failure("cut", 503, ENDED))
        finally:
            delivery.release()
            if got is not None:
                await got.close()
            if self._capture is not None:
                await self._save(self._capture, streamed)

    async def _end(self, failure: Failure) -> None:
        """Trouble that is not the upstream's own word: a whole response, or the end of a stream that began."""
        delivery = self._delivery
        self.trouble = failure.message
        if not delivery.started:
            await refuse(delivery, type(self._surface), failure)
        elif not delivery.finished:  # the timer has sent a head; no stream has begun
            await delivery.end(self._surface.streamer().close(failure.as_upstream_error()))

    # -- a stream ----------------------------------------------------------------------------------------------

    async def _stream(self, got: Answer, first: bytes) -> None:
        delivery, metrics, capture = self._delivery, self._proxy.metrics, self._capture
        streamer = self._surface.streamer()
        self.report = streamer.report
        feed, write, observe, clock = streamer.feed, delivery.write, metrics.added.observe, time.perf_counter
        await delivery.start(200, [*SSE_HEADERS, *from_upstream(got.headers, read_here=True)])
        pieces = got.pieces()
        broken: UpstreamError | None = None
        metrics.active.inc()
        try:
            piece = first
            while True:
                began = clock()
                if capture is not None:
                    capture.add(piece)
                out = feed(piece)
                if streamer.closed:
                    out = self._clean(streamer, out)
                if out:
                    observe(clock() - began)
                    await write(out)
                if streamer.closed:
                    break
                piece = await anext(pieces, b"")
                if not piece:
                    break
        except Failure as failure:
            metrics.upstream_errors.labels(failure.kind).inc()
            broken = failure.as_upstream_error()
        except asyncio.CancelledError:
            if not self._proxy.closing:
                raise
            broken = UpstreamError(ENDED, "cut", 503)
        finally:
            metrics.active.dec()
        if streamer.error is not None:
            metrics.upstream_errors.labels("in_stream").inc()
        self.trouble = str((broken or streamer.error or UpstreamError("")).message)
        await delivery.end(self._clean(streamer, streamer.close(broken)))
        if streamer.error is None and broken is None:
            await _tail(got)

    def _clean(self, streamer: Streamer, out: bytes) -> bytes:
        """What a stream gave out last, without the proxy's own secrets if it is an error: gateways quote them."""
        return out if streamer.error is None else self._proxy.known.clean(out)

    async def _whole(self, got: Answer, first: bytes, streamed: bool) -> None:
        """An answer that is given whole, or came so; a client that asked for a stream gets it as one."""
        surface, delivery = self._surface, self._delivery
        data = await got.read(self._proxy.settings.limits.response, first)
        if self._capture is not None:
            self._capture.add(data)
        payload = {} if streamed else _object(data)
        if payload and not payload.get("choices"):  # no answer, but trouble of some kind
            payload = _object(self._proxy.known.clean(data))
        if payload is None:
            raise Failure("not_json", 502, self._proxy.upstream.refused(got, data))
        error = error_in(payload)
        if error is not None and not payload.get("choices"):
            await self._told(error, 502)
            return
        if surface.streams:
            streamer = surface.streamer()
            self.report = streamer.report
            await delivery.start(200, [*SSE_HEADERS, *from_upstream(got.headers, read_here=True)])
            out = streamer.feed(encode_event(payload)) + streamer.close()
            await delivery.end(self._clean(streamer, out))
            return
        if streamed:
            completion = self._gathered(data)
            if isinstance(completion, UpstreamError):
                await self._told(completion, 502)
                return
        else:
            completion, self.report = normalize_completion(payload, surface.exchange)
        headers = [*JSON_HEADERS, *from_upstream(got.headers, read_here=True)]
        made = surface.whole(completion)
        await delivery.respond(200, headers, json.dumps(made, ensure_ascii=False).encode("utf-8", "replace"))

    def _gathered(self, data: bytes) -> dict[str, Any] | UpstreamError:
        """A stream that came although a whole answer was asked for."""
        chat = self._surface.exchange.normalizer()
        self.report = chat.report
        decoder = SSEDecoder()
        chunks: list[dict[str, Any]] = []
        for event in decoder.feed(data) + decoder.close():
            if isinstance(event.value, dict):
                chunks += chat.feed(event.value, event.event)
        return chat.error or gather([*chunks, *chat.close()])

    # -- an error of the upstream ------------------------------------------------------------------------------

    async def _failed(self, got: Answer) -> None:
        """Another status than 200."""
        self._proxy.metrics.upstream_errors.labels("status").inc()
        data = self._proxy.known.clean(await got.read(_ERROR))
        if got.status < 400:
            raise Failure("status", 502, self._proxy.upstream.refused(got, data))
        payload = _object(data)
        error = error_in(payload) if payload is not None else None
        if payload is None:
            error = UpstreamError(
                self._proxy.upstream.refused(got, data), f"upstream_{got.status}", got.status
            )
        if self._surface.name == "chat" and not self._delivery.started and payload is not None:
            self.trouble = error.message if error is not None else ""
            passed = self._proxy.known.clean_headers(from_upstream(got.headers, read_here=True))
            headers = [*JSON_HEADERS, *passed]
            await self._delivery.respond(got.status, headers, data)
            return
        if error is None:
            error = UpstreamError(data.decode("utf-8", "replace")[:500], None, got.status, payload)
        error.status = got.status
        await self._told(error, got.status)

    async def _told(self, error: UpstreamError, status: int) -> None:
        """What the upstream itself said is wrong."""
        delivery = self._delivery
        error = _cleaned(error, self._proxy.known)
        self.trouble = error.message
        if delivery.started:
            await delivery.end(self._surface.streamer().close(error))
            return
        error.status = error.status or status
        code, body = self._surface.refusal(error)
        await delivery.respond(code, JSON_HEADERS, json.dumps(body).encode())

    async def _save(self, capture: Capture, streamed: bool) -> None:
        try:
            await asyncio.shield(capture.save(stream=streamed))
        except OSError as error:
            self._proxy.metrics.captures.labels("failed").inc()
            log.warning("--capture: a transcript could not be written: %s", error.strerror or error)
        else:
            self._proxy.metrics.captures.labels("written").inc()


def _cleaned(error: UpstreamError, known: Known) -> UpstreamError:
    """An error of the upstream without the proxy's own secrets: gateways quote them."""
    if not known:
        return error
    payload = _object(known.clean(json.dumps(error.payload).encode()))
    again = error_in(payload)  # its message may have been cut in the middle of one
    message = again.message if again is not None else known.clean_text(error.message)
    code = known.clean_text(error.code) if error.code is not None else None
    return UpstreamError(message, code, error.status, payload)


async def _tail(got: Answer) -> None:
    """Read the little that may still come, so that the connection can be used again."""
    try:
        async with asyncio.timeout(_TAIL):
            async for _ in got.pieces():
                pass
    except (TimeoutError, Failure):
        pass


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


async def _is_stream(got: Answer) -> tuple[bytes, bool]:
    """The first piece of the body, and whether it is an event stream: some servers give it another type."""
    if got.content_type in ("application/json", "text/event-stream"):
        return b"", got.content_type == "text/event-stream"
    first = await got.first()
    return first, looks_like_events(first)


def _told_of(trouble: str, proxy: Proxy, scope: Scope) -> str:
    """What went wrong, for the log: gateways quote keys."""
    if not trouble:
        return ""
    redactor = Redactor(scope["headers"], proxy.settings.secrets())
    text = " ".join(trouble[:1000].split())
    return "; " + redactor.clean(text.encode("utf-8", "replace"))[:300].decode("utf-8", "replace")


def _line(
    kind: type[Surface], model: object, delivery: Delivery, report: Report | None, stayed: bool, took: float
) -> str:
    """One line for a person: what was asked, what came of it."""
    name = model[:80] if isinstance(model, str) else "-"
    parts = [f"{kind.name} {name!r} {delivery.status or '-'} in {took:.1f} s"]
    if report is not None:
        text = sum(source == "text" for _, source in report.calls)
        if report.calls:
            parts.append(
                f"{len(report.calls)} calls" + (f" ({text} from text, {report.parser})" if text else "")
            )
        if report.repairs:
            parts.append("wire: " + ", ".join(f"{code} {n}" for code, n in sorted(report.repairs.items())))
        if report.mends:
            parts.append(f"text: {', '.join(sorted({d.code for d in report.diagnostics}))}")
    if not stayed:
        parts.append("the client left")
    return "; ".join(parts)
