"""A compiled grammar as plain JSON data, and back.

Theory. Building a table with lark takes tens of milliseconds, which is all that a program notices of it; so the
packaged families ship their tables. `dump` gives a grammar as lists and strings, `load` makes the same grammar
of them without importing lark. Rows of the table that are equal are written once, and symbols and rules are
numbered: a shift is its target, a reduction the rule's number below zero. Marker patterns are kept as regexes
and parsed when an automaton is first made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .grammar import GRAMMARS, Grammar, Markers, Rule, Tables

__all__ = ["VERSION", "dump", "load"]

VERSION: Final = 2
"""Of the data's shape and of what the compiler makes of a grammar; data of another version is not read."""


def dump(grammar: Grammar) -> dict[str, Any]:
    """A grammar as JSON data."""
    symbols: dict[str, int] = {}
    rules: dict[Rule, int] = {}
    rows: dict[tuple[int, ...], int] = {}
    states: list[int] = []
    for actions in grammar.tables.actions:
        row: list[int] = []
        for symbol, action in actions.items():
            number = action if isinstance(action, int) else ~rules.setdefault(action, len(rules))
            row += (symbols.setdefault(symbol, len(symbols)), number)
        states.append(rows.setdefault(tuple(row), len(rows)))
    return {
        "version": VERSION,
        "symbols": list(symbols),
        "rules": [[r.origin, r.size, r.means] for r in rules],
        "rows": [list(row) for row in rows],
        "states": states,
        "starts": {name: list(states) for name, states in grammar.tables.starts.items()},
        "markers": {name: list(source) for name, source in grammar.markers.sources.items()},
        "literals": grammar.literals,
        "until": {name: list(markers) for name, markers in grammar.until.items()},
        "openers": sorted(grammar.openers),
        "bare_openers": sorted(grammar.bare_openers),
        "terminals": sorted(grammar.terminals),
        "spellings": grammar.spellings,
        **({"entities": grammar.entities} if grammar.entities else {}),
    }


def load(data: Mapping[str, Any], key: str) -> Grammar:
    """The grammar that `dump` wrote down, under its key.

    Raises:
        ValueError: the data is of another version.
    """
    if data.get("version") != VERSION:
        raise ValueError(f"compiled grammar {key}: version {data.get('version')}, not {VERSION}")
    symbols = data["symbols"]
    rules = [Rule(origin, size, means) for origin, size, means in data["rules"]]
    rows: list[dict[str, int | Rule]] = [
        {
            symbols[row[i]]: row[i + 1] if row[i + 1] >= 0 else rules[~row[i + 1]]
            for i in range(0, len(row), 2)
        }
        for row in data["rows"]
    ]
    starts = {name: (first, end) for name, (first, end) in data["starts"].items()}
    grammar = Grammar(
        key=key,
        tables=Tables([rows[i] for i in data["states"]], starts),
        markers=Markers({name: (regexp, flags) for name, (regexp, flags) in data["markers"].items()}),
        literals=dict(data["literals"]),
        until={name: tuple(markers) for name, markers in data["until"].items()},
        openers=frozenset(data["openers"]),
        bare_openers=frozenset(data["bare_openers"]),
        terminals=frozenset(data["terminals"]),
        spellings=dict(data["spellings"]),
        entities=dict(data.get("entities", {})),
    )
    GRAMMARS[key] = grammar
    return grammar
