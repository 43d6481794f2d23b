"""No marker of the family is left in what a call was read from, unless the model wrote it there as data.

A marker in a name, a key, an argument or the content beside a call is a leak, but for those that the fixture's
hand-written expectation holds itself, that stand in code, or that belong to a start reported as `failed-start`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.families.dialects import marker_texts
from hamr_parsers.transcripts.cases import read_records

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FAMILIES = [family.id for family in hp.list_families() if family.kind == "grammar"]
_MARKUP = re.compile(r"[<>\[\]|｜◁▷]")
_CODE = re.compile(r"^ {0,3}```.*?(?:^ {0,3}```|\Z)|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def markers(family: str) -> list[str]:
    """Spellings that prose does not hold: with a bracket or bar in them, and not one or two characters."""
    return [text for text in marker_texts(family) if len(text.strip()) > 3 and _MARKUP.search(text)]


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("family", FAMILIES)
def test_no_marker_is_left_beside_or_in_a_call(family: str) -> None:
    known = markers(family)
    leaks = []
    for path in sorted((FIXTURES / family).glob("*.jsonl")):
        for record in read_records(path.read_text(encoding="utf-8"), str(path)):
            options: dict[str, Any] = {"parser": family, "tools": record.tools}
            if record.thinking is not None:
                options["starts_in_reasoning"] = record.thinking
            message = hp.parse(record.text, **options)
            if not message.tool_calls:
                continue
            failed = any(d.code == "failed-start" for d in message.diagnostics)
            wanted = json.dumps(record.expect.model_dump(), ensure_ascii=False)
            found = [call.name for call in message.tool_calls]
            for call in message.tool_calls:
                found += strings(json.loads(call.arguments))
            if not failed:
                found.append(_CODE.sub("", message.content or ""))
            for text in found:
                for marker in known:
                    if marker in text and json.dumps(marker, ensure_ascii=False)[1:-1] not in wanted:
                        leaks.append(f"{record.id}: {marker!r} in {text[:120]!r}")
    assert not leaks
