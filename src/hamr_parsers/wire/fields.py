"""The fields that reasoning comes and goes in: servers do not agree on one."""

from __future__ import annotations

from typing import Literal

__all__ = ["REASONING_FIELDS", "ReasoningField", "reasoning_fields"]

#: Where servers put reasoning, in the order in which they are looked at: llama.cpp and most, vLLM and Ollama, others.
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")

#: Where it is to be written.
ReasoningField = Literal["reasoning_content", "reasoning", "both"]


def reasoning_fields(wanted: ReasoningField) -> tuple[str, ...]:
    """The names of the fields that are written."""
    return ("reasoning_content", "reasoning") if wanted == "both" else (wanted,)
