"""`hamr-parse parse`: files in, messages out."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HamrParsersError
from ..transcripts import cut
from . import options as opt
from .console import command, out
from .inputs import PIECE, Inputs, Meter

if TYPE_CHECKING:
    import hamr_parsers as hp

    from ..transcripts import Channel, Transcript

__all__ = ["SCHEMA_VERSION", "register", "result"]

SCHEMA_VERSION = 1

EPILOG = """
**Examples**

`hamr-parse parse answer.txt --parser hermes`

`curl -N ... | hamr-parse parse - --model Qwen/Qwen3-Coder-30B-A3B-Instruct --tools tools.json`

`hamr-parse parse *.sse --format jsonl | jq -c '.message.tool_calls[]'`

**Formats**: `text` to read; `json` one document, `{"schema_version": 1, "results": [...]}`; `jsonl` one result
a line, each with its `schema_version`; `openai` one assistant message of the chat API a line.

Calls that the server itself sent are shown beside those of the text: labelled in `text`, as `native_tool_calls` in
`json` and `jsonl`, after the text's in `openai`, where a call that came both ways is given once.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parse", epilog=EPILOG)(command(parse))


def parse(
    files: opt.Files,
    parser: opt.ParserName = None,
    model: opt.Model = None,
    chat_template: opt.ChatTemplate = None,
    response_template: opt.ResponseTemplate = None,
    tools: opt.Tools = None,
    tool_choice: opt.ToolChoice = None,
    prompt: opt.Prompt = None,
    thinking: opt.Thinking = None,
    finish_reason: opt.FinishReason = None,
    recovery: opt.Recovery = "declared",
    calls_in_reasoning: opt.CallsInReasoning = "call",
    input: opt.Input = "auto",
    format: Annotated[
        Literal["text", "json", "jsonl", "openai"],
        typer.Option(help="How to print the messages.", rich_help_panel="Input and output"),
    ] = "text",
    chunk: opt.Chunk = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with 1 if anything about a text was odd.", rich_help_panel="Policies"
        ),
    ] = False,
) -> int:
    """Parse captured output: raw text, SSE, chunks as JSON lines, chat completions, session logs, case records."""
    size = opt.parse_chunk(chunk)
    setup = opt.ParserSetup.of(
        parser,
        model,
        chat_template,
        tools,
        tool_choice,
        prompt,
        thinking,
        finish_reason,
        recovery,
        calls_in_reasoning,
        response_template,
    )
    inputs = Inputs(files, None if input == "auto" else input)
    console = out() if format == "text" else None
    results: list[dict[str, Any]] = []
    odd = False
    with inputs.meter() as meter:
        for transcript, chosen, message in messages(inputs, setup, size, meter):
            odd = odd or bool(message.diagnostics)
            if format == "json":
                results.append(result(transcript, chosen, message))
                continue
            with meter.aside():
                if console is not None:
                    from .show import print_message

                    native = transcript.native_tool_calls
                    print_message(console, transcript.label, chosen, message, native)
                elif format == "openai":
                    _line(_to_openai(message, transcript.native_tool_calls))
                else:
                    _line({"schema_version": SCHEMA_VERSION, **result(transcript, chosen, message)})
    if format == "json":
        document = {"schema_version": SCHEMA_VERSION, "results": results}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    if inputs.failed:
        return 2
    return 1 if strict and odd else 0


def messages(
    inputs: Inputs, setup: opt.ParserSetup, size: int | Literal["random"] | None, meter: Meter
) -> Iterator[tuple[Transcript, hp.Resolution, hp.ParsedMessage]]:
    """Each transcript's message, with how its parser was chosen."""
    rng = random.Random(0)
    for transcript in inputs.transcripts(meter):
        try:
            stream, chosen = setup.start(transcript)
        except HamrParsersError as error:
            inputs.refuse(f"{transcript.label}: {error}", meter)
            continue
        for channel, text in cut(transcript.pieces, size, rng):
            for piece in _pieces(text) if meter.shown else (text,):
                _feed(stream, piece, channel)
                meter.advance(len(piece) * inputs.scale, transcript.source)
        stream.close(finish_reason=setup.finish_reason or transcript.finish_reason)
        message = stream.message
        if transcript.native_tool_calls:
            message.finish_reason = _finish(message, transcript.native_tool_calls)
        yield transcript, chosen, message


def result(transcript: Transcript, chosen: hp.Resolution, message: hp.ParsedMessage) -> dict[str, Any]:
    """One result of the JSON formats. Fields are added, never renamed, under one `schema_version`."""
    out: dict[str, Any] = {
        **transcript.origin,
        "parser": chosen.parser,
        "parser_source": chosen.source,
        "parser_reason": chosen.reason,
        "message": message.to_dict(),
    }
    if transcript.native_tool_calls:
        out["native_tool_calls"] = transcript.native_tool_calls
    return out


def _finish(message: hp.ParsedMessage, native: list[dict[str, Any]]) -> str:
    """The finish reason of an answer whose server sent calls beside the text."""
    from .show import is_whole

    if message.finish_reason == "length" or not all(map(is_whole, native)):
        return "length"
    return "tool_calls"


def _to_openai(message: hp.ParsedMessage, native: list[dict[str, Any]]) -> dict[str, Any]:
    """The message with the server's calls after the text's; of one that came both ways the server's, whose id is the
    one that its client saw."""
    out = message.to_openai()
    if native:
        doubles = [_said(call) for call in native]
        calls = []
        for call in out.get("tool_calls") or ():
            said = _said(call)
            if said in doubles:
                doubles.remove(said)
            else:
                calls.append(call)
        out["tool_calls"] = [*calls, *native]
    return out


def _said(call: dict[str, Any]) -> object:
    """What a call says, for comparing: its name and arguments, not its id."""
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
        # as text again: 1 and true are equal in Python, and are not the same argument
        return function.get("name"), json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return function.get("name"), arguments


def _feed(stream: hp.StreamParser, text: str, channel: Channel) -> None:
    stream.feed(text, channel=channel)


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


def _line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
