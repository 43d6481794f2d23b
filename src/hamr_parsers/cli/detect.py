"""`hamr-parse detect`: which family wrote a captured output, and what says so."""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HamrParsersError
from . import options as opt
from .console import command, out
from .inputs import Inputs
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    import hamr_parsers as hp

    from ..detect import Candidate, Marker
    from ..transcripts import Transcript

__all__ = ["register"]

MOST = 8  # markers shown

EPILOG = """
**Examples**

`hamr-parse detect answer.txt`

`hamr-parse detect capture.sse --tools tools.json`

`hamr-parse detect *.txt --format jsonl | jq -r '[.source, .family] | @tsv'`

Each family whose markers stand in the text reads it, and so do those that write no markers; the one that gets the calls
out and spells them as its template does is named, with the lines that choose it here and in servers. Where several
read the same, all are named. A text that nothing is known of has no family: there is no guess.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("detect", epilog=EPILOG)(command(detect))


def detect(
    files: opt.Files,
    tools: opt.Tools = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model's name; decides between families that read the text the same. [default: the capture's]",
            show_default=False,
            rich_help_panel="What was asked",
        ),
    ] = None,
    input: opt.Input = "auto",
    format: Annotated[
        Literal["text", "json", "jsonl"],
        typer.Option(help="How to print the answers.", rich_help_panel="Input and output"),
    ] = "text",
) -> int:
    """Tell the family of captured outputs, with the evidence and the lines to use."""
    known = opt.read_tools(tools) if tools is not None else None
    inputs = Inputs(files, None if input == "auto" else input)
    console = out() if format == "text" else None
    results: list[dict[str, Any]] = []
    with inputs.meter() as meter:
        for transcript in inputs.transcripts(meter):
            try:
                text, found = _detect(transcript, known, model)
            except HamrParsersError as error:
                inputs.refuse(f"{transcript.label}: {error}", meter)
                continue
            meter.advance(transcript.size * inputs.scale, transcript.source)
            if format == "json":
                results.append(_result(transcript, found))
                continue
            with meter.aside():
                if console is not None:
                    _print(console, transcript.label, text, found)
                else:
                    line = {"schema_version": SCHEMA_VERSION, **_result(transcript, found)}
                    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    if format == "json":
        document = {"schema_version": SCHEMA_VERSION, "results": results}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return 2 if inputs.failed else 0


def _detect(transcript: Transcript, tools: hp.ToolSet | None, model: str | None) -> tuple[str, hp.Detection]:
    """What the content tells; if nothing, what the reasoning does: calls end up there, too."""
    import hamr_parsers as hp

    content, reasoning = (
        "".join(text for channel, text in transcript.pieces if channel == wanted)
        for wanted in ("content", "reasoning")
    )
    offered: Any = tools if tools is not None else transcript.tools
    name = model or transcript.model
    found = hp.detect(content, offered, model=name)
    if found.family is None and reasoning:
        inside = hp.detect(reasoning, offered, model=name)
        if inside.family is not None:
            return reasoning, inside
    return content, found


def _result(transcript: Transcript, found: hp.Detection) -> dict[str, Any]:
    return {**transcript.origin, **found.to_dict()}


def _print(console: Console, label: str, text: str, found: hp.Detection) -> None:
    from rich.text import Text

    import hamr_parsers as hp

    from .console import print_rows, visible

    head = Text(visible(label), "bold").append("  ")
    best = found.best
    if best is None:
        head.append("no family", "bold yellow")
    else:
        head.append(best.family, "bold cyan").append(f"  {hp.get_family(best.family).title}", "dim")
    console.print(head)
    rows: list[tuple[str, Text]] = [("because", Text(visible(found.reason)))]
    markers = best.markers if best is not None else found.markers
    if markers:
        ends = [at for at, character in enumerate(text) if character == "\n"]
        lines = [_marker_line(marker, ends) for marker in markers[:MOST]]
        if len(markers) > MOST:
            lines.append(Text(f"and {len(markers) - MOST} more", "dim"))
        rows.append(("markers", Text("\n").join(lines)))
    if best is not None:
        rows.append(("reads", _reading(best)))
    if found.same_as:
        rows.append(("the same", Text(", ".join(found.same_as))))
    if best is not None and found.runner_up is not None:
        second = found.runner_up
        line = Text.assemble((second.family, "cyan"), ": ", _reading(second))
        differs = second.differs(best)
        line.append(f"; other {' and '.join(differs)}" if differs else "; the same is read")
        rows.append(("runner-up", line))
    rows.extend(_usage_rows(found))
    print_rows(console, rows)
    console.out("")


def _marker_line(marker: Marker, ends: list[int]) -> Text:
    from rich.text import Text

    from .console import visible

    lines = list(dict.fromkeys(bisect_right(ends, place - 1) + 1 for place in marker.places))
    where = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
    if marker.count > len(marker.places):
        where += ", ..."
    if marker.count > len(lines):
        where += f" ({marker.count} times)"
    line = Text.assemble((visible(" ".join(marker.text.split())), "green"), f"  {where}")
    if marker.name:
        line.append(f"  {marker.name}", "dim")
    elif marker.families:
        shown = ", ".join(marker.families[:MOST]) + (", ..." if len(marker.families) > MOST else "")
        line.append(f"  {shown}", "dim")
    return line


def _reading(candidate: Candidate) -> Text:
    from rich.text import Text

    from .console import visible

    names = [call.name for call in candidate.message.tool_calls]
    line = Text(f"{len(names)} call{'' if len(names) == 1 else 's'}")
    if names:
        line.append(f" ({visible(', '.join(names[:MOST]))}{', ...' if len(names) > MOST else ''})")
    if candidate.complete < candidate.calls:
        line.append(f", {candidate.calls - candidate.complete} cut off", "bold red")
    told = {code: candidate.diagnostics.count(code) for code in candidate.diagnostics}
    odd = ", ".join(code if n == 1 else f"{code} x{n}" for code, n in told.items())
    line.append(", nothing odd" if not odd else f", odd: {odd}", "" if not odd else "yellow")
    if candidate.left:
        line.append(
            f", leaves {candidate.left} marker{'' if candidate.left == 1 else 's'} in the text", "yellow"
        )
    return line.append(f", {candidate.spelling:.0%} of its template's spelling", "dim")


def _usage_rows(found: hp.Detection) -> list[tuple[str, Text]]:
    """What to write, a row for each tool."""
    from rich.text import Text

    rows = []
    for tool, line, note in found.usage():
        text = Text(line or "", "cyan")
        if note:
            text.append(f"{'  ' if line else ''}({note})", "dim")
        rows.append((tool, text))
    return rows
