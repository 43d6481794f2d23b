"""What a gateway's answer, or its silence, means: one error, in words that say what to do.

Theory. Pure functions over a status, headers and a body, or over an exception of the HTTP library; the rules are
those that gateways.md and hamr.md list, each in one place. A gateway's own words are quoted, cut short, without the
secrets that were sent (some gateways echo a wrong key).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..wire.errors import UpstreamError, error_in
from .errors import (
    AccessRefusedError,
    ClientError,
    ConfigurationError,
    GatewayError,
    GatewayStatusError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    NotAGatewayError,
    UnknownModelError,
)

__all__ = [
    "Asked",
    "broken",
    "closed",
    "failure",
    "in_stream",
    "is_html",
    "no_message",
    "no_models",
    "retry_after",
    "timed_out",
    "unsendable",
]

_SHOWN = 300
_CLOUDFLARE = "CF-Access-Client-Id and CF-Access-Client-Secret"
_MODEL_CODES = ("model_unknown", "model_not_found", "unknown_model", "model_not_exist")
#: What gateways call a refused key where they give no status.
_ACCESS_CODES = (
    "401",
    "403",
    "access_denied",
    "authentication_error",
    "forbidden",
    "incorrect_api_key",
    "invalid_api_key",
    "invalid_authentication",
    "missing_api_key",
    "permission_denied",
    "permission_error",
    "unauthorized",
)
_RELAY_BODY_LIMIT = "Relay takes 1 MiB"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom: what an error must name.

    Attributes:
        url: the whole URL.
        base_url: the gateway's.
        provider: its name in the configuration.
        model: the model that was asked for, if any.
        sent_key: whether a key or other header went with it.
        size: bytes of the body.
        known: lists the gateway's models, for the nearest names.
        blank: takes secrets out of a text.
        streams: whether the answer was to come as a stream.
    """

    url: str
    base_url: str
    provider: str = ""
    model: str | None = None
    sent_key: bool = False
    size: int = 0
    known: Iterable[str] = ()
    blank: Callable[[str], str] = field(default=str, repr=False)
    streams: bool = False


def failure(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error that an answer with an error status is, or one that is no answer of a gateway."""
    text = body[:65536].decode("utf-8", "replace")
    told = _told(text)
    detail = _short(asked.blank(told.message))
    where = asked.base_url
    known: dict[str, Any] = {"url": asked.url, "status": status, "detail": detail, "code": told.code}

    if status in (401, 403) or _is_login(status, headers):
        return AccessRefusedError(_refused(asked, status, headers, text, detail, told.code), **known)
    if 300 <= status < 400:
        to = _without_query(headers.get("location", ""))
        return NotAGatewayError(
            f"{where} redirects to {to or 'somewhere else'}; if that is the gateway, set its base URL to it",
            **known,
        )
    if asked.model and _is_about_model(status, told):
        error = UnknownModelError(asked.model, asked.known, url=where, status=status)
        error.detail = detail
        return error
    if is_html(headers, text):
        return NotAGatewayError(
            f"{asked.url} answers with a web page (HTTP {status}), not as an OpenAI-compatible gateway; is the"
            " port right, and does the base URL end in /v1?",
            **known,
        )
    if status in (404, 405):
        said = f" ({detail})" if detail else ""
        return NotAGatewayError(
            f"nothing OpenAI-compatible at {asked.url}: HTTP {status}{said}; does the base URL end in /v1?",
            **known,
        )
    upstream = headers.get("x-relay-upstream-status")
    said = f": {detail}" if detail else ""
    if status == 413:
        return GatewayStatusError(
            f"the request is too large for {where} ({_size(asked.size)}; {_RELAY_BODY_LIMIT}); shorten the"
            f" history or a tool's result{said}",
            **known,
        )
    if upstream is not None or status == 502:
        hint = (
            ""
            if asked.streams
            else "; Relay says this of a call that max_tokens cut, too: use stream() to get it"
        )
        answered = f"answered HTTP {upstream}" if upstream is not None else "failed (HTTP 502)"
        return GatewayStatusError(f"the server behind {where} {answered}{said}{hint}", **known)
    wait = retry_after(headers)
    if status == 429:
        after = f"; try again in {wait:g} s" if wait else "; try again later"
        message = f"{where} had too many requests{said}{after}"
    elif status == 503:
        message = f"{where} cannot answer now (HTTP 503){said}; is it switching models?"
    elif status >= 500:
        message = f"{where} failed (HTTP {status}){said or '; its log says why'}{_cure(detail)}"
    else:
        message = f"{where} did not take the request (HTTP {status}){said}"
    return GatewayStatusError(message, retry_after=wait, **known)


def no_models(asked: Asked, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """What an answer of status 200 is that is not what was asked for."""
    text = body[:65536].decode("utf-8", "replace")
    if is_html(headers, text):
        return failure(asked, 200, headers, body)
    error = error_in(_json(text))
    if error is not None:
        return in_stream(asked, error, begun=False)
    if text.lstrip()[:1] in ("{", "[") and len(body) <= 65536 and _json(text) is None:
        return GatewayStatusError(
            f"{asked.url} answers with JSON that is cut or broken ({_size(len(body))}); did a proxy cut it?",
            url=asked.url,
            status=200,
        )
    what = "JSON of another kind" if _json(text) is not None else "something that is no JSON"
    if not text.strip():
        what = "nothing"
    return NotAGatewayError(
        f"{asked.url} answers with {what}, not as an OpenAI-compatible gateway; is the port right, and does the"
        " base URL end in /v1?",
        url=asked.url,
        status=200,
    )


def no_message(asked: Asked) -> GatewayError:
    """An answer whose choices hold nothing that a model could have said."""
    return GatewayStatusError(
        f"the answer of {asked.base_url} has no message in its choices: it is damaged; its log may say why",
        url=asked.url,
        status=200,
    )


def in_stream(asked: Asked, error: UpstreamError, *, begun: bool = True) -> GatewayError:
    """An error that came inside an answer whose status was 200. `begun`: after a part of what was asked for."""
    told = _Told(error.message, error.code or "")
    detail = _short(asked.blank(error.message))
    if asked.model and _is_about_model(error.status or 0, told):
        found = UnknownModelError(asked.model, asked.known, url=asked.base_url, status=error.status)
        found.detail = detail
        return found
    code = f" ({error.code})" if error.code else ""
    refused = error.status in (401, 403) or told.code.lower() in _ACCESS_CODES
    when = "in the middle of the answer" if begun else "instead of an answer"
    cure = "; check apiKey and headers" if refused else _cure(detail)
    return (AccessRefusedError if refused else GatewayStatusError)(
        f"{asked.base_url} reported an error {when}: {detail}{code}{cure}",
        url=asked.url,
        status=error.status,
        detail=detail,
        code=error.code or "",
    )


def closed() -> ClientError:
    """The client was closed, before its work or under it: no fault of the gateway."""
    return ClientError("this client was closed; make a new one")


def unsendable() -> ConfigurationError:
    """A request that the HTTP library refuses to write. It quotes the header, which may be a key; this does not."""
    return ConfigurationError(
        "the request cannot be sent: a header is empty, is not ASCII, or holds a line end or a blank at its edge;"
        " check apiKey, headers and session_id"
    )


def broken(asked: Asked, problem: Exception, *, begun: bool = False) -> GatewayError:
    """What an exception of the HTTP library means. `begun`: a part of the answer had come."""
    names = {cls.__name__ for cls in type(problem).__mro__}
    reason = _reason(problem)
    where = asked.base_url
    if "ConnectTimeout" in names:
        return GatewayTimeoutError(
            f"no answer from {where}: connecting took too long; is the host right and reachable?",
            url=asked.url,
        )
    if "ProxyError" in names:
        return GatewayUnreachableError(
            f"no way to {where}: the proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) did not let it"
            f" through ({reason}); name the host in NO_PROXY",
            url=asked.url,
        )
    if "ConnectError" in names:
        lowered = reason.lower()
        if "certificate" in lowered or "ssl" in lowered:
            hint = "the TLS connection failed" + (
                "; is it http:// and not https://?"
                if "wrong version" in lowered or "record layer" in lowered
                else ""
            )
        elif "name or service" in lowered or "nodename" in lowered or "getaddrinfo" in lowered:
            hint = "there is no such host"
        else:
            hint = "nothing listens there; is the gateway running, and is the port right?"
        return GatewayUnreachableError(f"no gateway at {where}: {hint} ({reason})", url=asked.url)
    if begun:
        return GatewayUnreachableError(
            f"the connection to {where} broke in the middle of the answer ({reason})", url=asked.url
        )
    return GatewayUnreachableError(
        f"{where} closed the connection without an answer ({reason}); is it an HTTP server, and the right port?",
        url=asked.url,
    )


def timed_out(asked: Asked, seconds: float, *, begun: bool) -> GatewayTimeoutError:
    """Nothing came for too long."""
    if begun:
        message = f"{asked.base_url} stopped in the middle of the answer: nothing came for {seconds:g} s"
    else:
        first = asked.model is not None
        why = "loads a large model or reads a long prompt" if first else "is busy"
        message = (
            f"{asked.base_url} did not answer within {seconds:g} s; if it {why}, allow more: --timeout, where a"
            f" command has it, or timeout=Timeout({'first' if first else 'models'}=...) in Python"
        )
    return GatewayTimeoutError(message, url=asked.url)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, in either of its forms."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        import time
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if seconds < 1e9 else None


def is_html(headers: Mapping[str, str], text: str) -> bool:
    """Whether an answer is a web page."""
    start = text.lstrip("\ufeff \t\r\n")[:64].lower()
    return start.startswith(("<!doctype html", "<html", "<head", "<body")) or (
        "text/html" in headers.get("content-type", "").lower() and not start.startswith(("{", "["))
    )


# --- what it said -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    message: str
    code: str = ""


def _told(text: str) -> _Told:
    """The message and code of an error body, in any of the shapes that gateways use."""
    value = _json(text)
    if not isinstance(value, Mapping):
        return _Told("" if text.lstrip().startswith("<") else text)
    error = value.get("error", value.get("detail", value))
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, Mapping):
        message = next(
            (error[k] for k in ("message", "detail", "msg", "error") if isinstance(error.get(k), str)), ""
        )
        code = next((str(error[k]) for k in ("code", "type") if isinstance(error.get(k), (str, int))), "")
        return _Told(message or json.dumps(error, ensure_ascii=False), code)
    given = value.get("code")
    return _Told(str(error), given if isinstance(given, str) else "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_about_model(status: int, told: _Told) -> bool:
    if told.code.lower() in _MODEL_CODES:
        return True
    message = told.message.lower()
    if "model" not in message or status not in (0, 400, 404, 422, 503):
        return False
    return any(
        words in message
        for words in (
            "not found",
            "does not exist",
            "unknown model",
            "no such model",
            "not exist",
            "invalid model",
        )
    )


def _is_login(status: int, headers: Mapping[str, str]) -> bool:
    location = headers.get("location", "")
    host = (urlsplit(location).hostname or "") if location else ""
    return 300 <= status < 400 and (host.endswith("cloudflareaccess.com") or "/cdn-cgi/access/" in location)


def _refused(asked: Asked, status: int, headers: Mapping[str, str], text: str, detail: str, code: str) -> str:
    said = f": {detail}" if detail else ""
    of = f" of provider {asked.provider!r}" if asked.provider else ""
    if (
        _is_login(status, headers)
        or "cloudflare access" in text.lower()
        or "cf-access" in str(headers).lower()
    ):
        return (
            f"Cloudflare Access stands before {asked.base_url} and did not let the request through"
            f" (HTTP {status}); set the headers {_CLOUDFLARE}{of} to a service token's values"
        )
    if code == "2009" or "cf-aig" in str(headers).lower():
        return (
            f"Cloudflare's AI Gateway at {asked.base_url} wants a token (HTTP {status}){said}; set the header"
            f" cf-aig-authorization{of} to `Bearer TOKEN`"
        )
    if not asked.sent_key:
        return f"{asked.base_url} wants a key (HTTP {status}){said}; set apiKey{of}, for example to $RELAY_API_KEY"
    return f"{asked.base_url} refused the key (HTTP {status}){said}; check apiKey and headers{of}"


def _cure(detail: str) -> str:
    """llama.cpp fails where a model writes another dialect than its chat template has."""
    said = detail.lower()
    if "grammar" in said or "failed to parse" in said:
        return '; the server could not parse the model\'s call: upstream="text" leaves that to us'
    return ""


def _reason(problem: BaseException) -> str:
    """The innermost reason, which is the one that the system gave."""
    seen = 0
    while seen < 8:
        inner = problem.__cause__ or problem.__context__
        if inner is None:
            break
        problem, seen = inner, seen + 1
    text = str(getattr(problem, "strerror", None) or problem)
    if text.startswith(("Connect call failed", "Multiple exceptions")):  # asyncio's words for it
        text = "connection refused"
    return _short(text or type(problem).__name__, 120)


def _short(text: str, most: int = _SHOWN) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 3] + "..."


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0][:200]


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 19 else f"{size} bytes"
