"""Scenarios: what the model behind the replay gateway says, and what it means.

Theory. A scenario is a text in a family's own dialect, as a model writes it, with the tools that it was offered:
the shape of a case record and of a captured transcript. Everything else is derived from it. Its *truth* (content,
reasoning, calls) is what the record expects, or what the library's parser reads; a gateway that parses calls
itself sends the truth, one that does not sends the text. The turn after a tool result is a short answer in the
same dialect which quotes the result, so that an agent's loop ends and a test can see that the result arrived.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import HamrParsersError, RenderError
from ...parser import StreamParser, parse
from ...render import render
from ...select import opens_reasoning, resolve_parser
from ...transcripts import Transcript, TranscriptError, decode_text, detect, read_transcripts

if TYPE_CHECKING:
    from ...families.entry import Family
    from ...message import ParsedMessage
    from ...transcripts.cases import CaseRecord

__all__ = ["Scenario", "Truth", "embedded_scenarios", "read_scenarios", "scenario_of_record"]

_SLUG = re.compile(r"[^\w.:-]+")
_QUOTED = 400  # characters of a tool result that the answer quotes


@dataclass(frozen=True, slots=True)
class Truth:
    """What a scenario's text means. `calls` are (name, arguments); the arguments of a cut call are its JSON text
    as far as it came, a str. `finish_reason` is what a right gateway says at the end."""

    content: str | None
    reasoning: str | None
    calls: tuple[tuple[str, Any], ...]
    finish_reason: str


@dataclass(frozen=True)
class Scenario:
    """One answer of one model.

    Attributes:
        id: the model's name at the gateway; the library resolves the parser by it.
        text: what the model writes.
        parser: the family; None: by `model`, or by the id.
        tools: the tools that the text calls.
        thinking: whether the prompt had opened the reasoning block; None: as the model's prompts always do.
        finish: "length" if the text is cut.
        expected: the truth where a record states it; None: what the parser reads.
        note: one line for a person.
        raw: the bytes of a captured event stream, to be played as they were.
    """

    id: str
    text: str
    parser: str | None = None
    model: str | None = None
    tools: Sequence[dict[str, Any]] | None = None
    thinking: bool | None = None
    finish: str = "stop"
    expected: Truth | None = None
    note: str = ""
    raw: bytes | None = field(default=None, repr=False)

    @cached_property
    def family(self) -> Family:
        """The family that the text is written in."""
        from ...families import registry

        return registry.get_family(resolve_parser(self.model or self.id, self.parser).parser)

    @cached_property
    def starts_in_reasoning(self) -> bool:
        """Whether the text begins inside the reasoning."""
        if self.thinking is not None:
            return self.thinking
        return opens_reasoning(self.family, self.model or self.id)

    def read(self, text: str | None = None, finish: str | None = None, tools: bool = True) -> ParsedMessage:
        """The message in a text of this model (its own, if none is given), by the library's parser."""
        return parse(
            self.text if text is None else text,
            parser=self.family.id,
            tools=self.tools if tools else None,
            starts_in_reasoning=self.starts_in_reasoning,
            finish_reason=finish or self.finish,
            tool_choice=None if tools else "none",
        )

    @cached_property
    def truth(self) -> Truth:
        """What the text means."""
        return self.expected or _truth_of(self.read())

    def fields(self, text: str) -> list[tuple[str, str]]:
        """The text as a server with a reasoning parser and no tool parser gives it: (channel, text) pairs.

        Where the reasoning cannot be lifted out without harm to the calls (formats in which both stand in one
        frame), all of it is content, as such servers leave it.
        """
        told = self.read(text, "length", tools=False)
        pairs = [("reasoning", told.reasoning or ""), ("content", told.content or "")]
        pairs = [pair for pair in pairs if pair[1]]
        if told.reasoning is None:
            return [("content", text)] if text else []
        stream = StreamParser(parser=self.family.id, tools=self.tools, starts_in_reasoning=False)
        for channel, piece in pairs:
            stream.feed(piece, channel=channel)
        stream.close(finish_reason="length")
        want = self.read(text, "length")
        same = [(c.name, c.arguments) for c in stream.message.tool_calls] == [
            (c.name, c.arguments) for c in want.tool_calls
        ]
        return pairs if same else [("content", text)]

    def final(self, results: Sequence[str]) -> str:
        """The answer after tool results, in the model's dialect."""
        quoted = "; ".join(" ".join(result.split())[:_QUOTED] for result in results) or "nothing"
        message: dict[str, Any] = {"role": "assistant", "content": f"Done. The tools answered: {quoted}"}
        if self.starts_in_reasoning:
            message["reasoning_content"] = "The tools have answered."
        try:
            return render(message, parser=self.family.id, in_reasoning=self.starts_in_reasoning, ids="make")
        except RenderError:
            return str(message["content"])  # the quoted result has markup of the family in it


def _truth_of(message: ParsedMessage) -> Truth:
    calls: list[tuple[str, Any]] = []
    for call in message.tool_calls:
        if call.complete:
            calls.append((call.name, call.arguments_dict()))
        else:
            calls.append((call.name, call.arguments[: len(call.arguments) - len(call.closing)]))
    return Truth(message.content, message.reasoning, tuple(calls), message.finish_reason)


def scenario_of_record(record: CaseRecord, name: str | None = None) -> Scenario:
    """A case record as a scenario. What the record expects is its truth, if it says it all."""
    expect = record.expect
    scenario = Scenario(
        name or record.id,
        record.text,
        record.parser,
        record.model,
        record.tools,
        record.thinking,
        "length" if expect.finish_reason == "length" else "stop",
        note=record.note or "",
    )
    calls = expect.calls or []
    whole = {"content", "reasoning", "calls"} <= expect.model_fields_set
    if not whole or any(call.complete is False or call.arguments is None for call in calls):
        return scenario
    told = tuple((call.name, call.arguments) for call in calls)
    finish = expect.finish_reason or ("tool_calls" if told else "stop")
    return replace(scenario, expected=Truth(expect.content, expect.reasoning, told, finish))


def embedded_scenarios() -> list[Scenario]:
    """The scenarios that ship with the package."""
    from ...transcripts.cases import read_records

    text = files(__package__).joinpath("scenarios.jsonl").read_text(encoding="utf-8")
    return [scenario_of_record(record) for record in read_records(text, "scenarios.jsonl")]


def read_scenarios(paths: Iterable[str | Path]) -> list[Scenario]:
    """Scenarios of files and folders: whatever `read_transcripts` reads, one scenario for each answer.

    Folders are searched for `*.jsonl`, `*.json`, `*.sse` and `*.txt`. Ids are made unique.

    Raises:
        TranscriptError: a file cannot be read, or a folder holds none.
    """
    found: list[Scenario] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for end in ("jsonl", "json", "sse", "txt") for p in path.rglob(f"*.{end}")]
            if not inside:
                raise TranscriptError(str(path), "no *.jsonl, *.json, *.sse or *.txt file in it")
            for file in sorted(inside):
                try:
                    found.extend(_read(file))
                except TranscriptError:
                    continue  # a folder may hold other things: tools.json, notes
            continue
        found.extend(_read(path))
    seen: dict[str, int] = {}
    unique = []
    for scenario in found:
        count = seen[scenario.id] = seen.get(scenario.id, 0) + 1
        unique.append(scenario if count == 1 else replace(scenario, id=f"{scenario.id}-{count}"))
    if not unique:
        raise TranscriptError(", ".join(map(str, paths)), "no transcript or case record in it")
    return unique


def _read(path: Path) -> list[Scenario]:
    from ...transcripts.cases import read_records

    try:
        data = path.read_bytes()
    except OSError as error:
        raise TranscriptError(str(path), error.strerror or str(error)) from None
    text = decode_text(data, str(path))
    kind = detect(text)
    if kind == "cases":
        return [s for r in read_records(text, str(path)) if (s := _usable(scenario_of_record(r)))]
    raw = data if kind == "sse" else None
    found = []
    for transcript in read_transcripts(data, str(path), kind):
        scenario = _of_transcript(transcript, path, raw)
        if scenario is not None:
            found.append(scenario)
    return found


def _usable(scenario: Scenario) -> Scenario | None:
    """The scenario, unless its family is none of ours (corpora from elsewhere have others)."""
    try:
        _ = scenario.family
    except HamrParsersError:
        return None
    return scenario


def _of_transcript(transcript: Transcript, path: Path, raw: bytes | None) -> Scenario | None:
    """A captured answer: its text, with the reasoning put back into it if the gateway had taken it out."""
    model = transcript.model
    name = _SLUG.sub("-", model or path.stem)
    if transcript.answer or transcript.choice:
        name += f":{transcript.answer}.{transcript.choice}"
    content = "".join(text for channel, text in transcript.pieces if channel == "content")
    reasoning = "".join(text for channel, text in transcript.pieces if channel == "reasoning")
    scenario = Scenario(
        name,
        content,
        transcript.parser,
        model,
        transcript.tools,
        False if reasoning else transcript.starts_in_reasoning,
        "length" if transcript.finish_reason == "length" else "stop",
        note=f"captured in {path.name}",
        raw=raw if not transcript.answer else None,
    )
    message: dict[str, Any] = {"role": "assistant", "content": None, "reasoning_content": reasoning}
    if reasoning:
        try:
            opened = render(message, parser=scenario.family.id, in_reasoning=False)
        except RenderError:
            opened = f"<think>\n{reasoning}\n</think>\n\n"
        scenario = replace(scenario, text=opened + content)
    native = transcript.native_tool_calls
    if native:
        return _with_native(scenario, native)
    return scenario if scenario.text else None


def _with_native(scenario: Scenario, deltas: list[dict[str, Any]]) -> Scenario:
    """Calls that the captured gateway had parsed itself: gathered, and written in the model's dialect."""
    calls: dict[Any, dict[str, str]] = {}
    last: Any = 0
    for number, delta in enumerate(deltas):
        function = delta.get("function")
        if not isinstance(function, dict):
            continue
        name, arguments = function.get("name"), function.get("arguments")
        key = delta.get("index", number if name else last)
        last = key
        call = calls.setdefault(key, {"name": "", "arguments": ""})
        call["name"] = call["name"] or (name if isinstance(name, str) else "")
        call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    message = {
        "role": "assistant",
        "content": scenario.text or None,
        "tool_calls": [
            {"id": f"call{n}", "type": "function", "function": call} for n, call in enumerate(calls.values())
        ],
    }
    try:
        return replace(
            scenario, text=render(message, parser=scenario.family.id, in_reasoning=False, ids="make")
        )
    except (RenderError, ValueError):
        return scenario  # still good for playing it as it was
