"""What the package ships computed ahead is what its files say; and where it is not, it is not used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hamr_parsers as hp
from hamr_parsers.engine.compiled import dump, load
from hamr_parsers.engine.grammar import Grammar
from hamr_parsers.families import build, registry
from hamr_parsers.families.dialects import dialect
from hamr_parsers.families.prebuilt import FOLDER, INDEX, Prebuilt, source_digest, source_text

ROOT = Path(build.__file__).parent
FAMILIES = [family for family in hp.list_families() if family.kind == "grammar"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def grammar(family: str) -> Grammar:
    found = dialect(registry.get_family(family)).grammar
    assert found is not None
    return found


def test_it_is_what_the_entries_and_grammars_say() -> None:
    files = build.build()
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / FOLDER).glob("*.json")}
    stale = [name for name in {*files, *there} if files.get(name) != there.get(name)]
    assert not stale, "run `python -m hamr_parsers.families.build`"


def test_a_loaded_grammar_is_the_dumped_one() -> None:
    made = grammar("hermes")
    again = load(json.loads(json.dumps(dump(made))), "test/loaded")
    assert again.tables == made.tables
    assert dump(again) == dump(made)


def test_a_changed_grammar_or_import_or_entry_is_noticed() -> None:
    fresh = Prebuilt(read)
    text = read("hermes.lark")
    assert fresh.grammar("hermes.lark") is not None
    assert fresh.openers("hermes", "hermes.lark") is not None
    assert fresh.openers("hermes", "mistral.lark") is None
    assert fresh.entry("hermes", read("hermes.toml")) is not None
    assert fresh.entry("hermes", read("hermes.toml") + "# changed\n") is None

    for file in ("hermes.lark", "blocks.lark"):
        changed = Prebuilt(lambda name, file=file: read(name) + ("// changed\n" if name == file else ""))
        assert changed.grammar("hermes.lark") is None
        assert changed.openers("hermes", "hermes.lark") is None
        assert changed.grammar("gemma4.lark") is not None
    assert source_digest(text, read) != source_digest(source_text(text), read)


@pytest.mark.parametrize("damage", ["", "{", '{"version": 0}', "[]"])
def test_an_index_that_cannot_be_used_is_none(damage: str) -> None:
    def damaged(name: str) -> str:
        if name.startswith(FOLDER):
            return damage
        return read(name)

    prebuilt = Prebuilt(damaged)
    assert prebuilt.entry("hermes", read("hermes.toml")) is None
    assert prebuilt.grammar("hermes.lark") is None
    assert prebuilt.summary([]) is None


def test_without_it_the_same_comes_out(tmp_path: Path) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import hamr_parsers as hp
text = 'Hi.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>[TOOL_CALLS]g[ARGS]{}'
message = hp.parse(text, parser="hermes", tools=[{"name": "f"}, {"name": "g"}], id_factory=lambda: "id")
print(message, "lark" in sys.modules)
"""
    import shutil

    shutil.copytree(ROOT.parent, tmp_path / "hamr_parsers", ignore=shutil.ignore_patterns("__pycache__"))

    def run() -> str:
        command = [sys.executable, "-c", program, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with_it = run()
    (tmp_path / "hamr_parsers" / "families" / FOLDER / INDEX).unlink()
    (tmp_path / "hamr_parsers" / "families" / FOLDER / "hermes.json").unlink()
    without = run()
    assert with_it.endswith("False\n")
    assert without.endswith("True\n")
    assert with_it.removesuffix("False\n") == without.removesuffix("True\n")
