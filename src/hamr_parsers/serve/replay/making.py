"""Making an answer: a scenario, a turn and a way in, the events of a stream or a whole response out.

Here the stages of an answer follow each other, each with what the faults make of it. What comes out depends on nothing
but what goes in; the request's number, which is put into the ids, is left open (`REQUEST`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TypeVar

from .faults import ChosenFault, Fault, Stage, choose
from .faults.events import loading as loading_frames
from .saying import Turn, cutter, say
from .scenario import Scenario
from .shape import DONE, Frame, Saying, encode
from .shaping import chunks_of, response_of
from .way import Way

__all__ = ["events_of", "make_response", "make_stream"]

PROMPT_TOKENS = 100  # no tokenizer is here to count with
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said, and the faults that concern it."""

    sayings: list[Saying]
    faults: list[ChosenFault]

    def after(self, stage: Stage, value: T) -> T:
        """The value of a stage after all faults."""
        for chosen in self.faults:
            value = chosen.apply(stage, value)
        return value


def _said(scenario: Scenario, turn: Turn, way: Way, seed: int) -> _Said:
    mode = way.mode(turn)
    sayings = []
    for number in range(turn.choices):
        rng = random.Random(f"{seed} {scenario.id} {number}")
        sayings.append(say(scenario, turn, mode, way.reasoning, cutter(way.cut, rng), number))
    calls = any(saying.calls for saying in sayings)
    faults = [chosen for chosen in way.faults if _strikes(chosen.fault, turn, calls)]
    said = _Said(sayings, faults)
    sayings[:] = [said.after("saying", saying) for saying in sayings]
    return said


def _strikes(fault: Fault, turn: Turn, calls: bool) -> bool:
    """Whether a fault concerns a turn at all; `calls`: it has parsed ones."""
    if fault.needs in ("native", "both") and not calls:
        return False
    if fault.when == "always":
        return True
    return turn.tools and turn.stream if fault.when == "asked" else turn.refused


def make_stream(scenario: Scenario, turn: Turn, way: Way, seed: int, loading: bool) -> list[bytes]:
    """The events of a stream; `loading`: with the frames that tell of a model's loading before them."""
    said, kind = _said(scenario, turn, way, seed), way.kind
    chunks = said.after("chunks", chunks_of(said.sayings, kind, scenario.id, turn.usage, PROMPT_TOKENS))
    frames = [Frame(chunk) for chunk in chunks]
    if kind.done:
        frames.append(Frame(DONE))
    if loading:
        frames = loading_frames(frames)
    return [frame.encoded() for frame in said.after("frames", frames)]


def make_response(scenario: Scenario, turn: Turn, way: Way, seed: int) -> tuple[int, bytes]:
    """The status and the body of a whole response."""
    said, kind = _said(scenario, turn, way, seed), way.kind
    value = said.after("response", response_of(said.sayings, kind, scenario.id, PROMPT_TOKENS))
    if kind.loses_cut_calls and any(saying.cut and saying.calls for saying in said.sayings):
        value = choose("text-lost")[0].apply("response", value)
    if "error" not in value:
        return 200, encode(value).encode()
    code = value["error"].get("code")
    return (code if isinstance(code, int) else 502), encode(value).encode()


def events_of(raw: bytes) -> list[bytes]:
    """A captured stream in its events, byte for byte."""
    pieces, held = [], b""
    for line in raw.splitlines(keepends=True):
        held += line
        if not line.strip(b"\r\n"):
            pieces.append(held)
            held = b""
    return [*pieces, held] if held else pieces
