"""`hamr-parse events`: what each chunk caused, as a stream would give it."""

from __future__ import annotations

import json
import random
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HamrParsersError
from ..transcripts import cut
from . import options as opt
from .console import command, out
from .inputs import Inputs
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    import hamr_parsers as hp

__all__ = ["register"]

TOKEN = 4  # characters; about what one token of a model brings
CLOSE = "(end of text)"

EPILOG = """
**Examples**

`hamr-parse events answer.txt --parser qwen3_coder`

`hamr-parse events capture.sse --format jsonl | jq -c 'select(.events[].type == "diagnostic")'`

Captured chunks are fed as they were captured; raw text is fed in pieces of 4 characters. In `jsonl` each line is
one chunk with the events that it caused; the last line of a transcript has `"chunk": null`: the end of the text.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events", epilog=EPILOG)(command(events))


def events(
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
        Literal["text", "jsonl"],
        typer.Option(help="How to print the events.", rich_help_panel="Input and output"),
    ] = "text",
    chunk: opt.Chunk = None,
) -> int:
    """Show which events each chunk of a stream caused."""
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
    rng = random.Random(0)
    with inputs.meter() as meter:
        for transcript in inputs.transcripts(meter):
            try:
                stream, chosen = setup.start(transcript)
            except HamrParsersError as error:
                inputs.refuse(f"{transcript.label}: {error}", meter)
                continue
            captured = transcript.kind in ("sse", "jsonl") or len(transcript.pieces) > 1
            steps: list[tuple[str | None, str, list[hp.Event]]] = []
            for channel, text in cut(transcript.pieces, size or (None if captured else TOKEN), rng):
                steps.append((channel, text, stream.feed(text, channel=channel)))
                meter.advance(len(text) * inputs.scale, transcript.source)
            end = stream.close(finish_reason=setup.finish_reason or transcript.finish_reason)
            steps.append((None, "", end))
            with meter.aside():
                if console is None:
                    _write_lines(transcript.source, transcript.record_id, steps)
                else:
                    from .show import heading

                    _print_table(console, heading(transcript.label, chosen), steps)
    return 2 if inputs.failed else 0


def _write_lines(
    source: str, record: str | None, steps: list[tuple[str | None, str, list[hp.Event]]]
) -> None:
    for number, (channel, text, caused) in enumerate(steps):
        line: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "source": source,
            "record": record,
            "chunk": None if channel is None else number,
            "channel": channel,
            "text": text,
            "events": [event.to_dict() for event in caused],
        }
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _print_table(console: Console, title: Text, steps: list[tuple[str | None, str, list[hp.Event]]]) -> None:
    from rich.text import Text

    from .console import print_table, visible
    from .show import event_line, quoted

    rows: list[list[Text | str]] = []
    for number, (channel, text, caused) in enumerate(steps):
        chunk = Text(visible(quoted(text)), "dim italic" if channel == "reasoning" else "")
        first: list[Text | str] = [str(number), chunk] if channel is not None else ["", Text(CLOSE, "dim")]
        lines = [event_line(event) for event in caused]
        if not lines:
            rows.append([*first, Text("", "dim")])
        for line in lines:
            rows.append([*first, line])
            first = ["", ""]
    console.print(title)
    print_table(console, ["#", "chunk", "events"], rows)
    console.out("")
