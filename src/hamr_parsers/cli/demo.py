"""`hamr-parse demo`: shows what the package is for, on transcripts that ship with it.

On a terminal each transcript plays in two columns, the raw chunks on the left and what the events tell on the
right, both growing together. Elsewhere the same is printed as plain lines, at once.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import HamrParsersError
from .console import command, out, visible
from .options import complete_parser

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    import hamr_parsers as hp

    from ..transcripts.cases import CaseRecord

__all__ = ["register"]

SECONDS = 16.0  # for all families together, at speed 1
SECONDS_EACH = 4.0
PAUSE = 0.5  # after each family, to read its end
NARROW = 72  # columns; below that two columns are no good

INTRO = "Local models write their tool calls as text, each in its family's dialect, and not always well."
SIDES = "Left is what such a model streams; right is what your program gets, chunk by chunk."
PARTS = "Here is what such models streamed, and what a program gets from it."
NEXT = (
    ("hamr-parse parse FILE", "your own capture: raw text, SSE, JSON lines, a chat response"),
    ("hamr-parse events FILE", "what each chunk caused"),
    ("hamr-parse resolve MODEL", "which parser a model gets, and why"),
    ("hamr-parse parsers", "all families"),
    ("import hamr_parsers", "parse(text, model=...), StreamParser(model=...).feed(chunk)"),
)
_MARKER = re.compile(r"</?[\w|]+(?:=[^>\n]*)?>|<\|\w+\|>|\[/?[A-Z_]{3,}\]")


class NoDemoError(HamrParsersError):
    """A family was named that ships no demo."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(command(demo))


def demo(
    families: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...",
            help="Play only these families.",
            autocompletion=complete_parser,
            show_default=False,
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.1, help="Play so many times faster.")] = 1.0,
    no_delay: Annotated[bool, typer.Option("--no-delay", help="Do not wait between chunks.")] = False,
) -> int:
    """Start here: play one answer of each family, chunk by chunk. Needs no network."""
    records = _records(families)
    console = out()
    live = console.is_terminal and console.width >= NARROW
    console.print(INTRO, style="bold" if console.is_terminal else None)
    console.print(SIDES if live else PARTS, style="bold" if console.is_terminal else None)
    if live:
        each = 0.0 if no_delay else min(SECONDS_EACH, SECONDS / len(records)) / speed
        for family, record in records:
            _play(console, family, record, each)
    else:
        for family, record in records:
            _print(console, family, record)
    console.print("\nNext:", style="bold" if console.is_terminal else None)
    for what, why in NEXT:
        console.print(f"  {what:<25} {why}", soft_wrap=True)
    return 0


def _records(names: list[str] | None) -> list[tuple[hp.Family, CaseRecord]]:
    import hamr_parsers as hp

    from ..transcripts.demos import demo_record

    if not names:
        found = [(family, demo_record(family.id)) for family in hp.list_families()]
        return [(family, record) for family, record in found if record is not None]
    records = []
    for family in map(hp.get_family, names):
        record = demo_record(family.id)
        if record is None:
            raise NoDemoError(f"no demo of {family.id!r} ships with the package")
        records.append((family, record))
    return records


def _stream(record: CaseRecord) -> hp.StreamParser:
    import hamr_parsers as hp

    return hp.StreamParser(parser=record.parser, tools=record.tools, starts_in_reasoning=record.thinking)


# -- what the events tell, as it grows -------------------------------------------------------------------------


@dataclass(slots=True)
class Block:
    """One thing on the right: a label, a text that grows, and a last word."""

    kind: str
    label: str
    text: str = ""
    word: str = ""


@dataclass(slots=True)
class Told:
    """What the events so far tell."""

    blocks: list[Block] = field(default_factory=list)
    calls: dict[int, Block] = field(default_factory=dict)

    def take(self, event: hp.Event) -> None:
        """Follow one event."""
        if event.type == "content_delta":
            self._grow("content", event.text)
        elif event.type == "reasoning_delta":
            self._grow("reasoning", event.text)
        elif event.type == "tool_call_start":
            self.calls[event.index] = Block("call", f"call {event.index}  {event.name}")
            self.blocks.append(self.calls[event.index])
        elif event.type == "tool_call_delta":
            self.calls[event.index].text += event.arguments
        elif event.type == "tool_call_end":
            complete = event.tool_call.complete
            self.calls[event.index].word = "complete" if complete else "cut off: arguments_dict() refuses it"
        elif event.type == "diagnostic":
            self.blocks.append(Block("odd", event.code, event.message))

    def _grow(self, kind: str, text: str) -> None:
        if not self.blocks or self.blocks[-1].kind != kind:
            self.blocks.append(Block(kind, kind))
        self.blocks[-1].text += text

    def lines(self) -> list[Text]:
        """For a terminal."""
        from rich.text import Text

        lines = []
        for block in self.blocks:
            text = visible(block.text.strip("\n"))
            if block.kind == "call":
                line = Text.assemble((block.label, "bold green"), "\n", (text, "cyan"))
                if block.word:
                    line.append(f"\n{block.word}", "green" if block.word == "complete" else "bold red")
            elif block.kind == "odd":
                line = Text.assemble((block.label, "yellow"), (f"  {text}", "dim"))
            elif not text.strip():
                continue
            else:
                style = "dim italic" if block.kind == "reasoning" else ""
                line = Text.assemble((block.label, "bold"), "\n", (text, style))
            lines.append(line)
        return lines


# -- on a terminal ---------------------------------------------------------------------------------------------


def _play(console: Console, family: hp.Family, record: CaseRecord, seconds: float) -> None:
    from rich.live import Live
    from rich.rule import Rule
    from rich.text import Text

    from ..transcripts.demos import token_like

    console.print()
    console.print(
        Rule(Text.assemble((family.id, "bold cyan"), f"  {record.model}"), align="left", style="dim")
    )
    console.print(Text(record.note or "", "italic"))
    console.print()
    pieces = token_like(record.text)
    stream, told, raw = _stream(record), Told(), ""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        start = time.monotonic()
        for number, piece in enumerate(pieces, 1):
            raw += piece
            for event in stream.feed(piece):
                told.take(event)
            if seconds:
                live.update(_columns(raw, told, console.height - 2), refresh=True)
                time.sleep(max(0.0, start + seconds * number / len(pieces) - time.monotonic()))
        for event in stream.close():
            told.take(event)
        live.update(_columns(raw, told, None), refresh=True)
    if seconds:
        time.sleep(PAUSE)


def _columns(raw: str, told: Told, height: int | None) -> RenderableType:
    """Both sides; while it plays, only so many of the last lines that they fit the screen."""
    from rich.table import Table
    from rich.text import Text

    left = Text(visible(raw), no_wrap=False)
    left.highlight_regex(_MARKER, "magenta")
    right = Text("\n").join(told.lines())
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    if height is None:
        table.add_row(left, right)
        return table
    table.add_row(_Tail(left, height), _Tail(right, height))
    return table


class _Tail:
    """The last lines of a text, as many as fit."""

    def __init__(self, text: Text, height: int) -> None:
        self.text = text
        self.height = height

    def __rich_console__(self, console: Console, options: object) -> list[RenderableType]:
        lines = self.text.wrap(console, options.max_width)  # type: ignore[attr-defined]
        return list(lines[-self.height :])


# -- elsewhere -------------------------------------------------------------------------------------------------


def _print(console: Console, family: hp.Family, record: CaseRecord) -> None:
    from ..transcripts.demos import token_like
    from .console import print_rows
    from .show import message_rows

    pieces = token_like(record.text)
    stream = _stream(record)
    count = sum(len(stream.feed(piece)) for piece in pieces)
    count += len(stream.close())
    console.print(f"\n{family.id}  {record.model}", style="bold" if console.is_terminal else None)
    console.print(record.note or "", soft_wrap=not console.is_terminal)
    console.print(f"\nthe model wrote, in {len(pieces)} chunks:")
    for line in visible(record.text).split("\n"):
        console.print(f"  | {line}", soft_wrap=True)
    console.print(f"the program got, in {count} events:")
    print_rows(console, message_rows(stream.message))
