"""What a gateway reports instead of an answer, and what a caller's own request gets wrong.

Gateways put errors where a chunk was due: OpenAI's `{"error": {...}}` (llama.cpp, OpenRouter, LiteLLM) and Relay's
`{"relay": {"type": "relay.error", ...}}`, both inside a stream whose HTTP status was 200 (gateways.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import HamrParsersError

__all__ = ["UpstreamError", "error_in"]

_SHOWN = 500  # characters of an error of unknown shape


class UpstreamError(HamrParsersError):
    """The gateway reported an error inside its answer, or the answer broke off.

    Attributes:
        message: what it said.
        code: its code or type, if it gave one.
        status: the HTTP status that it would have been, if it gave one.
        payload: the JSON object as it came.
    """

    def __init__(
        self,
        message: str,
        code: str | None = None,
        status: int | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message
        self.code = code
        self.status = status
        self.payload = payload
        super().__init__(f"the gateway reported an error: {message}" + (f" ({code})" if code else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.message, self.code, self.status, self.payload))

    def to_openai(self) -> dict[str, Any]:
        """The error object of the chat API; the gateway's own one if it had that shape."""
        payload = self.payload
        if payload is not None and isinstance(payload.get("error"), Mapping):
            return {"error": dict(payload["error"])}
        error: dict[str, Any] = {"message": self.message, "type": "upstream_error", "code": self.code}
        return {"error": error}


def error_in(value: object, named: str | None = None) -> UpstreamError | None:
    """The error that a JSON object reports, or None.

    Args:
        value: the data of one event, or a whole answer.
        named: the event's name, if it had one; "error" makes an error of any object.
    """
    if not isinstance(value, Mapping):
        return UpstreamError(_short(value)) if named == "error" else None
    told = value.get("error")
    if not told:
        relay = value.get("relay")
        if isinstance(relay, Mapping) and str(relay.get("type", "")).endswith(".error"):
            told = relay.get("error") or relay
        elif named == "error" or "error" in (value.get("object"), value.get("type")):
            told = value
        else:
            return None
    if not isinstance(told, Mapping):
        return UpstreamError(_short(told), payload=value)
    message = told.get("message") or told.get("detail")
    code = told.get("code")
    kind = told.get("type")
    status = next((n for n in (told.get("status"), told.get("status_code"), code) if _is_status(n)), None)
    name = code if isinstance(code, str) and code else kind if isinstance(kind, str) and kind else code
    return UpstreamError(
        message if isinstance(message, str) and message else _short(told),
        None if name is None else str(name),
        status,
        value,
    )


def _is_status(value: object) -> bool:
    return type(value) is int and 400 <= value < 600


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_SHOWN]
