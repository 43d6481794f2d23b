"""A captured text cut anew, for parsers that are to be fed in pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from .model import Channel

__all__ = ["cut"]


def cut(
    pieces: list[tuple[Channel, str]], chunk: int | Literal["random"] | None, rng: random.Random
) -> Iterator[tuple[Channel, str]]:
    """The pieces as they came (`chunk` None), or their text cut anew, each channel's runs for themselves."""
    if chunk is None:
        yield from pieces
        return
    start = 0
    while start < len(pieces):
        channel = pieces[start][0]
        end = start
        while end < len(pieces) and pieces[end][0] == channel:
            end += 1
        text = "".join(piece for _, piece in pieces[start:end])
        at = 0
        while at < len(text):
            size = chunk if isinstance(chunk, int) else rng.choice((1, 1, 2, 3, 4, 5, 7, 11, 19, 40))
            yield channel, text[at : at + size]
            at += size
        start = end
