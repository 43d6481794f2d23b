"""The case records in fixtures/: each must hold in one piece, by characters and in random pieces."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import hamr_parsers as hp
from hamr_parsers.transcripts.cases import judge, read_records

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
PATHS = sorted(FIXTURES.glob("*/*.jsonl"))


def _records() -> list[Any]:
    found = []
    for path in PATHS:
        for record in read_records(path.read_text(encoding="utf-8"), str(path)):
            found.append(pytest.param(record, id=record.id))
    return found


RECORDS = _records()


def _options(record: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"parser": record.parser, "tools": record.tools}
    if record.thinking is not None:
        options["starts_in_reasoning"] = record.thinking
    return options


def _stream(record: Any, pieces: list[str]) -> Any:
    parser = hp.StreamParser(**_options(record))
    for piece in pieces:
        parser.feed(piece)
    parser.close()
    return parser.message


@pytest.mark.parametrize("record", RECORDS)
def test_record_holds_in_one_piece(record: Any) -> None:
    assert judge(record, hp.parse(record.text, **_options(record))) is None


@pytest.mark.parametrize("record", RECORDS)
def test_record_holds_by_single_characters(record: Any) -> None:
    assert judge(record, _stream(record, list(record.text))) is None


@pytest.mark.parametrize("record", RECORDS)
def test_record_holds_in_random_pieces(record: Any) -> None:
    rng = random.Random(record.id)
    for _ in range(3):
        pieces = []
        at = 0
        while at < len(record.text):
            size = rng.choice((1, 2, 3, 5, 8, 20))
            pieces.append(record.text[at : at + size])
            at += size
        assert judge(record, _stream(record, pieces)) is None, pieces


@pytest.mark.parametrize("path", PATHS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_records_are_of_the_folder_s_family_and_their_ids_differ(path: Path) -> None:
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert {record["parser"] for record in records} == {path.parent.name}
    assert len({record["id"] for record in records}) == len(records)


def test_every_family_with_a_grammar_has_fixtures() -> None:
    have = {path.parent.name for path in PATHS}
    missing = [
        family.id for family in hp.list_families() if family.kind == "grammar" and family.id not in have
    ]
    assert not missing


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/session.txt")), ids=lambda p: p.parent.name)
def test_session_is_read_without_a_cut_call(path: Path, tools: list[dict[str, Any]]) -> None:
    message = hp.parse(path.read_text(encoding="utf-8"), parser=path.parent.name, tools=tools)
    assert len(message.tool_calls) >= 2
    assert all(call.complete for call in message.tool_calls)
    assert message.finish_reason == "tool_calls"
