"""Counts of tokens: the chat API's, read with care, since gateways leave out, null or misplace any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """`prompt` counts the cached tokens too, `completion` those of the reasoning."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    total: int = 0

    @classmethod
    def read(cls, usage: object) -> Usage | None:
        """The counts of a chat `usage` object; None if it is none."""
        if not isinstance(usage, Mapping):
            return None
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        return cls(
            prompt,
            completion,
            min(_count(usage.get("prompt_tokens_details"), "cached_tokens"), prompt),
            _count(usage.get("completion_tokens_details"), "reasoning_tokens"),
            _count(usage, "total_tokens") or prompt + completion,
        )


def _count(values: Any, key: str) -> int:
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if type(value) is int and value > 0 else 0
