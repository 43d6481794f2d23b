"""The Response object around the items: what of the request it repeats, its usage, its errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..adapter.errors import BadRequestError, code_of, is_context_overflow, message_of, status_of
from ..adapter.usage import Usage

__all__ = ["error_object", "error_response", "response_object", "usage_object"]

# What the Response repeats of its request, and what it says where the request was silent.
_REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def response_object(
    request: Mapping[str, Any], id: str, model: str | None, created: int | None
) -> dict[str, Any]:
    """A Response that is in progress, with no output yet. Clients require every field that is set here."""
    return {
        "id": id,
        "object": "response",
        "created_at": int(time.time()) if created is None else created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model or "",
        "output": [],
        "previous_response_id": None,
        "store": False,  # nothing is, whatever was asked for
        "usage": None,
        **{key: default if request.get(key) is None else request[key] for key, default in _REPEATED.items()},
    }


def usage_object(usage: Usage | None) -> dict[str, Any] | None:
    """The counts of tokens."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def error_object(error: BaseException) -> dict[str, Any]:
    """The `error` of a Response that failed."""
    code = code_of(error)
    if code is None or code.isdigit():
        status = status_of(error)
        code = (
            "rate_limit_exceeded" if status == 429 else "invalid_prompt" if status == 400 else "server_error"
        )
    return {"code": code, "message": message_of(error)}


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_response(error: BaseException) -> tuple[int, dict[str, Any]]:
    """An error as an HTTP answer: the status and the JSON body.

    Takes `BadRequestError`, `UpstreamError` and the library's other errors; of any other error only the kind is told.
    """
    status = status_of(error)
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    if is_context_overflow(error):
        kind = "invalid_request_error"
    told = {
        "message": message_of(error),
        "type": kind,
        "param": (error.field or None) if isinstance(error, BadRequestError) else None,
        "code": code_of(error),
    }
    return status, {"error": told}
