"""Everything that is not mended goes through as it is: any method, any path, both bodies streamed.

One exception: errors, out of which the proxy's own secrets are taken, since gateways quote what they refuse. They are
passed on as they come, too, but for the few bytes at the end that may be the start of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, MutableMapping
from typing import TYPE_CHECKING, Any

from .client import Receive, Scope, attend, body_pieces, header
from .delivery import Delivery, Send
from .failure import ENDED, Failure
from .headers import from_upstream, to_upstream, without_body
from .normalized import log, refuse
from .surface import Chat
from .upstream import Answer

if TYPE_CHECKING:
    from .app import Proxy

__all__ = ["pass_on"]


_READABLE = frozenset(("identity", "gzip", "deflate"))


def _readable(got: Answer, shown: str) -> AsyncIterator[bytes]:
    """The body of an error, uncompressed: it may quote what the proxy itself sent."""
    coding = header([(name.lower(), value) for name, value in got.headers], b"content-encoding")
    if coding is not None and coding.decode("latin-1").strip().lower() not in _READABLE:
        said = (
            f"answered HTTP {got.status}, in an encoding that is not read here; ask without Accept-Encoding"
        )
        raise Failure("status", got.status, f"the upstream {shown} {said}")
    return got.pieces()


async def pass_on(proxy: Proxy, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request and its response on."""
    delivery = Delivery(send, proxy.settings.timeouts)
    began = time.monotonic()
    settings = proxy.settings
    headers = to_upstream(
        scope["headers"],
        settings.headers,
        settings.authorization,
        read_here=False,
        head=scope["method"] == "HEAD",
    )
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
    query = scope["query_string"].decode("latin-1")
    url = settings.target.url(path) + (f"?{query}" if query else "")
    length = header(scope["headers"], b"content-length")
    has_body = header(scope["headers"], b"transfer-encoding") is not None or (length or b"0") != b"0"

    sent = asyncio.Event()
    if not has_body:
        sent.set()

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in body_pieces(receive):
            yield piece
        sent.set()

    async def after() -> MutableMapping[str, Any]:
        await sent.wait()  # before, what comes is the body's
        return await receive()

    async def work() -> None:
        got: Answer | None = None
        try:
            got = await proxy.upstream.send(scope["method"], url, headers, pieces() if has_body else None)
            sent.set()  # a server may answer without having read it all
            if got.status == 200 and got.content_type == "text/html" and path.endswith("/models"):
                said = "answered with an HTML page instead of JSON; is the URL right?"
                raise Failure("not_json", 502, f"the upstream {proxy.upstream.shown} {said}")
            response = from_upstream(got.headers, read_here=False)
            if got.status in (204, 304):
                response = [(name, value) for name, value in response if name != b"content-length"]
            body: AsyncIterator[bytes] | None = None
            if got.status >= 400 and proxy.known:
                response = proxy.known.clean_headers(response)
                if scope["method"] != "HEAD":
                    body = proxy.known.clean_pieces(_readable(got, proxy.upstream.shown))
                    response = without_body(response)
            await delivery.start(got.status, response)
            delivery.watch()
            async for piece in body or got.pieces(raw=True):
                await delivery.write(piece)
            await delivery.end()
        except Failure as failure:
            proxy.metrics.upstream_errors.labels(failure.kind).inc()
            if not delivery.started:
                await refuse(delivery, Chat, failure)
            # else the response just breaks off, without its end: the client must not take it for whole
        except asyncio.CancelledError:
            if not proxy.closing or delivery.started:
                raise
            await refuse(delivery, Chat, Failure("cut", 503, ENDED))
        finally:
            delivery.release()
            if got is not None:
                await got.close()

    stayed = False
    with contextlib.suppress(ConnectionError):
        stayed = await attend(after, work(), lambda: delivery.finished, proxy.running)
    if not stayed:
        proxy.metrics.gone.inc()
    proxy.metrics.requests.labels(
        "passed", f"{delivery.status // 100}xx" if delivery.status else "none"
    ).inc()
    log.info(
        "%s %s %s in %.1f s", scope["method"], path[:200], delivery.status or "-", time.monotonic() - began
    )
