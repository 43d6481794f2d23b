"""Write what the package ships computed ahead of time: `python -m hamr_parsers.families.build`.

With `--check` nothing is written, and the exit code is 1 if anything in `prebuilt/` is not what the entries and
grammars say (CI runs that). See prebuilt.py for what there is.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.compiled import dump
from ..engine.grammar import Grammar, compile_grammar
from ..engine.watch import Opener, Openers, in_order, openers_of
from . import registry
from .entry import Family
from .prebuilt import FOLDER, FORMAT, INDEX, digest, source_digest, source_text

__all__ = ["build", "main"]


def build() -> dict[str, str]:
    """Every file of `prebuilt/`, by name, from the packaged entries and grammars (and nothing prebuilt)."""
    root = Path(__file__).parent
    files: dict[str, str] = {}
    families: dict[str, Any] = {}
    found: list[tuple[bool, list[Opener]]] = []
    for path in sorted(root.glob("*.toml"), key=lambda path: path.stem):
        if path.stem == "others":
            continue
        text = path.read_text(encoding="utf-8")
        entry = tomllib.loads(text)
        family = Family.from_entry(entry, path.name)
        known: dict[str, Any] = {"text": digest(text), "entry": family.checked()}
        name = "auto.lark" if family.kind == "auto" else family.grammar
        if name is not None:
            source = (root / name).read_text(encoding="utf-8")
            made = source_digest(source, registry.packaged_text)
            grammar = compile_grammar(source_text(source), f"build/{family.id}", registry.packaged_text)
            files[f"{name.removesuffix('.lark')}.json"] = _json({"digest": made, **dump(grammar)})
            openers = openers_of(family.id, grammar) if family.kind == "grammar" else []
            found.append((family.borrows, openers))
            known |= {"grammar": name, "source": made, "openers": openers}
        families[family.id] = known
    summaries = {}
    everything = in_order(found)
    for watched in (everything, [opener for opener in everything if opener.kind != "herald"]):
        summaries[digest(json.dumps(watched))] = Openers(watched, _never).summary
    index = {"version": FORMAT, "summaries": summaries, "families": families}
    files[INDEX] = _json(index)
    return files


def _never(family: str, forced: bool) -> Grammar:
    raise AssertionError(family)


def _json(data: Mapping[str, Any]) -> str:
    """One line a key, so that a change shows where it is."""
    lines = []
    for key, value in data.items():
        if key == "families":
            inner = ",\n".join(f" {json.dumps(k)}: {_compact(v)}" for k, v in value.items())
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(key)}: {_compact(value)}")
    return "{" + ",\n".join(lines) + "}\n"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    folder = Path(__file__).parent / FOLDER
    files = build()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    stale = sorted(name for name in {*files, *there} if files.get(name) != there.get(name))
    if "--check" in arguments:
        if stale:
            names = ", ".join(stale)
            sys.stdout.write(f"{FOLDER}: not what the families say: {names}; run this without --check\n")
        return 1 if stale else 0
    folder.mkdir(exist_ok=True)
    for name in stale:
        if name in files:
            (folder / name).write_text(files[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    sys.stdout.write(f"{FOLDER}: {len(files)} files, {len(stale)} of them new\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
