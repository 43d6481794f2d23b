"""The examples in docs/ run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hamr_parsers as hp
from hamr_parsers.families import registry

from . import gateways_doc

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, in order."""
    return re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_the_table_of_gateways_names_every_fault_of_the_replay_gateway() -> None:
    document = gateways_doc.DOCUMENT.read_text(encoding="utf-8")
    assert gateways_doc.with_table(document) == document, "python -m tests.gateways_doc writes it anew"


def test_the_worked_example_of_a_family_of_one_s_own_runs() -> None:
    names: dict[str, Any] = {}
    try:
        for number, block in enumerate(blocks("own-family.md")):
            exec(compile(block, f"own-family.md, block {number}", "exec"), names)
    finally:
        if any(family.id == "acme" for family in hp.list_families()):
            registry._unregister("acme")
    assert "family" in names
