"""`hamr-parse matrix`: the parser matrix as documents, from registry, grammars and fixtures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .console import command, complain
from .parse import SCHEMA_VERSION

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse matrix -o docs/matrix`

`hamr-parse matrix --check -o docs/matrix`

`hamr-parse matrix --format json | jq -c '.parsers[] | [.id, .fixtures.hold]'`

The fixtures are part of the repository, not of the installed package: run this in a clone, or name the folder. Every
record is run, so it takes a few seconds. Without `-o` the overview goes to standard output.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("matrix", epilog=EPILOG)(command(matrix))


def matrix(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write the documents there.", show_default=False),
    ] = None,
    fixtures: Annotated[Path, typer.Option(metavar="DIR", help="The fixtures.")] = Path("fixtures"),
    format: Annotated[Literal["md", "json"], typer.Option(help="Markdown documents, or one of JSON.")] = "md",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the documents in DIR are stale.")
    ] = False,
) -> int:
    """Write the parser matrix: an overview, a page a family, and Hamr's view."""
    from .. import matrix as docs

    if check and (output is None or format == "json"):
        raise typer.BadParameter("needs -o DIR, and Markdown", param_hint="--check")
    measured = docs.measure(fixtures)
    if format == "json":
        document = {"schema_version": SCHEMA_VERSION, "parsers": docs.data(measured)}
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        if output is None:
            sys.stdout.write(text)
        else:
            output.mkdir(parents=True, exist_ok=True)
            (output / "matrix.json").write_text(text, encoding="utf-8", newline="\n")
            complain(f"wrote {output / 'matrix.json'}")
        return 0
    built = docs.documents(measured)
    if output is None:
        sys.stdout.write(built["README.md"])
        return 0
    if check:
        old = docs.stale(output, built)
        if old:
            complain(f"stale in {output}: {', '.join(old)}; refresh with: hamr-parse matrix -o {output}")
        return 1 if old else 0
    changed = docs.write(output, built)
    complain(f"{output}: {len(built)} documents, {len(changed)} changed")
    return 0
