"""Why an answer ended: the words that servers use, in those of the chat API.

Node's `openai` and Vercel's SDK break at a word that the API does not have (gateways.md), so an unknown one
becomes the nearest that it has. Whether calls were complete is decided elsewhere (choice.py).
"""

from __future__ import annotations

__all__ = ["finish_word"]

_WORDS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool-calls": "tool_calls",
    "tooluse": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "context_length_exceeded": "length",
    "limit": "length",
    "truncated": "length",
    "incomplete": "length",
    # what was interrupted is a cut answer
    "abort": "length",
    "aborted": "length",
    "cancelled": "length",
    "canceled": "length",
    "error": "length",
    "network_error": "length",
    "insufficient_system_resource": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "sensitive": "content_filter",
    "refusal": "content_filter",
}


def finish_word(value: object) -> str | None:
    """A finish reason as the chat API has it; None where the server gave none. Unknown words are "stop"."""
    if not isinstance(value, str) or not value:
        return None
    return _WORDS.get(value) or _WORDS.get(value.lower(), "stop")
