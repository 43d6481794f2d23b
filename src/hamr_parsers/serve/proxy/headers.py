"""Which headers are passed on.

Theory. Headers of one hop (RFC 9110, 7.6.1, and those that `Connection` names) end at the proxy. Upstream gets the
client's others; the ones set by the user of the proxy win. A body that is read here is asked for uncompressed, since
compression makes servers hold back small events; one that is only passed on stays as client and server agreed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...client.config.load import CONNECTION_HEADERS

__all__ = ["FRAMING", "Raw", "from_upstream", "to_upstream", "without_body"]

Raw = list[tuple[bytes, bytes]]

_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
#: Headers of a request that only whoever makes the connection and frames the body can know.
FRAMING = frozenset((*CONNECTION_HEADERS, "content-encoding"))
_REQUEST = _HOP | {b"host", b"expect"}
_BODY = frozenset((b"content-length", b"content-encoding", b"content-md5", b"digest", b"etag"))


def _named(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """The headers that `Connection` declares to be of this hop."""
    return {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }


def to_upstream(
    headers: Iterable[tuple[bytes, bytes]],
    own: Mapping[str, str],
    authorization: str | None,
    *,
    read_here: bool,
    anthropic: bool = False,
    head: bool = False,
) -> Raw:
    """The request's headers for the upstream.

    Args:
        headers: the client's.
        own: those of the proxy's user, which replace the client's.
        authorization: replaces the client's.
        read_here: whether the bodies are read by the proxy (else they pass untouched).
        head: it is a HEAD request; the connection is used for this only, since servers that send a body all the same
            would spoil the next answer.
        anthropic: the client speaks that API, and its `x-api-key` is meant as the upstream's bearer token.
    """
    headers = list(headers)
    if anthropic:
        headers = _as_openai(headers)
    replaced = {name.lower().encode("latin-1"): value.encode("utf-8") for name, value in own.items()}
    if authorization is not None:
        replaced.setdefault(b"authorization", authorization.encode("utf-8"))
    dropped = _REQUEST | _named(headers) | replaced.keys()
    if head:
        replaced[b"connection"] = b"close"
    if read_here:
        replaced[b"accept-encoding"] = b"identity"
        replaced[b"content-type"] = b"application/json"
        dropped = dropped | {b"content-length", b"accept-encoding", b"content-type"}
        dropped = dropped | {b"content-encoding"}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, *replaced.items()]


def _as_openai(headers: Raw) -> Raw:
    key = next((value for name, value in headers if name.lower() == b"x-api-key"), None)
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() != b"x-api-key" and not name.lower().startswith(b"anthropic-")
    ]
    if key is not None and not any(name.lower() == b"authorization" for name, _ in kept):
        kept.append((b"authorization", b"Bearer " + key))
    return kept


def from_upstream(headers: Iterable[tuple[bytes, bytes]], *, read_here: bool) -> Raw:
    """The response's headers for the client."""
    headers = list(headers)
    dropped = _HOP | _named(headers)
    if read_here:
        dropped = dropped | _BODY | {b"content-type", b"cache-control"}
    return [(name.lower(), value) for name, value in headers if name.lower() not in dropped]


def without_body(headers: Raw) -> Raw:
    """A response's headers without those that say how its body is spelled, for one that is changed."""
    return [(name, value) for name, value in headers if name not in _BODY]
