"""What a fault is, and the list of all of them.

Theory. An answer is made in stages: what is said (`Saying`), the chunks of a stream or the whole response, the
frames of the event stream, their bytes cut into pieces, and the delivery of these. A fault is a function over one or
two of the stages, from the right value to the wrong one. Functions of different faults know nothing of each other,
so that any number of them can be asked for together: they run stage by stage, in the order in which they were named.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ....errors import HamrParsersError
from ..delivery import Delivery
from ..shape import Chunk, Frame, Saying

__all__ = [
    "FAULTS",
    "ChosenFault",
    "Fault",
    "Needs",
    "Outcome",
    "Stage",
    "UnknownFaultError",
    "When",
    "choose",
    "fault",
]

Stage = Literal["saying", "chunks", "response", "frames", "pieces", "delivery"]
Outcome = Literal["right", "cut", "error", "gone"]
When = Literal["always", "asked", "refused"]
Needs = Literal["any", "native", "text", "both", "reasoning"]
T = TypeVar("T")
Change = Callable[..., Any]


class UnknownFaultError(HamrParsersError, ValueError):
    """No fault has this name, or its number is none; the message names the nearest and how to list all."""


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One malformation that some gateway sends.

    Attributes:
        name: for `--fault`; `NAME=NUMBER` where it has a number.
        text: what it does, in one sentence.
        row: whose habit it is: the server that sends it, or the part of the wire that it breaks.
        outcome: what a client can get out of it at best: the "right" answer, an answer that must be told to be "cut",
            what came before an "error" and the error, or nothing ("gone": only another way of asking helps).
        needs: what shows it: parsed calls ("native"), calls left as "text", "both" of them, or some "reasoning".
        number: the default of its number, None if it has none.
        stages: the functions, by stage.
        when: "always", only where calls were "asked" for and streamed, or only where tools were sent and `tool_choice`
            was "none" ("refused").
        unasked: calls are parsed even if no tools were sent.
    """

    name: str
    text: str
    row: str
    outcome: Outcome
    needs: Needs
    number: float | None
    stages: Mapping[Stage, Change]
    when: When = "always"
    unasked: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    text: str,
    row: str,
    *,
    outcome: Outcome = "right",
    needs: Needs = "any",
    number: float | None = None,
    when: When = "always",
    unasked: bool = False,
    saying: Callable[..., Saying] | None = None,
    chunks: Callable[..., list[Chunk]] | None = None,
    response: Callable[..., dict[str, Any]] | None = None,
    frames: Callable[..., list[Frame]] | None = None,
    pieces: Callable[..., list[bytes]] | None = None,
    delivery: Callable[..., Delivery] | None = None,
) -> None:
    """Put a fault on the list. A function gets the value of its stage, and the number of a fault that has one."""
    given: dict[Stage, Change | None] = {
        "saying": saying,
        "chunks": chunks,
        "response": response,
        "frames": frames,
        "pieces": pieces,
        "delivery": delivery,
    }
    if name in FAULTS:
        raise ValueError(f"two faults are called {name!r}")
    stages = {stage: function for stage, function in given.items() if function is not None}
    FAULTS[name] = Fault(name, text, row, outcome, needs, number, stages, when, unasked)


@dataclass(frozen=True, slots=True)
class ChosenFault:
    """A fault that was asked for, with its number."""

    fault: Fault
    number: float | None

    @property
    def name(self) -> str:
        """As it is asked for."""
        plain = self.number is None or self.number == self.fault.number
        return self.fault.name if plain else f"{self.fault.name}={self.number:g}"

    def apply(self, stage: Stage, value: T) -> T:
        """The value of a stage after this fault."""
        change = self.fault.stages.get(stage)
        if change is None:
            return value
        changed: T = change(value) if self.number is None else change(value, self.number)
        return changed


def choose(names: str | Iterable[str]) -> tuple[ChosenFault, ...]:
    """The faults of a list of names, or of names with commas between them.

    Raises:
        UnknownFaultError: a name is none, or a number is none or not wanted.
    """
    if isinstance(names, str):
        names = names.split(",")
    chosen = []
    for given in names:
        name, equals, number = given.strip().partition("=")
        if not name:
            continue
        found = FAULTS.get(name)
        if found is None:
            near = difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownFaultError(
                f"unknown fault {name!r}{hint} (`hamr-parse replay --list-faults` lists them)"
            )
        value = found.number
        if equals:
            try:
                value = float(number)
                good = found.number is not None and 0 <= value < 1e9
            except ValueError:
                good = False
            if not good:
                way = "a number that is not negative" if found.number is not None else "no number"
                raise UnknownFaultError(f"fault {name!r} takes {way}, not {number!r}")
        chosen.append(ChosenFault(found, value))
    return tuple(chosen)
