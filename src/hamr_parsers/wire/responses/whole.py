"""A whole answer as a Response: it goes the streamed way, so that both are the same message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..adapter.pieces import chunks_of
from .stream import ResponsesStream

if TYPE_CHECKING:
    from ...message import ParsedMessage

__all__ = ["from_completion", "message_to_response"]


def from_completion(
    completion: Mapping[str, Any],
    request: Mapping[str, Any],
    *,
    reasoning: Literal["auto", "text", "summary"] = "auto",
) -> dict[str, Any]:
    """The Response object for a whole chat completion in the safe shape (`Exchange.response`).

    Args:
        completion: the chat completion.
        request: the body of the Responses request.
        reasoning: as `ResponsesStream` takes it.
    """
    stream = ResponsesStream(request, reasoning=reasoning)
    for chunk in chunks_of(completion):
        stream.feed(chunk)
    stream.close()
    return stream.response


def message_to_response(
    message: ParsedMessage,
    request: Mapping[str, Any] | None = None,
    *,
    model: str = "",
    incomplete: Literal["cut", "mend", "drop"] = "cut",
    reasoning: Literal["auto", "text", "summary"] = "auto",
) -> dict[str, Any]:
    """The Response object for a message that was parsed.

    Args:
        message: what `parse()` or a parser's `message` gave.
        request: the body of the Responses request, if there was one.
        model: the model's name, if the request does not say it.
        incomplete: what becomes of a call that was cut, as in `ParsedMessage.to_openai`.
        reasoning: as `ResponsesStream` takes it.

    Raises:
        ValueError: `incomplete` is no such word.
    """
    choice = {"message": message.to_openai(incomplete), "finish_reason": message.finish_reason}
    return from_completion({"model": model, "choices": [choice]}, request or {}, reasoning=reasoning)
