"""The raw-JSON reader: what passes, what is held, and that neither depends on how the text was cut.

`read` drives a reader as the engine does: `fast` while nothing was left unread, `feed` otherwise. Its result joins
adjacent pieces of text and keeps the diagnostics at their place between them, so that equal results mean equal
streams.
"""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments import json_nodes, json_reader
from hamr_parsers.arguments.json_reader import JsonReader, duplicate_keys, passes

CLOSER = "</c>"


class Marker:
    """A boundary that knows one closer: `</c>`."""

    first = "<"

    def at(self, text: str, pos: int, final: bool) -> bool | None:
        if text.startswith(CLOSER, pos):
            return True
        return None if not final and CLOSER.startswith(text[pos:]) else False

    def ends_turn(self, text: str, pos: int) -> bool:
        return False

    def ends_string(self, text: str, pos: int, final: bool) -> bool | None:
        at = pos
        while at < len(text) and at - pos < 64 and text[at].isspace():
            at += 1
        if at - pos >= 64:
            return False
        return self.at(text, at, final) if at < len(text) else False if final else None


class Read:
    """What came of one text."""

    def __init__(self, stream: list[Any], reader: Any, end: int) -> None:
        self.stream = stream
        self.text = "".join(item for item in stream if isinstance(item, str))
        self.codes = [item[0] for item in stream if not isinstance(item, str)]
        self.closing = reader.closing
        self.cut = reader.cut
        self.end = end
        self.recovered = reader.recovered

    @property
    def value(self) -> Any:
        return json.loads(self.text + self.closing, parse_int=lambda n: int(n) if len(n) < 4000 else n)

    @property
    def facts(self) -> tuple[Any, ...]:
        return self.stream, self.closing, self.cut, self.end, self.recovered


def join(stream: list[Any], items: Sequence[Any]) -> None:
    for item in items:
        if not isinstance(item, str):
            stream.append((item.code, item.start, item.end))
        elif stream and isinstance(stream[-1], str):
            stream[-1] += item
        elif item:
            stream.append(item)


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = [0, *cuts, len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def read(text: str, cuts: Sequence[int] = (), make: Callable[[], Any] = JsonReader) -> Read:
    reader = make()
    stream: list[Any] = []
    rest = ""
    base = 0
    for chunk in pieces(text, cuts):
        if reader.done:
            break
        if not rest:
            given = reader.fast(chunk)
            if given is not None:
                join(stream, [given])
                base += len(chunk)
                continue
        rest += chunk
        reader.base = base
        pos = reader.feed(rest, 0, False)
        join(stream, reader.out)
        reader.out.clear()
        rest, base = rest[pos:], base + pos
        assert reader.done or len(rest) <= 74, "more was left unread than a decision may look at"
    if not reader.done:
        reader.base = base
        base += reader.feed(rest, 0, True)
        join(stream, reader.out)
    assert reader.done
    return Read(stream, reader, base)


def every_cut(text: str) -> list[list[int]]:
    return [list(range(1, len(text))), list(range(4, len(text), 4)), list(range(7, len(text), 7))]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.text('"\\/{}[]:,\n\té😀\u2028', max_size=8)
)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=5), v, max_size=4),
    max_leaves=25,
)
styles = st.sampled_from(
    [
        {},
        {"ensure_ascii": False},
        {"indent": 2},
        {"indent": "\t", "ensure_ascii": False},
        {"separators": (",", ":")},
        {"separators": (" , ", " : ")},
    ]
)
containers = values.map(lambda v: {"x": v}) | values.map(lambda v: [v, v])


@st.composite
def documents(draw: st.DrawFn) -> str:
    return json.dumps(draw(containers), **draw(styles))


@st.composite
def cuttings(draw: st.DrawFn, text: str) -> list[int]:
    return sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))


@pytest.fixture(params=["runs", "no runs"])
def long_texts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns for long texts must not differ from the walk: try them on short texts, or never."""
    monkeypatch.setattr(json_reader, "RUN", 0 if request.param == "runs" else 1 << 30)
    monkeypatch.setattr(json_reader, "MEMO_CHUNK", -1)


# -- well-formed text -----------------------------------------------------------------------------------------


@given(documents(), st.data())
def test_well_formed_json_passes_byte_for_byte_in_any_cutting(text: str, data: st.DataObject) -> None:
    for cuts in [[], *every_cut(text), data.draw(cuttings(text))]:
        got = read(text, cuts)
        assert (got.text, got.codes, got.cut, got.closing) == (text, [], False, "")


@pytest.mark.usefixtures("long_texts")
@given(documents())
def test_runs_and_walks_agree(text: str) -> None:
    assert read(text).facts == read(text, every_cut(text)[0]).facts


@given(documents(), st.text(' \n{}[]"x,', max_size=6))
def test_what_stands_behind_the_value_is_not_touched(text: str, tail: str) -> None:
    got = read(text + tail)
    assert (got.text, got.end) == (text, len(text))


@given(documents(), st.data())
def test_a_prefix_gives_out_a_prefix_and_the_closing_text_completes_it(
    text: str, data: st.DataObject
) -> None:
    short = text[: data.draw(st.integers(1, len(text) - 1))]
    got = read(short)
    assert got.cut
    assert not got.codes
    assert text.startswith(got.text)
    assert isinstance(got.value, dict | list)
    assert read(short, every_cut(short)[0]).facts == got.facts


@pytest.mark.parametrize(
    "text",
    [
        r'{"a": "\u00e9\ud83d\ude00 \ud83d x \ude00 \\ \" \/ \b\f\n\r\t"}',
        '{"a": 1E5, "b": -0.0e-7, "c": 12345678901234567890123, "d": 1.50}',
        '{ "a" : [ ] ,\r\n\t"b" : { } , "a" : 1 }',
        '[[[[]]], {"": ""}, "\u2028\x7f\xa0"]',
    ],
)
def test_spellings_are_kept(text: str) -> None:
    for cuts in [[], *every_cut(text)]:
        assert read(text, cuts).stream == [text]


def test_pieces_never_split_an_escape_or_a_surrogate_pair() -> None:
    text = r'{"a": "x\ud83d\ude00\n\u00e9 say "\ud83d\ude00" now"}'
    reader = JsonReader()
    rest = ""
    for c in text:
        given = reader.fast(c) if not rest else None
        if given is None:
            rest += c
            rest = rest[reader.feed(rest, 0, False) :]
            items = [item for item in reader.out if isinstance(item, str)]
            reader.out.clear()
        else:
            items = [given]
        for item in items:
            assert not re.search(r"(?<!\\)(\\\\)*\\(u[0-9a-f]{0,3}|ud83d)?$", item), item


# -- what is held ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "out", "closing"),
    [
        ('{"x": [1, 2', '{"x": [1', "]}"),
        ('{"x": [1, ', '{"x": [1', "]}"),
        ('{"x": [1, "', '{"x": [1, "', '"]}'),
        ('{"x": tru', "{", "}"),
        ('{"x": true', "{", "}"),
        ('{"x": true ', "{", "}"),
        ('{"x": true,', '{"x": true', "}"),
        ('{"x": 1, "key', '{"x": 1', "}"),
        ('{"x": 1, "key": ', '{"x": 1', "}"),
        ('{"x": 1, "key": "', '{"x": 1, "key": "', '"}'),
        ('{"x": "abc', '{"x": "abc', '"}'),
        ('{"x": "abc\\', '{"x": "abc', '"}'),
        ('{"x": "abc\\u00e', '{"x": "abc', '"}'),
        (r'{"x": "abc\ud83d', '{"x": "abc', '"}'),
        ('{"x": "abc"', '{"x": "abc', '"}'),
        ('{"x": "abc", "y"', '{"x": "abc', '"}'),
        ('{"x": ["abc"], "y"', '{"x": ["abc', '"]}'),
        ('{"x": [1], "y"', '{"x": [1]', "}"),
        ("", "", "null"),
        ("  12", "", "null"),
    ],
)
def test_a_cut_value_gives_out_what_is_certain(text: str, out: str, closing: str) -> None:
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts)
        assert (got.text, got.closing, got.cut, got.codes) == (out, closing, True, [])


def test_a_string_streams_with_every_chunk() -> None:
    reader = JsonReader()
    reader.feed('{"a": "', 0, False)
    for chunk in ["some ", "te\\", "nxt", "é\u2028", " \\u00", "e9"]:
        assert reader.fast(chunk) is not None
    reader.feed('"}', 0, False)
    assert reader.done


def test_held_counts_what_was_read_but_not_given_out() -> None:
    reader = JsonReader()
    assert reader.feed('{"a": 1, "bc', 0, False) == 12
    assert "".join(map(str, reader.out)) == '{"a": 1'
    assert reader.held == len(', "bc')


def test_a_scalar_ends_at_what_cannot_belong_to_it() -> None:
    assert read("12 x", make=lambda: JsonReader(Marker())).text == '"12 x'
    assert read("12</c>", make=lambda: JsonReader(Marker())).text == "12"
    assert read("true\n</c>", make=lambda: JsonReader(Marker())).text == "true"


# -- bounds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [3, 200])
def test_too_deep_ends_the_value_as_cut(depth: int) -> None:
    text = "[" * (depth + 1) + "1"
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts, lambda: JsonReader(max_depth=depth))
        assert got.stream == ["[" * depth, ("too-deep", depth, depth + 1)]
        assert (got.cut, got.closing, got.end) == (True, "]" * depth, depth)
    fits = "[" * depth + "]" * depth
    assert read(fits, make=lambda: JsonReader(max_depth=depth)).stream == [fits]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        '{"a":' * 10_000,
        '[{"a": ' * 150 + "1 " * 20_000,
        '{"a": 1,' + " " * 65_536 + '"b": 2}',
        '{"a": "x",' + "\n" * 65_536 + "}",
        '{"a": "' + "\\" * 65_536,
        '{"a": ' + '"' * 65_536,
        "'" * 65_536,
        '{"a": ' + "\\u12" * 20_000,
        '{"a": ' + "7" * 100_000 + "x}",
        '{"a": ' + "7" * 100_000 + ", ",
        '{"a": "' + '", "' * 20_000,
        '{"a": "' + '"}' * 20_000,
        '{"a": "' + '" "' * 20_000,
        "{" + "," * 65_536,
        "{" + "}{" * 30_000,
        "[" + "1 " * 30_000,
        "[" + "]}" * 30_000,
        '["' + "x" * 65_536 + '" "',
        "{a" * 30_000,
        "{" + ":" * 65_536,
        '{"a": b' + "(" * 65_536,
        '{"a": 1 ' + "; " * 30_000,
        '{"a": 1 ' + "<" * 65_536,
        '{"a": 1 @' + "< " * 30_000,
        '{"a": ' + "<" * 65_536,
        '{"a": "' + "x\n" * 30_000,
        '{"a": "' + ", " * 30_000,
        '{"a": "' + "}" * 65_536,
        '{"a": "' + "}\n" * 30_000,
        '{"a": "' + ',\n"b": 1' * 10_000,
        '{\\"a\\": \\"' + "\\" * 65_536,
        "{" + "[" + "x " * 30_000,
        "{" + "a b " * 20_000,
        '{"a": "' + "\x00" * 65_536,
        "{'" + "a" * 65_536,
        '{"a": [' + '["x", ' * 150 + '"y" z ' * 10_000,
        '{"a": 1 /*' + "* " * 30_000,
        "[1, " + "/**/" * 16_000,
        '["x", ' + "// y\n" * 16_000,
        '{"a": ' + "# y\n" * 16_000,
        '{"a": "' + 'x" # y\n' * 10_000,
        "[" + "“x” y, " * 10_000,
        "[“" + "x” " * 30_000,
        '["""' + '"x' * 30_000,
        "['''" + "'" * 60_000,
        "[" + "(1, " * 16_000,
        "[" + "(1, 2), " * 8_000,
        "[" + '("x ' * 16_000,
        "[" + "+1_0, " * 10_000,
        '{"a": [1 ' + '"b": 2, ' * 8_000,
    ],
    ids=lambda t: t[:12],
)
def test_hostile_texts_are_read_in_linear_time(text: str) -> None:
    """No clock: quadratic work on these would take minutes, and the suite has a time-out."""
    make = lambda: JsonReader(Marker())  # noqa: E731
    whole = read(text, [], make)
    assert whole.value is not None or whole.text + whole.closing == "null"
    assert read(text, range(4, len(text), 4), make).facts == whole.facts


def test_hostile_nesting_does_not_fill_the_memory() -> None:
    tree = json_nodes.tree(200, 0, False)
    text = "[" + ",".join(
        "".join("[{"[i >> k & 1] + '"a":' * (i >> k & 1) for k in range(11)) for i in range(2048)
    )
    read(text, range(4, len(text), 4))
    read(text)
    assert tree.stacks <= json_nodes.MAX_STACKS
    assert tree.memo <= json_nodes.MAX_MEMO


def test_a_tree_that_is_full_still_reads() -> None:
    tree = json_nodes.tree(200, 0, False)
    tree.stacks, tree.memo = json_nodes.MAX_STACKS, json_nodes.MAX_MEMO
    reader = JsonReader()
    assert reader._stack.tree is not tree
    reader._stack = tree.root
    text = json.dumps({"a": [{"b": [[1]]}, "x"] * 3})
    got = read(text, every_cut(text)[1], lambda: copy.copy(reader))
    assert got.stream[0] == text


# -- copies, members, duplicate keys --------------------------------------------------------------------------


@given(documents(), st.data())
def test_copies_go_on_alone(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    reader = JsonReader(Marker())
    pos = reader.feed(text[:at], 0, False)
    for twin in (copy.deepcopy(reader), pickle.loads(pickle.dumps(reader)), reader):
        twin.feed(text[pos:], 0, True)
        assert "".join(item for item in twin.out if isinstance(item, str)) == text


def test_watching_pauses_at_keys_and_behind_values() -> None:
    text = '{"a": {"x": [1]}, \'b\': "s", c: 3}'
    for step in (1, 3, 100):
        reader = JsonReader(watch=1)
        rest = ""
        seen: list[Any] = []
        for i in range(0, len(text), step):
            rest += text[i : i + step]
            while True:
                rest = rest[reader.feed(rest, 0, False) :]
                if reader.pause is None:
                    break
                seen.append(reader.key if reader.pause == "key" else reader.pause)
        assert reader.done
        assert seen == ["a", "value", "b", "value", "c", "value"]


def test_duplicate_keys() -> None:
    assert duplicate_keys('{"a": 1, "b": {"x": 1, "x": 2}, "a": [{"c": 1}, {"c": 1}], "a": 2}') == ["x", "a"]
    for text in ("[1]", '{"a": 1', "[" * 100_000, '{"a": ' + "7" * 5000 + "}"):
        assert duplicate_keys(text) == []


@pytest.mark.parametrize(
    ("text", "out", "closing"),
    [
        ('{"a": "x, ', '{"a": "x, ', '"}'),
        ('{"a": "x}]', '{"a": "x}]', '"}'),
        ('{"a": "x, "', '{"a": "x, ', '"}'),
        ('{"a": [{"b": "]"}]', '{"a": [{"b": "]', '"}]}'),
        ('{"a": "x}", ', '{"a": "x}', '"}'),
        ('{"a": "x}', '{"a": "x', '"}'),
        ('{"a": {"b": "x}', '{"a": {"b": "x}', '"}}'),
        ('{"a": {"b": "x}}', '{"a": {"b": "x', '"}}'),
        ('{"a": {"b": "x}}}', '{"a": {"b": "x}}}', '"}}'),
    ],
)
def test_what_waits_at_the_end_of_a_string_stays_in_a_cut_one(text: str, out: str, closing: str) -> None:
    """Unless it closes all: then it was meant to."""
    make = lambda: JsonReader(Marker())  # noqa: E731
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts, make)
        assert (got.text, got.closing, got.cut) == (out, closing, True)


@pytest.mark.parametrize("text", ["a, ", "a}", "x[1]"])
def test_text_that_leaves_something_waiting_does_not_pass(text: str) -> None:
    assert not passes(text)
    assert passes(text + "y")


def test_a_run_of_closers_inside_a_string_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    before = json_reader._before_tail

    def counted(text: str, start: int, end: int) -> int:
        nonlocal read
        read += end - start
        return before(text, start, end)

    monkeypatch.setattr(json_reader, "_before_tail", counted)
    # behind an unescaped quote no closer is looked at: each of them is text
    text = '{"a": "{"b": ' + "[" * 5_000 + "]" * 5_000
    reader = JsonReader()
    reader.feed(text, 0, True)
    given = "".join(item for item in reader.out if isinstance(item, str))
    assert given == text.replace('"b"', '\\"b\\"')
    assert read < 5 * len(text)
