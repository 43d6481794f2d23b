"""The way in which a request is answered: the gateway's own, and what the request asks for instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from .delivery import Delivery
from .errors import ReplayError
from .faults import ChosenFault, choose
from .kinds import KINDS, Kind
from .saying import CALLS, CUTS, REASONING, CallsMode, Cut, ReasoningMode, Turn

__all__ = ["Way", "altered", "by_headers", "by_words", "delivery_of"]


@dataclass(frozen=True, slots=True)
class Way:
    """How one request is answered."""

    kind: Kind
    faults: tuple[ChosenFault, ...]
    calls: CallsMode | None
    cut: Cut
    reasoning: ReasoningMode
    rate: float | None

    def mode(self, turn: Turn) -> CallsMode:
        """Whether calls are left as text, for one turn."""
        faults = [chosen.fault for chosen in self.faults]
        asked = turn.tools or self.kind.parses_always or any(fault.unasked for fault in faults)
        if not asked or (not turn.stream and any(fault.when == "asked" for fault in faults)):
            return "text"
        if self.calls is not None:
            return self.calls
        needs = {fault.needs for fault in faults}
        return "both" if "both" in needs else "native" if "native" in needs else "text"


def altered(way: Way, name: str, value: str) -> Way:
    """The way with one thing changed. Raises ReplayError for a value that there is not."""

    def one_of(known: Iterable[str]) -> str:
        if value not in (known := list(known)):
            raise ReplayError(f"{name} is one of {', '.join(known)}, not {value!r}")
        return value

    if name == "as":
        return replace(way, kind=KINDS[one_of(KINDS)])
    if name == "calls":
        return replace(way, calls=cast(CallsMode, one_of(CALLS)))
    if name == "cut":
        return replace(way, cut=cast(Cut, one_of(CUTS)))
    if name == "reasoning":
        return replace(way, reasoning=cast(ReasoningMode, one_of(REASONING)))
    if name == "rate":
        try:
            rate = float(value)
            good = 0 < rate < 1e6
        except ValueError:
            good = False
        if not good:
            raise ReplayError(f"rate is a number of chunks a second, not {value!r}")
        return replace(way, rate=rate)
    return replace(way, faults=(*way.faults, *choose(value)))


def by_headers(way: Way, headers: Mapping[str, str]) -> Way:
    """The way that `x-replay-...` headers ask for."""
    for name in ("as", "calls", "cut", "reasoning", "rate", "fault"):
        if value := headers.get(f"x-replay-{name}"):
            way = altered(way, name, value)
    return way


def by_words(way: Way, words: str) -> Way:
    """The way that the words after a model's name ask for: kinds, modes, cuts and faults, in any order."""
    for word in words.replace(",", "+").split("+"):
        name = next((name for name, known in _WORDS.items() if word in known), "fault")
        way = altered(way, name, word)
    return way


_WORDS: Mapping[str, Iterable[str]] = {"as": KINDS, "calls": CALLS, "cut": CUTS}


def delivery_of(way: Way) -> Delivery:
    """How an answer goes out, after all faults."""
    delivery = Delivery()
    for chosen in way.faults:
        delivery = chosen.apply("delivery", delivery)
    return delivery
