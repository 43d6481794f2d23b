"""What is around the blocks of a message: its usage, why it ended, its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapter.errors import is_context_overflow, message_of, status_of
from ..adapter.pieces import Reader
from ..adapter.sse import encode
from ..adapter.usage import Usage

__all__ = ["PING", "error_object", "error_response", "stop_of", "usage_object"]

PING = encode("ping", {"type": "ping"})
"""An event that clients pass over: it keeps a connection busy."""

_REASONS = {"length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def stop_of(reader: Reader, calls: bool, request: Mapping[str, Any]) -> dict[str, Any]:
    """`stop_reason` and `stop_sequence`. An answer without a finish reason was cut."""
    reason = _REASONS.get(reader.finish or "length", "end_turn")
    sequence = None
    asked = request.get("stop_sequences")
    if reason == "end_turn" and isinstance(asked, list) and reader.stop in asked:
        reason, sequence = "stop_sequence", reader.stop
    if calls and reason in ("end_turn", "stop_sequence"):
        reason, sequence = "tool_use", None  # a client that reads only this must see the calls
    elif not calls and reason == "tool_use":
        reason = "end_turn"  # there is nothing to run
    return {"stop_reason": reason, "stop_sequence": sequence}


def usage_object(usage: Usage | None) -> dict[str, int]:
    """The counts of tokens; those read from the cache are counted apart here."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }


def error_object(error: BaseException) -> dict[str, Any]:
    """An error, as the JSON body of an answer and as the payload of an `error` event."""
    status, message = status_of(error), message_of(error)
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    if is_context_overflow(error):
        kind = "invalid_request_error"
        if "prompt is too long" not in message.lower():
            message = f"prompt is too long: {message}"  # the words at which clients shorten the history
    return {"type": "error", "error": {"type": kind, "message": message}}


def error_response(error: BaseException) -> tuple[int, dict[str, Any]]:
    """An error as an HTTP answer: the status and the JSON body.

    Takes `BadRequestError`, `UpstreamError` and the library's other errors; of any other error only the kind is told.
    """
    return status_of(error), error_object(error)
