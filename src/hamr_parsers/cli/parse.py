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

                    print_message(console, transcript.label, chosen, message)
                elif format == "openai":
                    _line(message.to_openai())
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
        yield transcript, chosen, stream.message


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


def _feed(stream: hp.StreamParser, text: str, channel: Channel) -> None:
    stream.feed(text, channel=channel)


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


def _line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
