"""The pieces that a stream is made of, before they are bytes.

A `Chunk` is the JSON object of one event and remembers what it was made for (`part`); a `CallDelta` is one entry of
`tool_calls` and remembers which call it belongs to and whether it is the call's first. They are dicts, so that they
are written as they are; the memory lets faults be short, and be put one on the other: after `no-index` has taken
the index away, `name-repeated` still knows the calls apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "DONE",
    "CallDelta",
    "Chunk",
    "Frame",
    "Part",
    "Say",
    "SayCall",
    "Saying",
    "encode",
    "entries",
]

Part = Literal["role", "reasoning", "content", "call", "finish", "usage", "other"]
DONE = "[DONE]"

# --- what is said ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Say:
    """A piece of text on one channel."""

    channel: str  # "content" | "reasoning"
    text: str


@dataclass(slots=True)
class SayCall:
    """A call that the gateway has parsed: its arguments in pieces of JSON text."""

    name: str
    id: str
    arguments: list[str]


@dataclass(slots=True)
class Saying:
    """One choice of one answer, cut into the pieces of its stream, in the order of their sending."""

    pieces: list[Say | SayCall]
    finish: str
    cut: bool = False  # by max_tokens or by the end of the scenario's text
    tokens: int = 0

    @property
    def calls(self) -> list[SayCall]:
        """The parsed calls."""
        return [piece for piece in self.pieces if isinstance(piece, SayCall)]

    def text(self, channel: str) -> str:
        """All text of one channel."""
        return "".join(p.text for p in self.pieces if isinstance(p, Say) and p.channel == channel)


# --- chunks ---------------------------------------------------------------------------------------------------


class CallDelta(dict[str, Any]):
    """An entry of `tool_calls`: `call` is the number of its call in the answer, `first` and `last` its place."""

    def __init__(self, values: dict[str, Any], call: int, first: bool, last: bool = False) -> None:
        super().__init__(values)
        self.call = call
        self.first = first
        self.last = last

    @property
    def function(self) -> dict[str, Any]:
        """Its `function` object, made if there is none."""
        value: dict[str, Any] = self.setdefault("function", {})
        return value


class Chunk(dict[str, Any]):
    """A chat completion chunk: `part` is what it was made for, `number` the choice it belongs to."""

    def __init__(self, values: dict[str, Any], part: Part, number: int = 0) -> None:
        super().__init__(values)
        self.part = part
        self.number = number

    @property
    def choice(self) -> dict[str, Any] | None:
        """Its choice, or None in a chunk without choices."""
        choices = self.get("choices")
        return choices[0] if choices else None

    @property
    def delta(self) -> dict[str, Any]:
        """Its delta; an empty dict that leads nowhere, if it has none."""
        choice = self.choice
        value = choice.get("delta") if choice else None
        return value if isinstance(value, dict) else {}

    def like(self, delta: dict[str, Any], part: Part, finish: str | None = None) -> Chunk:
        """A chunk with the same head and another delta."""
        head = {key: value for key, value in self.items() if key not in ("choices", "usage", "timings")}
        choice = {"index": self.number, "delta": delta, "finish_reason": finish}
        return Chunk({**head, "choices": [choice]}, part, self.number)


def entries(chunk: Chunk) -> Iterator[CallDelta]:
    """The call entries of a chunk."""
    for entry in chunk.delta.get("tool_calls") or ():
        if isinstance(entry, CallDelta):
            yield entry


# --- frames ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Frame:
    """One event of the stream: its data (an object or a bare text), name, and the comments before it."""

    data: dict[str, Any] | str | None = None
    event: str | None = None
    comments: list[str] = field(default_factory=list)

    def encoded(self) -> bytes:
        """Its bytes, with the blank line that ends it."""
        lines = [f": {comment}" if comment else ":" for comment in self.comments]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.data is not None:
            lines.append(f"data: {self.data if isinstance(self.data, str) else encode(self.data)}")
        return ("\n".join(lines) + "\n\n").encode()


def encode(value: Any) -> str:
    """JSON as servers write it: UTF-8, except for lone surrogates, which only an escape can write."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
