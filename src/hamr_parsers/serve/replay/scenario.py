"""Scenarios: what the model behind the replay gateway says, and what it means.

Theory. A scenario is a text in a family's own dialect, as a model writes it, with the tools that it was offered:
the shape of a case record and of a captured transcript. Everything else is derived from it. Its *truth* (content,
reasoning, calls) is what the record expects, or what the library's parser reads; a gateway that parses calls
itself sends the truth, one that does not sends the text. The turn after a tool result is a short answer in the
same dialect which quotes the result, so that an agent's loop ends and a test can see that the result arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...errors import RenderError
from ...parser import StreamParser, parse
from ...render import render
from ...select import opens_reasoning, resolve_parser

if TYPE_CHECKING:
    from ...families.entry import Family
    from ...message import ParsedMessage
    from ...transcripts.cases import CaseRecord

__all__ = ["Scenario", "Truth", "scenario_of_record"]

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
