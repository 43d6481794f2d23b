"""Case records: a model's text with what a parser must make of it, one JSON object a line; and the judge.

The same record is used by `fixtures/`, by the demo and by corpora from elsewhere. A key missing in `expect` is
not asserted. What may differ without a record failing is decided here, once: outer blanks, 5 against 5.0, the
width of blanks where separate pieces of text were joined, and under which name the model's id is found.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..arguments.equal import same_value
from .model import Transcript, TranscriptError

if TYPE_CHECKING:
    from ..events import ToolCall
    from ..message import ParsedMessage

__all__ = ["CaseRecord", "Expectation", "ExpectedCall", "judge", "read_records"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class ExpectedCall(_Model):
    """One expected call; only `name` must be given."""

    name: str
    arguments: Any = None
    id: str | None = None
    complete: bool | None = None


class Expectation(_Model):
    """What must hold. `model_fields_set` tells which keys the record asserts."""

    content: str | None = None
    reasoning: str | None = None
    calls: list[ExpectedCall] | None = None
    finish_reason: str | None = None
    diagnostics: list[str] | None = None


class CaseRecord(_Model):
    """One record; the fields are described in CONTRIBUTING.md."""

    id: str
    parser: str
    text: str
    expect: Expectation
    source: str | None = None
    model: str | None = None
    note: str | None = None
    tools: list[dict[str, Any]] | None = None
    thinking: bool | None = None
    chunks: list[str] | None = None
    tags: list[str] = Field(default_factory=list)
    opinion: bool = False

    def transcript(self, source: str) -> Transcript:
        """The record's text as a transcript, in its own chunks if it has any."""
        transcript = Transcript(
            source,
            "cases",
            model=self.model,
            record_id=self.id,
            parser=self.parser,
            tools=self.tools,
            starts_in_reasoning=self.thinking,
        )
        for piece in self.chunks or [self.text]:
            transcript.add("content", piece)
        return transcript


def read_records(text: str, source: str) -> list[CaseRecord]:
    """All records of a JSON lines text (or the one of a JSON text over several lines).

    Raises:
        TranscriptError: a line is no record; the reason names the line and the field.
    """
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(CaseRecord.model_validate_json(line))
        except ValidationError as error:
            if not records:
                try:
                    return [CaseRecord.model_validate_json(text)]
                except ValidationError:
                    pass
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            what = f"{where}: {first['msg']}" if where else first["msg"]
            raise TranscriptError(source, f"line {number} is no case record: {what}") from None
    if not records:
        raise TranscriptError(source, "no case record in it")
    return records


# -- the judge ----------------------------------------------------------------------------------------------

# Markup that no reader should meet in the content of a message from which a call was read.
_MARKUP = re.compile(
    r"</?tool_calls?>|</?function(?:_calls?)?[=>]|</?parameter[=>]|</?arg_(?:key|value)>|</?invoke\b"
    r"|</?(?:minimax:)?tool_call>|</think>|\[(?:TOOL_CALLS|ARGS|CALL_ID)\]|<start_function_call>"
    r"|<\|(?:python_tag|tool_calls?|tool_call_begin|tool_calls_section_begin|channel|call|im_end|eot_id)\|>"
    r"|<\|tool_call_(?:start|end)\|>|<\|?action_(?:start|end)|<｜(?:tool|DSML)"
)
_CODE = re.compile(r"^ {0,3}```.*?(?:^ {0,3}```|\Z)|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_BLANKS = re.compile(r"\s+")


def judge(record: CaseRecord, message: ParsedMessage) -> str | None:
    """None if the message is what the record expects, else the first thing that is not, in one line."""
    expect = record.expect
    asserted = expect.model_fields_set
    calls = expect.calls if expect.calls is not None else []
    if "calls" in asserted:
        names = [call.name for call in message.tool_calls]
        wanted = [call.name for call in calls]
        if names != wanted:
            return f"calls {names}, expected {wanted}"
        for index, (got, want) in enumerate(zip(message.tool_calls, calls, strict=True)):
            why = _judge_call(got, want)
            if why:
                return f"call {index} ({got.name}): {why}"
    if "content" in asserted:
        if not _same_text(message.content, expect.content, record.text):
            return f"content {_short(message.content)}, expected {_short(expect.content)}"
    elif calls and not any(d.code == "failed-start" for d in message.diagnostics):
        left = _MARKUP.search(_CODE.sub("", message.content or ""))
        if left:
            return f"markup left in the content: {left[0]!r}"
    if "reasoning" in asserted and not _same_text(message.reasoning, expect.reasoning, record.text):
        return f"reasoning {_short(message.reasoning)}, expected {_short(expect.reasoning)}"
    if "finish_reason" in asserted and message.finish_reason != expect.finish_reason:
        return f"finish_reason {message.finish_reason!r}, expected {expect.finish_reason!r}"
    missing = set(expect.diagnostics or ()) - {d.code for d in message.diagnostics}
    if missing:
        return f"no diagnostic {', '.join(sorted(missing))}"
    return None


def _judge_call(got: ToolCall, want: ExpectedCall) -> str | None:
    if want.id is not None and want.id not in (got.id, got.source_id):
        return f"id {got.id!r}, expected {want.id!r}"
    try:
        arguments = json.loads(got.arguments)
    except ValueError:
        return f"arguments are not JSON: {_short(got.arguments)}"
    if "arguments" in want.model_fields_set and not same_value(arguments, want.arguments):
        return f"arguments {_short(got.arguments)}, expected {_short(json.dumps(want.arguments, ensure_ascii=False))}"
    if want.complete is not None and got.complete != want.complete:
        return f"complete is {got.complete}"
    return None


def _same_text(got: str | None, want: str | None, text: str) -> bool:
    one, other = (got or "").strip(), (want or "").strip()
    if one == other:
        return True
    # Not verbatim in the text: joined from pieces, whose framing is not judged.
    return other not in text and _BLANKS.sub(" ", one) == _BLANKS.sub(" ", other)


def _short(text: str | None, width: int = 100) -> str:
    if text is None:
        return "None"
    return repr(text) if len(text) <= width else repr(text[:width]) + "..."
