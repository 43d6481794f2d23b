"""Faults of HTTP: connections that die, answers that wait, refusals, and things that are no answer at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from ..delivery import Delivery, Refusal
from .calls import cut_in_half
from .registry import Outcome, fault

__all__: list[str] = []

_HTML = (
    "<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
    "<body><h1>{title}</h1><p>{text}</p></body></html>\n"
)


def _ending(end: Literal["drop", "reset", "stall"]) -> Callable[[Delivery, float], Delivery]:
    return lambda delivery, number: replace(delivery, end=end, after=number)


_AFTER = " after half of it, or after so many pieces"

fault(
    "drop",
    f"The connection is closed in the middle of the answer,{_AFTER}.",
    "a stream that dies",
    outcome="error",
    number=0.5,
    delivery=_ending("drop"),
)
fault(
    "reset",
    f"The connection is reset in the middle of the answer,{_AFTER}.",
    "a stream that dies",
    outcome="error",
    number=0.5,
    delivery=_ending("reset"),
)
fault(
    "stall",
    f"Nothing more comes,{_AFTER}, and the connection stays open.",
    "a stream that dies",
    outcome="error",
    number=0.5,
    delivery=_ending("stall"),
)
fault(
    "slow",
    "So many seconds pass between two chunks.",
    "slow models",
    number=0.05,
    delivery=lambda delivery, number: replace(delivery, gap=number),
)
fault(
    "held-headers",
    "So many seconds pass before the status line and the headers.",
    "Relay: headers held until the first token",
    number=0.5,
    delivery=lambda delivery, number: replace(delivery, hold=number),
)
fault(
    "silence",
    "So many seconds pass between the headers and the first chunk.",
    "Relay: silence during the prefill",
    number=0.5,
    delivery=lambda delivery, number: replace(delivery, silence=number),
)
fault(
    "serialised",
    "While one answer is being sent, others get not even a header.",
    "Relay",
    delivery=lambda delivery: replace(delivery, serialised=True),
)
fault(
    "switch-kills",
    "A request for another model ends the answers that are being sent, in a clean [DONE] without finish_reason.",
    "Relay, without serialisation",
    delivery=lambda delivery: replace(delivery, switch_kills=True),
)
fault(
    "until-close",
    "The body has no length and is not chunked: it ends with the connection.",
    "HTTP/1.0 servers",
    delivery=lambda delivery: replace(delivery, framing="close"),
)
fault(
    "plain-type",
    "The stream is sent as text/plain.",
    "proxies",
    delivery=lambda delivery: replace(delivery, content_type="text/plain; charset=utf-8"),
)
fault(
    "ignores-stream",
    "A streamed answer was asked for, a whole response comes.",
    "minimal servers",
    delivery=lambda delivery: replace(delivery, as_response=True),
)
fault(
    "always-streams",
    "A whole response was asked for, a stream comes.",
    "minimal servers",
    delivery=lambda delivery: replace(delivery, as_stream=True),
)

# --- refusals -------------------------------------------------------------------------------------------------


def json_error(message: str, kind: str, code: str | int | None) -> dict[str, Any]:
    """An error object as most servers write it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _error(message: str, kind: str, code: str | int | None) -> str:
    return json.dumps(json_error(message, kind, code))


def _refusal(
    name: str,
    text: str,
    row: str,
    refusal: Refusal,
    *,
    limited: bool = False,
    everywhere: bool = False,
    unless: tuple[str, ...] = (),
) -> None:
    """A fault that answers something else. `limited`: its number says for how many requests, 0 is all."""

    def refuse(delivery: Delivery, number: float = 0) -> Delivery:
        return replace(delivery, refusal=refusal, refusals=int(number), everywhere=everywhere, unless=unless)

    outcome: Outcome = "error"
    if limited:
        text = f"{text} (The number: only so many requests; 0: all.)"
    fault(name, text, row, outcome=outcome, number=0 if limited else None, delivery=refuse)


_refusal(
    "unauthorized",
    "Every request without an Authorization header gets 401.",
    "servers with a key",
    Refusal(401, _error("missing or invalid API key", "authentication_error", "invalid_api_key")),
    everywhere=True,
    unless=("authorization",),
)
_refusal(
    "access",
    "Every request without CF-Access-Client-Id and CF-Access-Client-Secret gets a 403 page.",
    "Cloudflare Access",
    Refusal(
        403,
        _HTML.format(title="Forbidden", text="You do not have access. Cloudflare Access"),
        "text/html",
        (("Server", "cloudflare"), ("CF-RAY", "0000000000000000-REP")),
    ),
    everywhere=True,
    unless=("cf-access-client-id", "cf-access-client-secret"),
)
_refusal(
    "ai-gateway",
    "Every request without cf-aig-authorization gets 401.",
    "Cloudflare's AI Gateway",
    Refusal(
        401,
        json.dumps({"success": False, "error": [{"code": 2009, "message": "Unauthorized"}]}),
        headers=(("Server", "cloudflare"),),
    ),
    everywhere=True,
    unless=("cf-aig-authorization",),
)
_refusal(
    "rate-limit",
    "Every completion gets 429, with a Retry-After of one second.",
    "Relay: 100 requests a minute without a key",
    Refusal(
        429,
        _error("rate limit exceeded", "rate_limit_error", "rate_limited"),
        headers=(("Retry-After", "1"),),
    ),
    limited=True,
)
_refusal(
    "switching",
    "Every completion gets 503 model_switching.",
    "Relay, while another model takes over",
    Refusal(
        503,
        _error("another model is being loaded", "server_error", "model_switching"),
        headers=(("Retry-After", "1"),),
    ),
    limited=True,
)
_refusal(
    "bad-gateway",
    "Every completion gets 502, with the upstream's status in x-relay-upstream-status.",
    "Relay: upstream 4xx and 5xx come as 502; /health still says ok",
    Refusal(
        502,
        _error("upstream answered 500", "upstream_error", "upstream_error"),
        headers=(("x-relay-upstream-status", "500"),),
    ),
    limited=True,
)
_refusal(
    "server-error",
    "Every completion gets 500.",
    "llama.cpp with tools that its template cannot say",
    Refusal(500, _error("internal error", "server_error", 500)),
    limited=True,
)
_refusal(
    "too-large",
    "Every completion gets 413.",
    "Relay: bodies over 1 MiB",
    Refusal(413, _error("request body too large", "invalid_request_error", "body_too_large")),
)
_refusal(
    "html",
    "Everything is answered with an HTML page and status 200.",
    "the wrong port, a login page",
    Refusal(200, _HTML.format(title="Welcome", text="It works."), "text/html; charset=utf-8"),
    everywhere=True,
)
_refusal(
    "bad-json",
    "A completion is answered with JSON that is cut off.",
    "proxies that cut",
    Refusal(200, '{"id": "chatcmpl-0", "object": "chat.completion", "choices": [{"ind'),
)
_refusal(
    "empty-body",
    "A completion is answered with status 200 and nothing.",
    "proxies that lose the body",
    Refusal(200, ""),
)


def _lost_text(_: dict[str, Any]) -> dict[str, Any]:
    return json_error(
        "upstream answered 500: failed to parse the tool call", "upstream_error", "upstream_error"
    )


fault(
    "text-lost",
    "A call that was cut comes as 502 when not streamed, and its text is lost.",
    "Relay: a call cut by max_tokens",
    outcome="cut",
    needs="native",
    saying=cut_in_half,
    response=_lost_text,
)

# --- models ---------------------------------------------------------------------------------------------------

fault(
    "no-models",
    "There is no /models.",
    "minimal servers",
    delivery=lambda delivery: replace(delivery, models="none"),
)
fault(
    "many-models",
    "/models lists hundreds.",
    "LiteLLM proxy: wildcard routes",
    delivery=lambda delivery: replace(delivery, models="many"),
)
