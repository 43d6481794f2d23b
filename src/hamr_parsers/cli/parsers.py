"""`hamr-parse parsers`: the matrix of the registered families."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .console import command, complain, out
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    import hamr_parsers as hp

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse parsers`

`hamr-parse parsers glm`

`hamr-parse parsers Qwen/Qwen3-Coder-30B-A3B-Instruct`

`hamr-parse parsers --json | jq -r '.parsers[].id'`

A word shows the families that have it in their id, title, aliases, models or markers; a model's name also the family
that it gets. Several words must all be there. An alias means the same family wherever a parser is named. Names that two
servers use differently can be qualified: `vllm:openai`.
"""

WIDE = 150  # columns of a terminal from which on the matrix is a table
MODELS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parsers", epilog=EPILOG)(command(parsers))


def parsers(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Only the families that this says something about."),
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the matrix.")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
) -> int:
    """Show the registered parsers: what they read, who writes it, what servers call them."""
    import hamr_parsers as hp

    families = _filter(hp.list_families(), words or [])
    if format == "json" or as_json:
        document = {"schema_version": SCHEMA_VERSION, "parsers": [_entry(family) for family in families]}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return 0
    if not families:
        complain(f"no family for {' '.join(words or [])!r}; `hamr-parse parsers` lists all of them")
        return 0
    _print(out(), families)
    return 0


def _filter(families: Sequence[hp.Family], words: Sequence[str]) -> list[hp.Family]:
    from ..families.entry import normal_name
    from ..select import resolve_parser

    kept = list(families)
    for word in words:
        wanted = normal_name(word)
        chosen = resolve_parser(model=word)
        named = {chosen.parser} if chosen.source == "model" else set()
        kept = [f for f in kept if f.id in named or any(wanted in normal_name(t) for t in _texts(f))]
    return kept


def _texts(family: hp.Family) -> list[str]:
    names = [f"{peer}:{name}" for peer, names in family.aliases.items() for name in names]
    return [family.id, family.title, *names, *family.models, *family.special_tokens]


def _others(family: hp.Family) -> list[str]:
    """The family's other names, each once."""
    return list(dict.fromkeys(n for names in family.aliases.values() for n in names if n != family.id))


def _print(console: Console, families: Sequence[hp.Family]) -> None:
    from rich.text import Text

    from ..families.facts import facts
    from .console import print_rows, print_table

    plain = not console.is_terminal
    if plain or console.width >= WIDE:
        joint = ", " if plain else "\n"
        rows: list[list[Text | str]] = []
        for family in families:
            known = facts(family)
            rows.append(
                [
                    Text(family.id, "bold cyan"),
                    family.title,
                    ", ".join(_others(family)),
                    Text(_selected(family), "" if _selected(family) != "-" else "dim"),
                    known.reasoning,
                    known.ids,
                    joint.join(model.rpartition("/")[2] for model in family.models[:MODELS]),
                    Text(" ".join(known.shape.split()), "green"),
                ]
            )
        columns = [
            "id",
            "family",
            "also known as",
            "told by",
            "reasoning",
            "ids",
            "models",
            "a call looks like",
        ]
        print_table(console, columns, rows)
    else:
        for family in families:
            known = facts(family)
            console.print(Text.assemble((family.id, "bold cyan"), "  ", family.title))
            lines = [
                ("looks like", Text(" ".join(known.shape.split()), "green")),
                ("also", Text(", ".join(_others(family)))),
                ("models", Text(", ".join(m.rpartition("/")[2] for m in family.models[:MODELS]))),
                ("told by", Text(_selected(family))),
                ("reasoning", Text(known.reasoning)),
                ("ids", Text(known.ids)),
            ]
            print_rows(console, [line for line in lines if line[1].plain], label_style="dim")


def _selected(family: hp.Family) -> str:
    """What tells the family besides being named."""
    name = bool(family.name_patterns or family.base_patterns)
    kinds = [word for word, there in (("name", name), ("template", bool(family.template_markers))) if there]
    return ", ".join(kinds) or "-"


def _entry(family: hp.Family) -> dict[str, Any]:
    from ..families.facts import facts

    known = facts(family)
    return {
        "id": family.id,
        "title": family.title,
        "kind": family.kind,
        "aliases": {peer: list(names) for peer, names in family.aliases.items()},
        "reasoning_parsers": dict(family.reasoning_parsers),
        "models": list(family.models),
        "shape": known.shape,
        "special_tokens": list(family.special_tokens),
        "told_by_name": bool(family.name_patterns or family.base_patterns),
        "told_by_template": bool(family.template_markers),
        "reasoning": family.reasoning,
        "always_reasoning": list(family.always_reasoning),
        "ids": known.ids,
        "bare": family.bare,
        "source": family.source,
    }
