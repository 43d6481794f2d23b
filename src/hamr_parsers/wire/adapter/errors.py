"""What a request gets wrong, and how an error looks to a client of each API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import HamrParsersError
from ..errors import UpstreamError

__all__ = ["BadRequestError", "code_of", "expect", "is_context_overflow", "message_of", "status_of"]

_CONTEXT_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
)
_CONTEXT_WORDS = ("context length", "context size", "context window", "prompt is too long", "too many tokens")


class BadRequestError(HamrParsersError, ValueError):
    """A request cannot be answered as it stands.

    Attributes:
        field: the path of the part that is wrong, as `messages[2].content[0].source`.
        reason: what is wrong with it, and the way out.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}" if field else reason)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.field, self.reason))


def status_of(error: BaseException) -> int:
    """The HTTP status for an error: the gateway's own, 400 for what the client sent, 502 for a gateway that failed.

    Any other error is ours: 500.
    """
    if isinstance(error, UpstreamError):
        return error.status or (400 if is_context_overflow(error) else 502)
    # the library's errors for a caller's mistake (InvalidToolsError, UnknownParserError) are ValueErrors as well
    return 400 if isinstance(error, HamrParsersError) and isinstance(error, ValueError) else 500


def message_of(error: BaseException) -> str:
    """What to tell the client: the gateway's own words, or our sentence. What went wrong in us is not shown."""
    if isinstance(error, UpstreamError):
        return error.message
    if isinstance(error, HamrParsersError):
        return str(error)
    return f"the proxy failed ({type(error).__name__})"


def code_of(error: BaseException) -> str | None:
    """The gateway's code of an error; `context_length_exceeded` however it was said."""
    if isinstance(error, UpstreamError):
        return "context_length_exceeded" if is_context_overflow(error) else error.code
    return None


def is_context_overflow(error: BaseException) -> bool:
    """Whether the prompt was too long for the model.

    Coding agents shorten the conversation when they are told so in their API's words, and give up otherwise; servers
    say it by code (OpenAI, llama.cpp's `exceed_context_size_error`) or in words (vLLM).
    """
    if not isinstance(error, UpstreamError):
        return False
    told: list[object] = [error.code]
    inner = error.payload.get("error") if error.payload is not None else None
    if isinstance(inner, Mapping):
        told += [inner.get("code"), inner.get("type")]
    if any(isinstance(word, str) and word in _CONTEXT_CODES for word in told):
        return True
    if error.status is not None and not 400 <= error.status < 500:
        return False
    said = error.message.lower()
    return any(words in said for words in _CONTEXT_WORDS)


def expect(value: Any, kinds: type | tuple[type, ...], field: str, wanted: str) -> Any:
    """`value`, if it is one of `kinds` (a bool is no number).

    Raises:
        BadRequestError: it is not.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _several(kinds)):
        raise BadRequestError(field, f"must be {wanted}, not {_name(value)}")
    return value


def _several(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"
