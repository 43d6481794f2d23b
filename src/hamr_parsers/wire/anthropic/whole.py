"""A whole answer as a message of the Messages API: it goes the streamed way, so that both are the same message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..adapter.pieces import chunks_of
from .stream import MessagesStream

if TYPE_CHECKING:
    from ...message import ParsedMessage

__all__ = ["from_completion", "message_to_anthropic"]


def from_completion(
    completion: Mapping[str, Any], request: Mapping[str, Any], *, thinking: bool | None = None
) -> dict[str, Any]:
    """The message for a whole chat completion in the safe shape (`Exchange.response`).

    A call that was cut is left out, and the message stops for `max_tokens`: a `tool_use` block holds an object, and
    has no way to say that it is half of one. `WireOptions(incomplete="mend")` closes such calls before.

    Args:
        completion: the chat completion.
        request: the body of the request.
        thinking: as `MessagesStream` takes it.
    """
    stream = MessagesStream(request, thinking=thinking)
    for chunk in chunks_of(completion):
        stream.feed(chunk)
    stream.close()
    return stream.message()


def message_to_anthropic(
    message: ParsedMessage,
    request: Mapping[str, Any] | None = None,
    *,
    model: str = "",
    incomplete: Literal["cut", "mend", "drop"] = "cut",
    thinking: bool | None = None,
) -> dict[str, Any]:
    """The message of the Messages API for a message that was parsed; its `content` are the blocks.

    Args:
        message: what `parse()` or a parser's `message` gave.
        request: the body of the request, if there was one.
        model: the model's name, if the request does not say it.
        incomplete: what becomes of a call that was cut, as in `ParsedMessage.to_openai`; "cut" leaves it out here.
        thinking: as `MessagesStream` takes it.

    Raises:
        ValueError: `incomplete` is no such word.
    """
    choice = {"message": message.to_openai(incomplete), "finish_reason": message.finish_reason}
    return from_completion({"model": model, "choices": [choice]}, request or {}, thinking=thinking)
