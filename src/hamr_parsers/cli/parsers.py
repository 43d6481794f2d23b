"""`hamr-parse parsers`: the registered families."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .console import command, out
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    import hamr_parsers as hp

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse parsers`

`hamr-parse parsers --format json | jq -r '.parsers[].id'`

An alias means the same family wherever a parser is named. Names that two servers use differently can be qualified:
`vllm:openai`.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parsers", epilog=EPILOG)(command(parsers))


def parsers(
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the list.")] = "text",
) -> int:
    """List the registered parsers, with the names that other servers give them and models that need them."""
    import hamr_parsers as hp

    families = sorted(hp.list_families(), key=lambda family: family.id)
    if format == "json":
        document = {"schema_version": SCHEMA_VERSION, "parsers": [_entry(family) for family in families]}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return 0
    from rich.text import Text

    from .console import print_table

    console = out()
    joint = "\n" if console.is_terminal else ", "
    rows: list[list[Text | str]] = []
    for family in families:
        aliases = {name: None for names in family.aliases.values() for name in names if name != family.id}
        rows.append(
            [
                Text(family.id, "bold cyan"),
                family.title,
                ", ".join(aliases),
                joint.join(model.rpartition("/")[2] for model in family.models[:2]),
            ]
        )
    print_table(console, ["id", "family", "also known as", "models"], rows)
    return 0


def _entry(family: hp.Family) -> dict[str, Any]:
    return {
        "id": family.id,
        "title": family.title,
        "aliases": {peer: list(names) for peer, names in family.aliases.items()},
        "models": list(family.models),
    }
