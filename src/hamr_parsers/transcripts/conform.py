"""Whether a case record holds, however its text is fed: in one piece, in its own chunks, in random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from ..errors import HamrParsersError
from ..message import ParsedMessage
from ..parser import StreamParser
from .cases import CaseRecord, judge
from .feed import cut

__all__ = ["parse_record", "run_record", "try_record"]

_SHORT = 150  # characters of a value in a failure


def run_record(record: CaseRecord, seed: int) -> tuple[str, str] | None:
    """None if the record holds in every way of feeding it, else how it was fed and why it failed."""
    return try_record(record, seed)[1]


def try_record(record: CaseRecord, seed: int) -> tuple[ParsedMessage | None, tuple[str, str] | None]:
    """The record's message, with its spans (None if it cannot be parsed at all), and what `run_record` says."""
    whole: ParsedMessage | None = None
    first: dict[str, object] = {}
    try:
        for how, pieces in _ways(record, seed):
            message = parse_record(record, pieces, trace=whole is None)
            if whole is None:
                whole, first = message, _told(message)
            why = judge(record, message)
            if why is not None:
                return whole, (how, why)
            for key, value in _told(message).items():
                if value != first[key]:
                    return whole, (how, f"{key} {_short(value)}, but in one piece {_short(first[key])}")
    except HamrParsersError as error:
        return whole, ("set-up", str(error))
    return whole, None


def parse_record(
    record: CaseRecord, pieces: list[str] | None = None, *, trace: bool = False
) -> ParsedMessage:
    """A record's text as its own parser reads it, in one piece or in these."""
    options: dict[str, Any] = {"parser": record.parser, "tools": record.tools, "trace": trace}
    if record.thinking is not None:
        options["starts_in_reasoning"] = record.thinking
    stream = StreamParser(**options)
    for piece in [record.text] if pieces is None else pieces:
        stream.feed(piece)
    stream.close()
    return stream.message


def _ways(record: CaseRecord, seed: int) -> Iterator[tuple[str, list[str]]]:
    yield "one piece", [record.text]
    if record.chunks and "".join(record.chunks) == record.text:
        yield "its own chunks", record.chunks
    rng = random.Random(f"{seed} {record.id}")
    yield "random chunks", [text for _, text in cut([("content", record.text)], "random", rng)]


def _told(message: ParsedMessage) -> dict[str, object]:
    """What chunking must not change: everything but generated ids."""
    return {
        "content": message.content,
        "reasoning": message.reasoning,
        "calls": [(call.name, call.arguments, call.complete) for call in message.tool_calls],
        "finish_reason": message.finish_reason,
        "diagnostics": [(d.code, d.start, d.end) for d in message.diagnostics],
    }


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHORT else text[:_SHORT] + "..."
