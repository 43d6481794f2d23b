"""`hamr-parse render`: messages in, the text of a family out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HamrParsersError, RenderError
from ..transcripts import TranscriptError, decode_text
from . import options as opt
from .console import command, complain
from .inputs import read_bytes
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    import hamr_parsers as hp

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse render messages.jsonl --parser qwen3_coder --tools tools.json`

`hamr-parse parse answer.txt --parser hermes --format openai | hamr-parse render - --model THUDM/GLM-4.5`

**Files** hold JSON: assistant messages of the chat API (one, a list, or one a line), `/chat/completions` responses,
or case records, whose `parser`, `tools` and `thinking` count unless the options say otherwise.

**Exit codes**: 0 all were written; 1 a family cannot express one (it is told, the others are written); 2 wrong usage,
or a file that cannot be read.
"""


@dataclass(slots=True)
class _Item:
    """One message, where it comes from, and what a case record says about it."""

    label: str
    message: Any
    record: str | None = None
    parser: str | None = None
    tools: Any = None
    in_reasoning: bool | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("render", epilog=EPILOG)(command(render))


def render(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="JSON messages; `-` is standard input.", show_default=False),
    ],
    parser: opt.ParserName = None,
    model: opt.Model = None,
    chat_template: opt.ChatTemplate = None,
    tools: opt.Tools = None,
    in_reasoning: Annotated[
        bool | None,
        typer.Option(
            "--in-reasoning/--no-in-reasoning",
            help="The prompt opened (or did not open) the reasoning block. [default: as the model's always do]",
            show_default=False,
            rich_help_panel="What was asked",
        ),
    ] = None,
    ids: Annotated[
        Literal["keep", "make"],
        typer.Option(help="Keep the calls' ids where the format has them, or make new ones."),
    ] = "keep",
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check", help="Read each text back; a message that does not return is an error."
        ),
    ] = True,
    format: Annotated[
        Literal["text", "jsonl"],
        typer.Option(help="How to print the texts.", rich_help_panel="Input and output"),
    ] = "text",
) -> int:
    """Write assistant messages in a family's dialect: the inverse of `parse`.

    `--format text` writes a text and a newline each; `jsonl` one object a line, with the text as it is.
    """
    import hamr_parsers as hp

    options: dict[str, Any] = {"in_reasoning": in_reasoning, "ids": ids, "check": check}
    template = opt.read_text(chat_template) if chat_template is not None else None
    declared = opt.read_tools(tools) if tools is not None else None
    told = parser is not None or model is not None or template is not None
    hp.resolve_parser(parser=parser, model=model, chat_template=template)
    refused = unread = 0
    for path in files:
        try:
            items = list(_items(_values(decode_text(read_bytes(path), path), path), path))
        except TranscriptError as error:
            complain(str(error))
            unread += 1
            continue
        for item in items:
            kwargs = dict(options)
            if in_reasoning is None:
                kwargs["in_reasoning"] = item.in_reasoning
            try:
                if not told and item.parser is None:
                    raise TranscriptError(
                        item.label, "which family? Give --parser, --model or --chat-template"
                    )
                chosen = hp.resolve_parser(
                    parser=parser if told else item.parser, model=model, chat_template=template
                )
                text = hp.render(
                    item.message,
                    parser=chosen.parser,
                    model=model,
                    tools=declared if declared is not None else item.tools,
                    **kwargs,
                )
            except RenderError as error:
                complain(f"{item.label}: {_in_options(str(error))}")
                refused += 1
                continue
            except HamrParsersError as error:
                complain(str(error) if isinstance(error, TranscriptError) else f"{item.label}: {error}")
                unread += 1
                continue
            _write(item, chosen, text, format)
    return 2 if unread else 1 if refused else 0


def _in_options(reason: str) -> str:
    """What an error says about arguments, said about options."""
    for argument, option in (
        ("`check=False`", "`--no-check`"),
        ("`ids='make'`", "`--ids make`"),
        ("`tools`", "`--tools`"),
        ("`parser=` or `model=`", "`--parser` or `--model`"),
    ):
        reason = reason.replace(argument, option)
    return reason


def _write(item: _Item, chosen: hp.Resolution, text: str, format: str) -> None:
    if format == "text":
        sys.stdout.write(text + "\n")
        return
    line = {
        "schema_version": SCHEMA_VERSION,
        "source": item.label,
        "record": item.record,
        "parser": chosen.parser,
        "parser_reason": chosen.reason,
        "text": text,
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _values(text: str, path: str) -> Iterator[tuple[str, Any]]:
    """The JSON values of a file, each with a label: one value, the items of a list, or one value a line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, list):
        for number, value in enumerate(whole, 1):
            yield f"{path} [message {number}]", value
        return
    if whole is not None:
        yield path, whole
        return
    found = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TranscriptError(path, f"line {number} is not JSON: {error}") from None
        found = True
        yield f"{path} [line {number}]", value
    if not found:
        raise TranscriptError(path, "no message in it")


def _items(values: Iterator[tuple[str, Any]], path: str) -> Iterator[_Item]:
    """The messages in the values: themselves, a response's choices, or what case records expect."""
    for label, value in values:
        if not isinstance(value, dict):
            raise TranscriptError(path, f"{label.removeprefix(path).strip() or 'it'} is no object")
        if isinstance(value.get("expect"), dict):
            yield _of_record(value, path, label)
        elif isinstance(value.get("choices"), list):
            for choice in value["choices"]:
                yield _Item(label, choice.get("message") if isinstance(choice, dict) else None)
        else:
            yield _Item(label, value)


def _of_record(value: dict[str, Any], path: str, label: str) -> _Item:
    from ..transcripts.cases import read_records  # pydantic is loaded only when records are read

    try:
        record = read_records(json.dumps({"text": "", **value}), path)[0]
    except TranscriptError as error:
        reason = error.reason.removeprefix("line 1 is ")
        raise TranscriptError(label, reason) from None
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
        for call in record.expect.calls or ()
    ]
    message = {"content": record.expect.content, "reasoning": record.expect.reasoning, "tool_calls": calls}
    return _Item(f"{path} [{record.id}]", message, record.id, record.parser, record.tools, record.thinking)
