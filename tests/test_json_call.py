"""Arguments that are always an object, and calls that are one JSON object.

`call` drives a `JsonCallReader` as the engine does: nothing is taken before the announcement.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments.json_call import BARE_CALL, JsonCallReader
from hamr_parsers.arguments.object_reader import ObjectReader

from .test_json_mend import broken
from .test_json_reader import Marker, containers, cuttings, every_cut, join, pieces, read, values

# -- arguments ------------------------------------------------------------------------------------------------


def arguments() -> ObjectReader:
    return ObjectReader(Marker(), wrap_key="q")


@pytest.mark.parametrize(
    ("text", "out", "codes"),
    [
        ('{"a": 1}', '{"a": 1}', []),
        ("  {}", "{}", []),
        ("null</c>", "{}", []),
        ("None</c>", "{}", ["python-literal"]),
        ('""', "{}", []),
        ('" \\n"', "{}", []),
        ('"null"', "{}", []),
        ("</c>", "{}", []),
        (" \n</c>", "{}", []),
        (r'"{\"a\": \"x\\n\ud83d\ude00\"}"', r'{"a": "x\n😀"}', []),
        (r'"\n {\"a\": [1, {}]} "', '{"a": [1, {}]}', []),
        (r'"{\"a\": [1}"', '{"a": [1]}', ["missing-closer"]),
        (r'"{\"a\": \"x"', '{"a": "x"}', ["missing-closer"]),
        (r'"{} x"', "{}", ["junk"]),
        ("'{\"a\": 1}'", '{"a": 1}', ["single-quotes"]),
        ('"hello"', '{"q": "hello"}', ["non-object-arguments"]),
        ('"nul"', '{"q": "nul"}', ["non-object-arguments"]),
        ('"null and void"', '{"q": "null and void"}', ["non-object-arguments"]),
        (r'" \u00e9"', r'{"q": " \u00e9"}', ["non-object-arguments"]),
        ("[1, 2,]", '{"q": [1, 2]}', ["non-object-arguments", "trailing-comma"]),
        ("5</c>", '{"q": 5}', ["non-object-arguments"]),
        ("True</c>", '{"q": true}', ["python-literal", "non-object-arguments"]),
        ("so be it</c>", '{"q": "so be it"}', ["unquoted-value", "non-object-arguments"]),
        ('"a": "x", "b": 1}', '{"a": "x", "b": 1}', ["missing-opener"]),
        ('"a" : [1]</c>', '{"a" : [1]}', ["missing-opener", "missing-closer"]),
    ],
)
def test_arguments_are_an_object(text: str, out: str, codes: list[str]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts, arguments)
        assert (got.text, got.codes, got.cut) == (out, codes, False)
        assert text[got.end :] in ("", "</c>")


@pytest.mark.parametrize(
    ("text", "out", "closing"),
    [
        ("", "", "{}"),
        ("nul", "", "{}"),
        ("null", "", "{}"),
        ('"', "", "{}"),
        ('"nu', "", "{}"),
        ("12", "", "{}"),
        ("[1, 2", '{"q": [1', "]}"),
        ('"hel', '{"q": "hel', '"}'),
        (r'"{\"a\": [1, 2', '{"a": [1', "]}"),
        (r'"{\"a\": \"x\\', '{"a": "x', '"}'),
        (r'"{\"a\": 1}', '{"a": 1}', ""),
    ],
)
def test_cut_arguments_can_be_completed(text: str, out: str, closing: str) -> None:
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts, arguments)
        assert (got.text, got.closing, got.cut) == (out, closing, True)
        assert isinstance(got.value, dict)


@given(broken() | broken().map(json.dumps), st.data())
def test_any_text_gives_the_same_object_in_any_cutting(text: str, data: st.DataObject) -> None:
    whole = read(text, [], arguments)
    assert isinstance(whole.value, dict)
    for cuts in [*every_cut(text), data.draw(cuttings(text))]:
        assert read(text, cuts, arguments).facts == whole.facts


@given(st.dictionaries(st.text(max_size=5), values, max_size=3), st.booleans())
def test_an_object_in_a_string_is_decoded(value: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    got = read(json.dumps(text, ensure_ascii=ascii_only), every_cut(text)[1], arguments)
    assert (got.text, got.codes) == (text, [])


# -- calls ----------------------------------------------------------------------------------------------------


class Call:
    def __init__(self, reader: JsonCallReader, stream: list[Any], end: int, announced: int | None) -> None:
        self.stream = stream
        self.text = "".join(item for item in stream if isinstance(item, str))
        self.codes = [item[0] for item in stream if not isinstance(item, str)]
        self.end = end
        self.announced = announced
        self.name, self.status, self.reason = reader.name, reader.status, reader.reason
        self.ids = (reader.call_id, reader.source_id)
        self.cut, self.closing = reader.cut, reader.closing
        self.marks = reader.marks
        self.arguments_done, self.has_arguments = reader.arguments_done, reader.has_arguments

    @property
    def facts(self) -> dict[str, Any]:
        return vars(self)

    @property
    def arguments(self) -> Any:
        return json.loads(self.text + self.closing)


def marked() -> JsonCallReader:
    return JsonCallReader(Marker())


def bare() -> JsonCallReader:
    return JsonCallReader(Marker(), bare=True)


def call(
    text: str, cuts: Sequence[int] = (), make: Callable[[], JsonCallReader] = marked, key: str = "input"
) -> Call:
    reader = make()
    stream: list[Any] = []
    rest = ""
    base = 0
    announced: int | None = None

    def feed(final: bool) -> None:
        nonlocal rest, base, announced
        again = True
        while again:
            reader.base = base
            pos = reader.feed(rest, 0, final)
            rest, base = rest[pos:], base + pos
            again = reader.status in ("announce", "key")
            if reader.status == "key":
                reader.parameters = ("city", "days", "opts", "id")
            elif again:
                assert announced is None
                assert not reader.out
                announced = base
                reader.wrap_key = key
            join(stream, reader.out)
            reader.out.clear()
            assert announced is not None or not stream

    for chunk in pieces(text, cuts):
        if reader.done:
            break
        given = None if rest else reader.fast(chunk)
        if given is not None:
            join(stream, [given])
            base += len(chunk)
            continue
        rest += chunk
        feed(False)
        assert reader.done or len(rest) <= 74
    if not reader.done:
        feed(True)
    assert reader.done
    return Call(reader, stream, base, announced)


@pytest.mark.parametrize(
    ("text", "name", "out", "codes"),
    [
        ('{"name": "f", "arguments": {"a": "x"}}', "f", '{"a": "x"}', []),
        ('{"name":"f","parameters":{}}', "f", "{}", []),
        ('{"tool_name": "f", "args": {"name": "g"}}', "f", '{"name": "g"}', []),
        ('{"tool": "f", "input": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"name": "f", {"a": 1}}', "f", '{"a": 1}', ["unquoted-key"]),
        ('{"name": "f", {"a": 1}, "id": "i"}', "f", '{"a": 1}', ["unquoted-key"]),
        ('{"function": {"name": "f", {"a": 1}}}', "f", '{"a": 1}', ["unquoted-key"]),
        ('{"name": "f", "arguments": {"a": "b"} x, "id": "i"}', "f", '{"a": "b"}', ["junk"]),
        ('{"action": "f", "action_input": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"function_name": "f", "kwargs": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"function": "f", "parameters": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"type": "function", "name": "f", "parameters": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"type": "function", "function": {"name": "f", "parameters": {"a": [1]}}}', "f", '{"a": [1]}', []),
        ('{"function": {"arguments": {"a": [1]}, "name": "f"}, "type": "function"}', "f", '{"a": [1]}', []),
        ('{"arguments": {"a": "x"}, "name": "f"}', "f", '{"a": "x"}', []),
        ('{"name": "f"}', "f", "{}", []),
        ('{"name": "f", "arguments": null}', "f", "{}", []),
        ('{"name": "f", "arguments": ""}', "f", "{}", []),
        (r'{"name": "f", "arguments": "{\"a\": \"x\"}"}', "f", '{"a": "x"}', []),
        ('{"name": "f", "arguments": "x"}', "f", '{"input": "x"}', ["non-object-arguments"]),
        ('{"name": "f", "arguments": [1]}', "f", '{"input": [1]}', ["non-object-arguments"]),
        (r'{"name": "\u0066\"", "arguments": {}}', 'f"', "{}", []),
        (r'{"name": "get\_it", "arguments": {}}', "get_it", "{}", ["bad-escape"]),
        ('{"name": "f, "arguments": {"a": 1}}', "f", '{"a": 1}', ["missing-quote"]),
        ('{"name": "f\n"arguments": {"a": 1}}', "f", '{"a": 1}', ["missing-quote", "missing-comma"]),
        (
            "{name: f, arguments: {a: 1}}",
            "f",
            '{"a": 1}',
            ["unquoted-key", "unquoted-value", *["unquoted-key"] * 2],
        ),
        (
            "{'name': 'f', 'arguments': {'a': True}}",
            "f",
            '{"a": true}',
            [*["single-quotes"] * 4, "python-literal"],
        ),
        ('{"name": "f" "arguments" {"a": 1}}', "f", '{"a": 1}', ["missing-comma", "missing-colon"]),
        ('{"why": {"a": [1]}, "name": "f", "arguments": {}}', "f", "{}", ["extra-key"]),
        ('{"name": "f", "arguments": {"a": 1}, "why": {"a": [1]}}', "f", '{"a": 1}', ["extra-key"]),
        ('{"name": "f", "arguments": {"a": 1}</c>', "f", '{"a": 1}', ["missing-closer"]),
        ('{"name": "f", "arguments": {"a": [1</c>', "f", '{"a": [1]}', ["missing-closer"]),
        ('{"name": "f", "arguments": {"a": [1}}', "f", '{"a": [1]}', ["missing-closer"]),
        ('{"name": "f", "arguments": {"a": [1}, "b": 2}}', "f", '{"a": [1], "b": 2}', ["wrong-closer"]),
        ('{"name": "f", "arguments":</c>', "f", "{}", ["missing-value", "missing-closer"]),
        ('{"name": "f"</c>', "f", "{}", ["missing-closer"]),
        (
            '{"name": "f", "arguments": {"a": "{"b": "c"}"}}',
            "f",
            r'{"a": "{\"b\": \"c\"}"}',
            ["inner-quote"] * 4,
        ),
        ('{{"name": "f", "arguments": {"a": 1}}', "f", '{"a": 1}', ["junk"]),
        ('{"name": "f", "arguments": {"a": "Oslo}}\n</c>', "f", '{"a": "Oslo"}', ["missing-quote"]),
        (
            '{"name": "f", "arguments": {"a": {"x": 1], "b": 3}}',
            "f",
            '{"a": {"x": 1}, "b": 3}',
            ["wrong-closer"],
        ),
        (r'{"name":"f","arguments":{\"a\": \"x\"}}', "f", '{"a": "x"}', ["bad-escape"]),
        (r"{\"name\": \"f\",\n\"arguments\": {\"a\": \"x\\n\"}}", "f", r'{"a": "x\n"}', ["bad-escape"]),
        ('{"name": "f", "arguments": null, "parameters": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"arguments": null, "name": "f", "parameters": {"a": 1}}', "f", '{"a": 1}', []),
        ('{"arguments": null, "name": "f"}', "f", "{}", []),
        (
            '{"name": "f", "arguments": {so be it}}',
            "f",
            '{"input": "so be it"}',
            ["unquoted-key", "unquoted-value"],
        ),
    ],
)
def test_calls(text: str, name: str, out: str, codes: list[str]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.status, got.name, got.text, got.codes, got.cut) == ("done", name, out, codes, False)
        assert text[got.end :].lstrip() in ("", "</c>")


@pytest.mark.parametrize("behind", ["Done, and more.", "It's x", "x", "is " + "long " * 20])
def test_text_behind_an_object_whose_end_was_forgotten_is_left(behind: str) -> None:
    text = '{"name": "f", "arguments": {"a": "b"}\n\n' + behind
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.status, got.text, got.codes, got.cut) == ("done", '{"a": "b"}', ["missing-closer"], False)
        assert text[got.end :].lstrip() == behind


@pytest.mark.parametrize("depth", [1, 3])
def test_the_arguments_are_the_first_level(depth: int) -> None:
    fits = '{"a": ' + "[" * (depth - 1) + "1" + "]" * (depth - 1) + "}"
    deep = '{"a": ' + "[" * depth + "1" + "]" * depth + "}"
    wrapped = "[" * depth + "1" + "]" * depth
    for text, cut in ((fits, False), (deep, True), (wrapped, True), (wrapped[1:-1], False)):
        if text[0] not in "[{":
            continue
        got = read(text, (), lambda: ObjectReader(max_depth=depth))
        assert (got.cut, "too-deep" in got.codes) == (cut, cut)
        made = call('{"name": "f", "arguments": ' + text + "}", (), lambda: JsonCallReader(max_depth=depth))
        assert (made.cut, "too-deep" in made.codes) == (cut, cut)
    reader = JsonCallReader(max_depth=depth)
    text = '{"name": "f", "arguments": ' + deep + "}"
    pos = reader.feed(text, 0, True)
    reader.feed(text, pos, True)
    assert [d.message for d in reader.out if not isinstance(d, str)] == [f"nested deeper than {depth}"]


def test_the_announcement_stands_before_the_arguments() -> None:
    text = '{"name": "f", "id": "x", "arguments": {"a": 1}}'
    for cuts in [[], *every_cut(text)]:
        assert call(text, cuts).announced == text.index("{", 1)
    assert call('{"arguments": {"a": 1}, "name": "f", "id": 1}').announced == 35
    assert call('{"name": "f"}').announced == 13


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ('{"name": "f", "arguments": {"a": "x"} }', ["f", '{"a": "x"}']),
        ("{'id': 17, \"function\": {'arguments': {'a': 1}, 'name': 'f'}}", ["{'a': 1}", "f"]),
        ('{name: f, "arguments": "{}" , "id": "a"}', ["f", '"{}"']),
        ('{"name": "f, "arguments": [1, 2', ["f", "[1, 2"]),
        ('{"name": "f", "arguments": {"a": [1</c>', ["f", '{"a": [1']),
        ('{"name": "f"}', ["f"]),
    ],
)
def test_the_name_and_the_arguments_are_located(text: str, marks: list[str]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert [text[start:end] for _, start, end in got.marks] == marks


def test_after_the_announcement_the_arguments_stream() -> None:
    reader = JsonCallReader()
    start = '{"name": "f", "arguments": {"a": "'
    pos = reader.feed(start, 0, False)
    assert (reader.status, reader.name, start[pos:]) == ("announce", "f", '{"a": "')
    pos = reader.feed(start, pos, False)
    assert (reader.status, "".join(map(str, reader.out)), pos) == ("more", '{"a": "', len(start))
    assert [reader.fast(c) for c in ("one ", "tw\\", 'n", ')] == ["one ", "tw", "\\n"]


def test_before_the_announcement_nothing_streams() -> None:
    reader = JsonCallReader()
    text = '{"arguments": {"a": "'
    assert reader.feed(text, 0, False) == len(text)
    assert reader.fast("x") is None
    assert not reader.out


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('{"id": "a", "name": "f", "arguments": {}}', ("a", None)),
        ('{"name": "f", "tool_call_id": 17, "arguments": {}}', ("17", None)),
        ('{"name": "f", "arguments": {}, "id": "abc"}', (None, "abc")),
        ('{"id": "a", "name": "f", "arguments": {}, "call_id": "b"}', ("a", "b")),
        ('{"function": {"name": "f", "arguments": {}}, "id": "abc"}', (None, "abc")),
        ('{"id": null, "name": "f", "arguments": {}}', (None, None)),
        ('{"id": {"x": 1}, "name": "f", "arguments": {}}', (None, None)),
    ],
)
def test_ids(text: str, ids: tuple[str | None, str | None]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.ids, got.codes) == (ids, [])


@pytest.mark.parametrize(
    ("text", "out", "closing", "cut", "arguments_done"),
    [
        ('{"name": "f", "arguments": {"a": 1', "{", "}", True, False),
        ('{"name": "f", "arguments": {"a": "x', '{"a": "x', '"}', True, False),
        ('{"name": "f", "arguments": {"a": 1}', '{"a": 1}', "", False, True),
        ('{"name": "f", "arguments": {"a": "x"}', '{"a": "x"}', "", False, True),
        ('{"name": "f", "arguments": {"a": 1}, "id', '{"a": 1}', "", False, True),
        ('{"name": "f", "arguments": ', "", "{}", True, False),
        ('{"name": "f", "argu', "", "{}", True, False),
        ('{"name": "f"', "", "{}", True, False),
        ('{"arguments": {"a": 1}, "name": "f"', '{"a": 1}', "", False, True),
    ],
)
def test_cut_calls(text: str, out: str, closing: str, cut: bool, arguments_done: bool) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.status, got.text, got.closing, got.cut) == ("done", out, closing, cut)
        assert got.arguments_done is arguments_done


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "f',
        '{"name": ',
        "{",
        "{}",
        '{"answer": 42}',
        '{"arguments": {"a": 1}}',
        '{"name": "two words", "arguments": {}}',
        '{"name": "f(x)", "arguments": {}}',
        '{"name": "", "arguments": {}}',
        '{"name": 5, "arguments": {}}',
        '{"name": null, "arguments": {}}',
        '{"name": ["f"], "arguments": {}}',
        '{"name": "' + "f" * 257 + '", "arguments": {}}',
        '{"a": 1</c>',
        "[1]",
    ],
)
def test_what_is_no_call(text: str) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert got.status == "failed"
        assert got.reason
        assert not got.stream
        assert got.end == call(text).end


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("{this}", 1),
        ('{"answer": 42}', 1),
        ('{"names": 1}', 1),
        ('{"name": "f", "description": "x", "parameters": {}}', len('{"name": "f", "description":')),
        ('{"name": "Anna Smith", "age": 3}', len('{"name": "Anna')),
        ("{ " + " " * 64 + '"name": "f"}', 1),
    ],
)
def test_a_bare_object_fails_as_soon_as_it_is_certain(text: str, end: int) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts, bare)
        assert (got.status, got.end) == ("failed", end)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "f", "arguments": {"a": 1}}',
        '{"parameters": {"a": 1}, "name": "f"}',
        '{"name": "f", "arguments": {"a": 1}, "more": [1, {}], "again": "x"}',
        "{'name': 'f', 'arguments': {'a': 1}}",
        '{\n  "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}',
    ],
)
def test_a_bare_object_with_the_keys_of_a_call_is_one(text: str) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts, bare)
        assert (got.status, got.name, got.arguments, got.end) == ("done", "f", {"a": 1}, len(text))


def test_the_prefilter_for_bare_objects() -> None:
    for text in ('{"name": "f"}', "{'tool' : 1}", "{ name: f", '{\n "arguments":', '{"function":'):
        found = BARE_CALL.match(text)
        assert found is not None
        assert found[1]
        for end in range(1, found.start(1) + 1):
            part = BARE_CALL.match(text[:end])
            assert part is not None
            assert part[1] is None
            assert part.end() == end
    for text in ("{}", "{this}", '{"answer": 1}', '{"names": 1}', '{"name" 1', "{1"):
        found = BARE_CALL.match(text)
        assert found is None or found[1] is None and found.end() < len(text)


def test_what_is_read_before_the_name_is_bounded() -> None:
    text = '{"arguments": {"a": "' + "x" * 200 + '"}, "name": "f"}'
    make = lambda: JsonCallReader(max_held=100)  # noqa: E731
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts, make)
        assert (got.status, got.reason, got.end) == ("failed", "max-held", 100)
    assert call(text, [], lambda: JsonCallReader(max_held=len(text))).status == "done"
    after = '{"name": "f", "arguments": {"a": "' + "x" * 200 + '"}}'
    assert call(after, every_cut(after)[0], make).status == "done"


@pytest.mark.parametrize(
    "text", ['{"name": "f", "arguments": %s}', '{"function": {"name": "f", "arguments": %s}}']
)
def test_depth_is_that_of_the_arguments(text: str) -> None:
    make = lambda: JsonCallReader(max_depth=3)  # noqa: E731
    assert call(text % '{"a": [[]]}', [], make).codes == []
    got = call(text % '{"a": [[[]]]}', [], make)
    assert (got.codes, got.text, got.closing, got.cut) == (["too-deep"], '{"a": [[', "]]}", True)


@pytest.mark.parametrize(
    "text",
    [
        '{"arguments": ' + "[" * 10_000,
        '{"name": "' + "\\u0041" * 20_000,
        '{"name": "f",' + " " * 65_536 + '"arguments": {}}',
        '{"x": ' + '"' * 30_000,
        "{" + '"x": 1, ' * 20_000,
        "{" + '"type": "a", ' * 20_000,
        '{"name": "f", "arguments": ' + r'"{\"a\": \"' + r"\\" * 30_000,
        '{"name": "f", "arguments": "' + " " * 65_536,
        '{"function": ' * 20_000,
    ],
    ids=lambda t: t[:12],
)
def test_hostile_calls_are_read_in_linear_time(text: str) -> None:
    whole = call(text)
    assert call(text, range(4, len(text), 4)).facts == whole.facts


members = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["f", "get_weather", "two words", "", 5]),
        "arguments": containers | values.map(json.dumps) | values,
        "parameters": containers,
        "id": st.sampled_from(["abc", 17, None, ["x"]]),
        "type": st.just("function"),
        "function": st.just("g") | st.just({"name": "h", "arguments": {"a": 1}}),
        "extra": values,
        "city": values | containers,
    },
)


@given(
    broken(members.flatmap(lambda m: st.permutations(list(m.items()))).map(dict)),
    st.booleans(),
    st.sampled_from([1 << 20, 40]),
    st.sampled_from([200, 3]),
    st.data(),
)
def test_any_text_gives_the_same_call_in_any_cutting(
    text: str, is_bare: bool, max_held: int, depth: int, data: st.DataObject
) -> None:
    make = lambda: JsonCallReader(Marker(), depth, is_bare, max_held)  # noqa: E731
    whole = call(text, [], make)
    assert whole.status in ("done", "failed")
    if whole.status == "done":
        assert isinstance(whole.arguments, dict)
        assert whole.announced is not None
    for cuts in [*every_cut(text), data.draw(cuttings(text))]:
        assert call(text, cuts, make).facts == whole.facts


@given(st.integers(0, 60))
def test_copies_go_on_alone(at: int) -> None:
    text = r'{"id": "a", "arguments": "{\"a\": [1, \"x\"]}", "name": "f", "x": [1, {}]}'
    reader = JsonCallReader(Marker())
    pos = reader.feed(text[:at], 0, False)
    for twin in (copy.deepcopy(reader), pickle.loads(pickle.dumps(reader)), reader):
        here = pos
        for _ in range(2):
            here = twin.feed(text, here, True)
        assert "".join(item for item in twin.out if isinstance(item, str)) == '{"a": [1, "x"]}'
        assert (twin.name, twin.call_id, twin.status) == ("f", "a", "done")


@pytest.mark.parametrize(
    ("text", "arguments", "codes", "closing"),
    [
        ('{"name": "f", "city": "Oslo"}', {"city": "Oslo"}, [], None),
        (
            '{"name": "f", "city": "Oslo", "days": 2, "opts": {"a": [1]}}',
            {"city": "Oslo", "days": 2, "opts": {"a": [1]}},
            [],
            None,
        ),
        ('{"function": {"name": "f", "days": 2}}', {"days": 2}, [], None),
        (
            '{"name": "f", "city": , "x": {"days": 1}, "days": 1}',
            {"city": None, "days": 1},
            ["missing-value", "extra-key"],
            None,
        ),
        ('{"name": "f", "city": "Oslo", "arguments": {"days": 1}}', {"city": "Oslo"}, ["extra-key"], None),
        ('{"name": "f", "city": "Oslo\n</c>', {"city": "Oslo"}, ["missing-quote", "missing-closer"], None),
        ('{"name": "f", "city": "Os', {"city": "Os"}, [], '"}'),
        ('{"name": "f", "opts": {"a": [1, 2', {"opts": {"a": [1]}}, [], "]}}"),
        ('{"name": "f", "days": 2', {}, [], "{}"),
        ('{"name": "f", "city": "Oslo", "x": "y', {"city": "Oslo"}, ["extra-key"], "}"),
    ],
)
def test_arguments_may_stand_beside_the_name(
    text: str, arguments: Any, codes: list[str], closing: str | None
) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.arguments, got.cut, got.closing) == (arguments, closing is not None, closing or "")
        assert got.codes == ["non-object-arguments", *codes]
        assert got.announced == text.index(":", text.index('"f"')) + 1


def test_only_parameters_may_stand_beside_the_name() -> None:
    got = call('{"name": "f", "x": 1, "y": 2, "arguments": {"days": 1}}')
    assert (got.text, got.codes) == ('{"days": 1}', ["extra-key"] * 2)
    assert call('{"name": "f", "city": "Oslo"}', [], bare).reason == "a call has no 'city'"


@pytest.mark.parametrize(
    ("text", "out", "codes"),
    [
        ('{"name": "f", "arguments": "a": "x", "b": 1}', '{"a": "x", "b": 1}', []),
        ('{"name": "f", "arguments": "a": "x"}}</c>', '{"a": "x"}', []),
        ('{"name": "f", "arguments": "a": "x"}</c>', '{"a": "x"}', ["missing-closer"]),
        ('{"arguments": "a" : [1]}, "name": "f"}', '{"a" : [1]}', []),
    ],
)
def test_the_brace_of_arguments_may_be_missing(text: str, out: str, codes: list[str]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = call(text, cuts)
        assert (got.text, got.codes, got.cut) == (out, ["missing-opener", *codes], False)
