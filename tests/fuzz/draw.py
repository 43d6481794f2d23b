"""Where the generator's choices come from.

Theory. The building blocks ask for numbers and picks only, so the same blocks serve a long run with a seeded
`random.Random` (microseconds a choice) and hypothesis (slower, but it shrinks and replays by itself). A choice
of 0 is always the plainest one: that is what hypothesis shrinks towards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Draw(Protocol):
    """A source of choices."""

    def number(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        ...

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        ...

    def chance(self, percent: int) -> bool:
        """True in about so many of a hundred cases."""
        ...


class RandomDraw:
    """Choices from a seed."""

    __slots__ = ("_random",)

    def __init__(self, seed: int | str) -> None:
        self._random: Callable[[], float] = random.Random(seed).random

    def number(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._random() * len(options))]

    def chance(self, percent: int) -> bool:
        return self._random() * 100 < percent


class HypothesisDraw:
    """Choices from hypothesis: `draw` is the function that `@composite` passes."""

    __slots__ = ("_draw", "_integers")

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        from hypothesis import strategies

        self._draw = draw
        self._integers = strategies.integers

    def number(self, low: int, high: int) -> int:
        return int(self._draw(self._integers(low, high)))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.number(0, 99) >= 100 - percent
