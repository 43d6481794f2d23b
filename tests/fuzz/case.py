"""One input of the fuzzer: a text, how it comes in, and the parser's parameters.

Theory. A case holds plain values only, so that its `repr` can be pasted into a regression test, and everything
that is "random" about checking it (where it is cut, where it is copied) follows from the case itself: the same
case gives the same verdict.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from . import blocks
from .draw import Draw

Chunk = tuple[str, "str | bytes"]
"""A channel and what comes in on it."""

TOOL_SETS: dict[str, list[dict[str, Any]] | None] = {
    "unknown": None,
    "declared": blocks.TOOLS,
    "rich": blocks.RICH_TOOLS,
    "none": [],
}

LONG = 5_000
"""Longer texts are cut into larger pieces."""

ALL_POSITIONS = 48
"""Texts up to this length are cut in two at every position."""


@dataclass(frozen=True)
class Case:
    """One input. `switches` are the offsets at which the channel changes (it begins with content); `options` are
    keyword arguments of the parser; `cuts`, if given, is the only cutting to compare with the whole."""

    family: str
    text: str
    tools: str = "declared"
    options: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    switches: tuple[int, ...] = ()
    seed: int = 0
    cuts: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        shown = [f"{self.family!r}", f"{self.text!r}"]
        plain = Case(self.family, self.text)
        for f in fields(self)[2:]:
            if getattr(self, f.name) != getattr(plain, f.name):
                shown.append(f"{f.name}={getattr(self, f.name)!r}")
        return f"Case({', '.join(shown)})"

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments for `StreamParser`."""
        return {"parser": self.family, "tools": TOOL_SETS[self.tools], **self.options}

    def pieces(self) -> list[tuple[str, str]]:
        """The text by channel."""
        borders = [0, *sorted({s for s in self.switches if 0 < s < len(self.text)}), len(self.text)]
        kinds = ("content", "reasoning")
        return [
            (kinds[i % 2], self.text[start:end])
            for i, (start, end) in enumerate(zip(borders, borders[1:], strict=False))
            if start < end
        ]

    def cut_at(self, offsets: tuple[int, ...]) -> list[Chunk]:
        """The text cut at these offsets, and where the channel changes."""
        chunks: list[Chunk] = []
        start = 0
        for channel, text in self.pieces():
            inside = [o - start for o in offsets if start < o < start + len(text)]
            for a, b in zip([0, *inside], [*inside, len(text)], strict=True):
                chunks.append((channel, text[a:b]))
            start += len(text)
        return chunks

    @property
    def grain(self) -> int:
        """What counts as one character in cutting: more of a long text, else it would take all the time."""
        return 1 if len(self.text) <= LONG else 50

    def cut_by(self, size: int) -> list[Chunk]:
        """The text in chunks of this size (times `grain`)."""
        size *= self.grain
        return self.cut_at(tuple(range(size, len(self.text), size)))

    def cuttings(self) -> Iterator[tuple[str, list[Chunk]]]:
        """The ways to cut this case, each with a description; the whole is not among them."""
        if self.cuts is not None:
            yield f"cut at {self.cuts}", self.cut_at(self.cuts)
            return
        length = len(self.text)
        rng = random.Random(f"{self.seed} {length}")
        if length > 1:
            yield "single characters", self.cut_by(1)
        if 1 < length <= ALL_POSITIONS:
            for at in range(1, length):
                yield f"cut at {at}", self.cut_at((at,))
        elif length > ALL_POSITIONS:
            for _ in range(4):
                at = rng.randrange(1, length)
                yield f"cut at {at}", self.cut_at((at,))
        size = rng.choice((2, 3, 4, 5, 7, 16))
        if length > size:
            yield f"chunks of {size}", self.cut_by(size)
        for _ in range(2):
            offsets = _random_offsets(rng, length, self.grain)
            yield f"cut at {offsets}", self.cut_at(offsets)
        offsets = _random_offsets(rng, length, self.grain)
        chunks = [c for channel, text in self.cut_at(offsets) for c in ((channel, ""), (channel, text))]
        yield f"cut at {offsets}, with empty chunks", chunks
        try:
            yield "bytes cut anywhere", self._bytes(rng)
        except UnicodeEncodeError:
            pass  # a lone surrogate: no UTF-8 for it

    def _bytes(self, rng: random.Random) -> list[Chunk]:
        chunks: list[Chunk] = []
        for channel, text in self.pieces():
            data = text.encode()
            at = 0
            while at < len(data):
                size = rng.choice((1, 1, 2, 3, 5, 11, 40)) * self.grain
                chunks.append((channel, data[at : at + size]))
                at += size
        return chunks


def _random_offsets(rng: random.Random, length: int, grain: int) -> tuple[int, ...]:
    """Offsets with both dense and sparse stretches."""
    offsets = []
    at = 0
    while at < length:
        at += rng.choice((1, 1, 1, 2, 3, 4, 9, 20, 60)) * grain
        if at < length:
            offsets.append(at)
    return tuple(offsets)


PROMPTS = (
    "<|im_start|>assistant\n",
    "<|im_start|>assistant\n<think>\n",
    "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "x",
)


def any_case(draw: Draw, family: str) -> Case:
    """A case for the family, drawn from everything that the issue lists."""
    text = blocks.text(draw, blocks.vocabulary(family))
    options: dict[str, Any] = {}
    if draw.chance(40):
        options["starts_in_reasoning"] = draw.pick((True, False, True))
    if draw.chance(40):
        options["recovery"] = draw.pick(("lenient", "strict", "declared"))
    if draw.chance(20):
        options["calls_in_reasoning"] = "text"
    if draw.chance(15):
        named = {"type": "function", "function": {"name": draw.pick(blocks.NAMES)}}
        options["tool_choice"] = draw.pick(("auto", "none", "required", named))
    if draw.chance(40):
        options["max_held"] = draw.pick((16, 17, 24, 40, 100, 500))
    if draw.chance(25):
        options["max_depth"] = draw.pick((3, 4, 5, 8))
    if draw.chance(3):
        options["prompt"] = draw.pick(PROMPTS)
    switches: tuple[int, ...] = ()
    if draw.chance(8) and len(text) > 1:
        switches = tuple(sorted(draw.number(0, len(text) - 1) for _ in range(draw.number(1, 4))))
    return Case(
        family,
        text,
        tools=draw.pick(("declared", "declared", "unknown", "rich", "none")),
        options=options,
        finish_reason=draw.pick((None, None, "stop", "length", "tool_calls")),
        switches=switches,
        seed=draw.number(0, 999_999),
    )
