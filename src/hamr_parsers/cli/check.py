"""`hamr-parse check`: case records, one-shot and in chunks, judged by the rules of `transcripts.cases`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UnknownParserError
from ..transcripts import TranscriptError, decode_text
from . import options as opt
from .console import command, complain, err_is_terminal, out
from .inputs import STDIN, Meter, read_bytes
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from ..transcripts.cases import CaseRecord

__all__ = ["register"]

MANY_RECORDS = 500

EPILOG = """
**Examples**

`hamr-parse check fixtures`

`hamr-parse check corpus.jsonl --parser hermes,mistral --no-opinion --show 50`

A record is one JSON object a line: `id`, `parser`, `text`, `expect`, and optionally `tools`, `thinking`,
`chunks` and others (CONTRIBUTING.md). Each is parsed in one piece, in the chunks that it prescribes, and in
random chunks; the results must also be the same.
"""


@dataclass(slots=True)
class Tally:
    """How one family's records fared."""

    records: int = 0
    hold: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # record, how it was fed, why


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog=EPILOG)(command(check))


def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files of case records, folders (their *.jsonl), or `-`.",
            show_default=False,
        ),
    ],
    parser: Annotated[
        str | None,
        typer.Option(
            metavar="ID[,ID]", help="Only records of these families.", autocompletion=opt.complete_parser
        ),
    ] = None,
    no_opinion: Annotated[
        bool, typer.Option("--no-opinion", help="Leave out records that state one project's opinion.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random chunks.")] = 0,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many failures to list.")] = 10,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the result.")] = "text",
) -> int:
    """Run case records and judge each parse; exit with 1 if one fails."""
    import hamr_parsers as hp

    from ..transcripts.conform import run_record

    only = {hp.get_family(name.strip()).id for name in parser.split(",")} if parser else None
    records, unread = _read(paths)
    tallies: dict[str, Tally] = {}
    skipped: dict[str, int] = {}
    total = len(records) if err_is_terminal() and len(records) >= MANY_RECORDS else None
    with Meter(total, "checking") as meter:
        for record in records:
            meter.advance(1)
            if no_opinion and record.opinion:
                continue
            try:
                family = hp.get_family(record.parser).id
            except UnknownParserError:
                if only is None:
                    skipped[record.parser] = skipped.get(record.parser, 0) + 1
                continue
            if only is not None and family not in only:
                continue
            tally = tallies.setdefault(family, Tally())
            tally.records += 1
            failure = run_record(record, seed)
            if failure is None:
                tally.hold += 1
            else:
                tally.failures.append((record.id, *failure))
    failures = [(family, *f) for family, tally in sorted(tallies.items()) for f in tally.failures]
    if format == "json":
        _write_json(tallies, skipped, failures)
    elif tallies or skipped:
        _print_text(tallies, skipped, failures, show)
    if not tallies and not unread:
        complain("no record of a registered family was checked")
        return 2
    return 2 if unread else 1 if failures else 0


def _read(paths: list[str]) -> tuple[list[CaseRecord], int]:
    """All records of all paths, and how many files could not be read."""
    from ..transcripts.cases import read_records

    records: list[CaseRecord] = []
    unread = 0
    for path in paths:
        files = [path]
        if path != STDIN and Path(path).is_dir():
            files = [str(p) for p in sorted(Path(path).rglob("*.jsonl"))]
            if not files:
                complain(f"{path}: no *.jsonl file in it")
                unread += 1
        for name in files:
            try:
                records.extend(read_records(decode_text(read_bytes(name), name), name))
            except TranscriptError as error:
                complain(str(error))
                unread += 1
    return records, unread


def _write_json(
    tallies: dict[str, Tally], skipped: dict[str, int], failures: list[tuple[str, str, str, str]]
) -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "families": {
            family: {"records": tally.records, "hold": tally.hold}
            for family, tally in sorted(tallies.items())
        },
        "skipped": dict(sorted(skipped.items())),
        "failures": [
            {"parser": family, "record": record, "fed": how, "reason": why}
            for family, record, how, why in failures
        ],
    }
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _print_text(
    tallies: dict[str, Tally], skipped: dict[str, int], failures: list[tuple[str, str, str, str]], show: int
) -> None:
    from rich.text import Text

    from .console import print_table, visible

    console = out()
    counts = [(family, tally.records, tally.hold) for family, tally in sorted(tallies.items())]
    if len(counts) != 1:
        counts.append(("all", sum(c[1] for c in counts), sum(c[2] for c in counts)))
    rows: list[list[Text | str]] = [
        [name, str(records), str(hold), Text(str(records - hold), "green" if records == hold else "bold red")]
        for name, records, hold in counts
    ]
    print_table(console, ["family", "records", "hold", "failed"], rows)
    for family, record, how, why in failures[:show]:
        head = Text.assemble(("FAILED ", "bold red"), record, (f" ({family}, {how}): ", "dim"))
        console.print(head.append(visible(why)), soft_wrap=True)
    if len(failures) > show:
        console.print(Text(f"... and {len(failures) - show} more (--show N)", "dim"))
    if skipped:
        count = sum(skipped.values())
        complain(
            f"{count} records skipped, their families are not registered: "
            + ", ".join(f"{name} {n}" for name, n in sorted(skipped.items()))
        )
