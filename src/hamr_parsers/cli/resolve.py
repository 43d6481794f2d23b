"""`hamr-parse resolve`: which parser a model gets, and why."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..transcripts import decode_text
from . import options as opt
from .console import command, out
from .inputs import STDIN, read_bytes
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    import hamr_parsers as hp

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse resolve Qwen/Qwen3-Coder-30B-A3B-Instruct devstral:24b`

`hamr-parse resolve --chat-template chat_template.jinja`

`ollama list | awk 'NR>1 {print $1}' | hamr-parse resolve -`

The order is: the parser that is named, the chat template's markers, the model's name, else `auto`, which commits
to the family whose opening marker is written.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resolve", epilog=EPILOG)(command(resolve))


def resolve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="Model names; `-` reads them from standard input, one a line."
        ),
    ] = None,
    chat_template: opt.ChatTemplate = None,
    response_template: opt.ResponseTemplate = None,
    parser: opt.ParserName = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the answer.")] = "text",
) -> int:
    """Say which parser a model gets, and why."""
    import hamr_parsers as hp

    names: list[str | None] = []
    for name in models or []:
        if name == STDIN:
            text = decode_text(read_bytes(STDIN), STDIN)
            names.extend(line.strip() for line in text.splitlines() if line.strip())
        else:
            names.append(name)
    if not names:
        if chat_template is None and response_template is None and parser is None:
            raise typer.BadParameter(
                "name a model, or give --chat-template, --response-template or --parser", param_hint="MODEL"
            )
        names.append(None)
    template = opt.read_text(chat_template) if chat_template is not None else None
    described = opt.read_text(response_template) if response_template is not None else None
    evidence: dict[str, Any] = {
        "parser": parser,
        "chat_template": template,
        "response_template": described,
    }
    with opt.naming(response_template):
        found = [(name, hp.resolve_parser(model=name, **evidence)) for name in names]
    if format == "json":
        document = {
            "schema_version": SCHEMA_VERSION,
            "resolved": [
                {"model": name, "parser": r.parser, "source": r.source, "reason": r.reason}
                for name, r in found
            ],
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return 0
    _print(found)
    return 0


def _print(found: list[tuple[str | None, hp.Resolution]]) -> None:
    from rich.text import Text

    from .console import print_table, visible

    rows: list[list[Text | str]] = []
    for name, r in found:
        why = Text(visible(r.reason))
        for conflict in r.conflicts:
            why.append(visible(f"\nbut {conflict}"), "yellow")
        rows.append([visible(name or "-"), Text(r.parser, "bold cyan"), r.source, why])
    print_table(out(), ["model", "parser", "chosen by", "why"], rows)
