"""The seven contracts, as properties of every registered family.

The texts come from the fuzzer's building blocks (`tests/fuzz`) through hypothesis, so a failure arrives shrunk
and as a `Case` to paste. Each test is named after the rule that it would break. What a long run looks for with
more inputs: `python -m tests.fuzz`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hamr_parsers as hp

from .fuzz import blocks
from .fuzz.case import Case, any_case
from .fuzz.check import check, check_streams, time_out
from .fuzz.draw import HypothesisDraw, RandomDraw
from .fuzz.regressions import REGRESSIONS

FAMILIES = blocks.families()
# Families share the engine, so what each adds is its grammar: all together get so many examples of a property.
EXAMPLES = max(5, 400 // len(FAMILIES))

family = pytest.mark.parametrize("family", [*FAMILIES, "auto"])
grammar_family = pytest.mark.parametrize("family", FAMILIES)


def _property(*rules: str, examples: int = EXAMPLES, draw_case: Callable[[Any, str], Case] = any_case) -> Any:
    """A test that checks these rules on cases of the family that it gets."""

    def decorate(function: Callable[..., None]) -> Callable[[str], None]:
        @family
        def test(family: str) -> None:
            @st.composite
            def cases(draw: Any) -> Case:
                return draw_case(HypothesisDraw(draw), family)

            @settings(max_examples=examples)
            @given(cases())
            def holds(case: Case) -> None:
                check(case, rules)

            holds()

        test.__name__ = function.__name__
        test.__doc__ = function.__doc__
        return test

    return decorate


# --- what was found once -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "case"), REGRESSIONS, ids=[what for what, _ in REGRESSIONS])
def test_a_find_of_the_fuzzer_stays_mended(what: str, case: Case) -> None:
    check(case)


# --- 1. chunk invariance -------------------------------------------------------------------------------------


@_property("cutting")
def test_1_events_and_message_are_the_same_in_every_cutting() -> None:
    """Characters, two halves at every position, random pieces, bytes cut inside a character, `parse()`."""


@_property("copies", "snapshot")
def test_1_copies_go_on_alike_and_a_snapshot_disturbs_nothing() -> None:
    """`copy()`, pickle and deepcopy in the middle of the stream; `message` before the close."""


# --- 2. nothing lost -----------------------------------------------------------------------------------------


@_property("spans", "trace")
def test_2_spans_tile_the_text_and_content_is_what_they_hold() -> None:
    """And tracing changes no event."""


# --- 3. prompt -----------------------------------------------------------------------------------------------


@_property("prompt")
def test_3_nothing_is_held_longer_than_max_held() -> None:
    """With small `max_held`: the delay of each character of content and reasoning."""


@family
def test_3_plain_content_is_never_held(family: str) -> None:
    for seed in range(3):
        check_streams(family, blocks.plain_text(RandomDraw(seed), 60))


@grammar_family
def test_3_content_with_beginnings_of_markers_is_held_for_a_marker_s_length(family: str) -> None:
    for seed in range(5):
        check_streams(family, blocks.nearly_plain_text(RandomDraw(seed), blocks.vocabulary(family), 60))


OPENINGS = [
    pytest.param(before, record, id=f"{record['id']}-{len(before)}")
    for f in FAMILIES
    for before, record in blocks.openings(f)
]


@pytest.mark.parametrize(("before", "record"), OPENINGS)
def test_3_a_string_value_streams_as_it_arrives(before: str, record: dict[str, Any]) -> None:
    options = {} if record["thinking"] is None else {"starts_in_reasoning": record["thinking"]}
    text = " and more words of it" * 20
    check_streams(record["parser"], text, before, tools=record["tools"], **options)


# --- 4. valid JSON, honestly ---------------------------------------------------------------------------------


@_property("json")
def test_4_arguments_are_json_objects_and_deltas_only_append() -> None:
    """And `complete`, `streamed`, `finish_reason` and `to_openai()` tell the truth about cut calls."""


@grammar_family
def test_4_a_cut_call_is_a_prefix_and_never_complete(family: str) -> None:
    """Each fixture cut at every position: complete calls are those of the whole text, in order."""
    for record in blocks.fixtures(family):
        if not record["expect"].get("calls") or len(record["text"]) > 300:
            continue
        if "marker_in_value" in record["tags"]:
            continue  # cut behind a closer that is data, nothing shows that it is
        options: dict[str, Any] = {"parser": family, "tools": record["tools"]}
        if record["thinking"] is not None:
            options["starts_in_reasoning"] = record["thinking"]
        whole = [(c.name, c.arguments) for c in hp.parse(record["text"], **options).tool_calls]
        for at in range(1 + len(record["id"]) % 5, len(record["text"]), 5):
            cut = hp.parse(record["text"][:at], finish_reason="length", **options)
            done = [(c.name, c.arguments) for c in cut.tool_calls if c.complete]
            rest = [c for c in cut.tool_calls if not c.complete]
            where = f"{record['id']} cut at {at}"
            assert done == whole[: len(done)], where
            assert len(rest) <= 1, where
            assert not rest or (cut.finish_reason == "length" and not cut.tool_calls[-1].complete), where


@family
def test_4_well_formed_json_passes_through_byte_for_byte(family: str) -> None:
    if not blocks.writes_json(family):
        pytest.skip("the family does not write arguments as JSON")
    vocabulary = blocks.vocabulary(family)
    for seed in range(max(20, 1000 // len(FAMILIES))):
        draw = RandomDraw(f"bytes {family} {seed}")
        args = blocks.dump(draw, blocks.arguments(draw, vocabulary, 3))
        text = blocks.written(family, [("get_weather", {"city": "x"})], json_as=args)
        message = hp.parse(text, parser=family, tools=blocks.TOOLS)
        assert [c.arguments for c in message.tool_calls] == [args], text


# --- 5. no exception -----------------------------------------------------------------------------------------


@_property("order", "message", "policy", "close", examples=2 * EXAMPLES)
def test_5_any_text_parses_to_something_orderly() -> None:
    """No exception; Start, deltas, End; the message is what the events tell; closing twice changes nothing."""


@grammar_family
@pytest.mark.parametrize(
    "junk", [b"\xff\xfe\x00", b"\xf0\x9f\x98", b"\xed\xa0\xbd\xed\xb8\x80", bytes(range(256))]
)
def test_5_bytes_that_are_no_utf8_do_not_raise_and_do_not_depend_on_the_cutting(
    family: str, junk: bytes
) -> None:
    whole = hp.StreamParser(parser=family, starts_in_reasoning=False)
    whole.feed(b"a" + junk + b"z")
    whole.close()
    single = hp.StreamParser(parser=family, starts_in_reasoning=False)
    for byte in b"a" + junk + b"z":
        single.feed(bytes([byte]))
    single.close()
    assert whole.message.content == single.message.content
    assert (whole.message.content or "")[0] == "a"


# --- 6. linear and bounded -----------------------------------------------------------------------------------


@_property("memory", "collect")
def test_6_what_is_kept_does_not_grow_with_what_was_read() -> None:
    """`collect=False` tells the same and keeps nothing."""


def _hostile(family: str) -> dict[str, str]:
    """Long texts that invite a parser to look at the same characters again and again."""
    markers = blocks.vocabulary(family).markers
    call = next((r["text"] for r in blocks.fixtures(family) if r["expect"].get("calls")), "")
    opener = markers[0]
    name_and_brace = '{"name": "get_weather", "arguments": {"city": "'
    return {
        "openers only": opener * 20_000,
        "each marker": ("".join(markers) * 3_000)[:150_000],
        "first characters of markers": opener[0] * 100_000,
        "nearly markers": opener[:-1] * 20_000,
        "backslashes": call + name_and_brace + "\\" * 100_000,
        "quotes": call + name_and_brace + '"' * 60_000,
        "apostrophes": opener + "{'name': 'now', 'arguments': {'a': '" + "'" * 60_000,
        "blanks behind a call": call + " " * 100_000 + "x",
        "newlines behind a call": call + "\n" * 100_000 + "x",
        "blanks behind a comma": opener
        + '{"name": "now", "arguments": {"a": 1,'
        + " " * 100_000
        + '"b": 2}}',
        "10,000 levels": opener + '{"name": "now", "arguments": {"a": ' + "[" * 10_000 + "]" * 10_000 + "}}",
        "10,000 objects": opener + '{"name": "now", "arguments": ' + '{"a": ' * 10_000,
        "junk words in a call": opener + '{"name": "now", "arguments": {' + "junk words " * 10_000,
        "junk words behind an opener": opener + " junk words" * 10_000,
        "open brackets": "[" * 100_000,
        "open braces": "{" * 100_000,
        "bare objects": '{"name": ' * 10_000,
        "fences": "```\n" * 20_000,
        "backticks": "`" * 100_000,
        "many calls": (call + "\n") * 500,
        "raw newlines in a string": opener + name_and_brace + "\n" * 60_000,
        "newline and closer beginnings": opener + name_and_brace + ("\n" + markers[-1][:-1]) * 10_000,
        "digits": opener + '{"name": "get_weather", "arguments": {"days": ' + "9" * 100_000 + "}}",
        "long key": opener + '{"name": "get_weather", "arguments": {"' + "k" * 100_000,
        "long name": opener + '{"name": "' + "n" * 100_000,
    }


# each family meets some of the kinds, each kind some of the families
_MET = [
    pytest.param(family, kind, id=f"{family}-{kind}")
    for i, family in enumerate(FAMILIES)
    for j, kind in enumerate(_hostile(FAMILIES[0]))
    if (i + j) % max(1, len(FAMILIES) // 6) == 0
]


@pytest.mark.parametrize(("family", "kind"), _MET)
def test_6_hostile_text_comes_to_an_end(family: str, kind: str) -> None:
    """A time-out, not a measure: what is quadratic here takes minutes. Growth is measured in bench/."""
    text = _hostile(family)[kind]
    options: dict[str, Any] = {"parser": family, "tools": blocks.TOOLS, "max_held": 4096}
    with time_out(20):
        message = hp.parse(text, **options)
        stream = hp.StreamParser(**options)
        for at in range(0, len(text), 7):
            stream.feed(text[at : at + 7])
        stream.close()
    assert stream.message.content == message.content
    assert [c.arguments for c in stream.message.tool_calls] == [c.arguments for c in message.tool_calls]


@grammar_family
def test_6_nesting_beyond_max_depth_ends_the_call_incomplete(family: str) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    text = blocks.written(family, [("set_opts", {"opts": {"a": deep}})])
    message = hp.parse(text, parser=family, tools=blocks.TOOLS)
    spelling = hp.get_family(family).canonical
    if "param_json" in spelling or "{type}" in spelling.get(
        "param", ""
    ):  # what only the markup calls JSON stays text
        assert isinstance(message.tool_calls[0].arguments_dict()["opts"], str)
        return
    assert [c.complete for c in message.tool_calls] == [False]
    assert "too-deep" in {d.code for d in message.diagnostics}
    json.loads(message.tool_calls[0].arguments)


# --- 7. typed by the schema ----------------------------------------------------------------------------------


@grammar_family
def test_7_declared_types_come_back_from_the_canonical_spelling(family: str) -> None:
    """Whatever the template writes for values of every declared type is read back as those values."""
    values: dict[str, Any] = {
        "name": "42",
        "flag": True,
        "ratio": 0.5,
        "count": 3,
        "tags": ["a", "b"],
        "opts": {"k": None, "n": [1, 2.5], "s": '<x> "q" \\ \n é \U0001f600'},
        "note": None,
    }
    spelling = hp.get_family(family).canonical
    if spelling.get("values") == "members":  # their types are those that are declared
        values["opts"] = {"s": values["opts"]["s"]}
    # Some readers say that Python's spelling is no JSON, also where the template writes it.
    python = spelling.get("values") == "python" or spelling.get("arguments") == "dict"
    odd = {"single-quotes", "python-literal"} if python else set()
    for ascii_only in (False, True):
        text = blocks.written(family, [("set_opts", values)], ascii_only=ascii_only)
        message = hp.parse(text, parser=family, tools=blocks.TOOLS)
        assert [c.arguments_dict() for c in message.tool_calls] == [values]
        assert {d.code for d in message.diagnostics} <= odd
        assert message.content is None
