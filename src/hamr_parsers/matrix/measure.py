"""What the fixtures show of a family: whether they hold, what was mended, how its arguments stream.

Theory. The matrix says nothing about what a parser does that was not seen. Every record of `fixtures/` is fed in
one piece, in its own chunks and in random ones (`transcripts/conform.py`), and parsed once more with its spans
kept. A family's figures are counts over those results; its sample is the record that shows most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..detect import marker_pieces
from ..errors import HamrParsersError, RenderError
from ..events import ToolCallDelta
from ..families import registry
from ..families.dialects import dialect
from ..families.entry import Family
from ..message import ParsedMessage
from ..parser import StreamParser
from ..render import render
from ..transcripts import TranscriptError, decode_text
from ..transcripts.cases import CaseRecord, read_records
from ..transcripts.conform import try_record

__all__ = ["FixturesError", "Measured", "Result", "Stream", "measure"]

_LONG = "The quick brown fox jumps over the lazy dog, and then does it again. " * 3
_LAWS = "law.jsonl"  # counted, but not shown: many small variations of one rule each


class FixturesError(HamrParsersError):
    """The fixtures cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Result:
    """A record and what came of it; `failure` is None if it held."""

    record: CaseRecord
    message: ParsedMessage
    failure: str | None
    shown: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """How a text argument came that was fed character by character.

    Attributes:
        characters: its length.
        pieces: in how many pieces it came while it was written.
        wait: the most characters of it that were fed without a piece coming.
    """

    characters: int
    pieces: int
    wait: int


@dataclass(slots=True)
class Measured:
    """A family's figures.

    Attributes:
        results: every record.
        stream: how a long text argument in its format comes, None if nothing can be written in it.
        parallel: how many records hold several calls.
        renders_parallel: whether a message with two calls can be written in the family's format; None if
            nothing can.
        seen: the markers in its records as they are written, by their names, the most frequent first.
    """

    results: list[Result] = field(default_factory=list)
    stream: Stream | None = None
    parallel: int = 0
    renders_parallel: bool | None = None
    seen: dict[str, list[str]] = field(default_factory=dict)

    @property
    def hold(self) -> int:
        """How many records hold."""
        return sum(result.failure is None for result in self.results)

    @property
    def codes(self) -> dict[str, int]:
        """What was odd in the records, and in how many of them."""
        counts: dict[str, int] = {}
        for result in self.results:
            for code in sorted({d.code for d in result.message.diagnostics}):
                counts[code] = counts.get(code, 0) + 1
        return dict(sorted(counts.items()))

    @property
    def sample(self) -> Result | None:
        """The record that shows most of the format with nothing odd about it."""
        plain = [r for r in self.results if r.shown and r.failure is None and r.record.text.strip()]
        return max(plain, key=_showing, default=None)

    @property
    def deviations(self) -> list[Result]:
        """The records that were written to show something, and those in which something was odd."""
        sample = self.sample
        return [
            r
            for r in self.results
            if r.shown
            and (sample is None or r.record.id != sample.record.id)
            and (r.record.note or r.record.tags or r.message.diagnostics)
        ]


def measure(folder: Path) -> Mapping[str, Measured]:
    """Run all records of a folder of fixtures; by family.

    Raises:
        FixturesError: there is no such folder, or a file in it cannot be read.
    """
    paths = sorted(folder.glob("*/*.jsonl"))
    if not paths:
        raise FixturesError(
            f"{folder}: no fixtures in it; they are part of the repository and not of the installed package"
            " (run this in a clone, or name the folder with --fixtures)"
        )
    found: dict[str, Measured] = {family.id: Measured() for family in registry.list_families()}
    for path in paths:
        try:
            records = read_records(decode_text(path.read_bytes(), str(path)), str(path))
        except (OSError, TranscriptError) as error:
            raise FixturesError(str(error)) from None
        for record in records:
            try:
                family = registry.get_family(record.parser).id
            except HamrParsersError:
                continue  # of a family that is not registered (yet)
            found[family].results.append(_run(record, path.name != _LAWS))
    tools = _tools(folder)
    for id_, measured in found.items():
        measured.parallel = sum(len(r.message.tool_calls) > 1 for r in measured.results)
        measured.seen = _seen(registry.get_family(id_), measured.results)
        measured.stream = _stream(registry.get_family(id_), tools)
        measured.renders_parallel = _renders_parallel(registry.get_family(id_), tools)
    return found


def _run(record: CaseRecord, shown: bool) -> Result:
    message, why = try_record(record, 0)
    failure = None if why is None else f"{why[0]}: {why[1]}"
    return Result(record, message or ParsedMessage(), failure, shown)


def _showing(result: Result) -> tuple[object, ...]:
    message = result.message
    return (
        not message.diagnostics and all(call.complete for call in message.tool_calls),
        bool(message.tool_calls),
        bool(message.reasoning) + bool((message.content or "").strip()) + min(len(message.tool_calls), 2),
        result.record.id.startswith("sheet/"),
        -len(result.record.text),
    )


def _seen(family: Family, results: list[Result]) -> dict[str, list[str]]:
    grammar = dialect(family).grammar if family.kind == "grammar" else None
    counts: dict[str, dict[str, int]] = {}
    for result in results if grammar is not None else ():
        for span in result.message.spans or ():
            if span.kind == "markup" and grammar is not None:
                for name, text, _ in marker_pieces(grammar, result.record.text[span.start : span.end]):
                    if name:
                        of = counts.setdefault(name, {})
                        of[text.strip() or text] = of.get(text.strip() or text, 0) + 1
    return {name: sorted(of, key=lambda text: (-of[text], text)) for name, of in sorted(counts.items())}


def _stream(family: Family, tools: Any) -> Stream | None:
    """A file's content as it would be written, one character after the other."""
    text = _written(family, tools, [("write_file", {"path": "a.txt", "content": _LONG})])
    if text is None or _LONG not in text:
        return None
    parser = StreamParser(parser=family.id, tools=tools)
    parser.feed(text[: text.index(_LONG)])
    pieces = wait = longest = 0
    for character in _LONG:
        came = sum(isinstance(event, ToolCallDelta) for event in parser.feed(character))
        pieces += came
        wait = 0 if came else wait + 1
        longest = max(longest, wait)
    return Stream(len(_LONG), pieces, longest)


def _tools(folder: Path) -> Any:
    try:
        return json.loads((folder / "tools.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FixturesError(f"{folder / 'tools.json'}: {error}") from None


def _written(family: Family, tools: Any, calls: list[tuple[str, dict[str, Any]]]) -> str | None:
    """The text of a message with these calls; None if the family's format has none."""
    made = [
        {
            "type": "function",
            "id": f"call{n}wxyz",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for n, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    try:
        return render(message, parser=family.id, tools=tools, ids="make")
    except RenderError:
        return None


def _renders_parallel(family: Family, tools: Any) -> bool | None:
    if family.kind != "grammar":
        return None
    return _written(family, tools, [("get_weather", {"city": "Oslo"}), ("now", {})]) is not None
