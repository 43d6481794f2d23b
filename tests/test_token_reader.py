"""Objects with bare keys and strings between quote tokens become JSON objects, append-only, whatever the cutting."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments.schema import ToolSchema
from hamr_parsers.arguments.token_reader import TokenArgumentsReader
from hamr_parsers.events import Diagnostic

from .fuzz.check import time_out

Q = '<|"|>'
OPTS = ToolSchema(
    "set_opts",
    {
        "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer"},
            "opts": {"type": "object", "properties": {"text": {"type": "string"}}},
            "note": {"type": ["string", "null"]},
            "words": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name"],
    },
)


class Markers:
    """A boundary with one closer, which a newline or the end may follow."""

    first = "<"
    closer = "<tool_call|>"

    def at(self, text: str, pos: int, final: bool) -> bool | None:
        have = text[pos : pos + len(self.closer)]
        if len(have) < len(self.closer) and not final:
            return None if self.closer.startswith(have) else False
        return have == self.closer

    def ends_turn(self, text: str, pos: int) -> bool:
        return False

    def ends_string(self, text: str, pos: int, final: bool) -> bool | None:
        limit = pos + 48
        while pos < min(limit, len(text)) and text[pos] in "\r\n ":
            pos += 1
        if pos == limit:
            return False
        return (False if final else None) if pos == len(text) else self.at(text, pos, final)


Told = list[str | tuple[str, int, int]]


class Outcome:
    """What a reader made of a text that came in pieces; `end` is how far it read."""

    def __init__(self, pieces: list[str], *, fast: bool = False, **options: Any) -> None:
        options.setdefault("boundary", Markers())
        reader = TokenArgumentsReader(Q, **options)
        items: list[str | Diagnostic] = []
        rest = ""
        base = 0
        for piece in pieces:
            if reader.done:
                break
            if fast and not rest:
                out = reader.fast(piece)
                if out is not None:
                    items += [out] if out else []
                    base += len(piece)
                    continue
            rest += piece
            reader.base = base
            pos = reader.feed(rest, 0, False)
            base += pos
            rest = rest[pos:]
            assert reader.done or len(rest) <= 70
            items += reader.out
            reader.out.clear()
        if not reader.done:
            reader.base = base
            base += reader.feed(rest, 0, True)
            items += reader.out
        assert reader.done
        self.reader = reader
        self.end = base
        self.told: Told = []
        for item in items:
            if isinstance(item, Diagnostic):
                self.told.append((item.code, item.start, item.end))
            elif self.told and isinstance(self.told[-1], str):
                self.told[-1] += item
            else:
                self.told.append(item)
        self.text = "".join(i for i in self.told if isinstance(i, str))
        self.codes = [i[0] for i in self.told if not isinstance(i, str)]
        self.cut = reader.cut
        self.closing = reader.closing

    @property
    def value(self) -> Any:
        return json.loads(self.text + self.closing if self.cut else self.text)

    def all(self) -> tuple[Any, ...]:
        return (self.told, self.cut, self.closing, self.end)


def read(text: str, **options: Any) -> Outcome:
    text = text.replace("~", Q)
    whole = Outcome([text], **options)
    for pieces in (list(text), [text[i : i + 3] for i in range(0, len(text), 3)]):
        for fast in (False, True):
            assert Outcome(pieces, fast=fast, **options).all() == whole.all(), (
                "the result depends on the cutting"
            )
    assert isinstance(whole.value, dict)
    return whole


# In the tables `~` stands for the quote token.

CLEAN: list[tuple[str, dict[str, Any]]] = [
    ("{}", {}),
    ("{ }", {}),
    ("()", {}),
    ("{city:~Paris~,days:2,opts:{a:[1,~x~]}}", {"city": "Paris", "days": 2, "opts": {"a": [1, "x"]}}),
    ('{content:~{"k": "v,}"}\nend~,path:~a.json~}', {"content": '{"k": "v,}"}\nend', "path": "a.json"}),
    ("{a:~~}", {"a": ""}),
    ("{a:~C:\\new \\u0041~}", {"a": "C:\\new \\u0041"}),
    ("{a:~}<tool_call|>\n~}", {"a": "}<tool_call|>\n"}),
    ("{a:~<|~}", {"a": "<|"}),
    ("{ a : ~x~ , b : [ 1 , 2 ] }", {"a": "x", "b": [1, 2]}),
    ("{~a b~:1,~c:d~:{}}", {"a b": 1, "c:d": {}}),
    ("{a:[],b:{},c:[[1],{d:~e~}]}", {"a": [], "b": {}, "c": [[1], {"d": "e"}]}),
    ("(city:~Paris~,days:2)", {"city": "Paris", "days": 2}),
    ("({city:~Paris~})", {"city": "Paris"}),
    ("{{city:~Paris~}}", {"city": "Paris"}),
    (
        "{a:42,b:1.50,c:true,d:None,e:False,f:null,g:-1e3,h:two words }",
        {"a": 42, "b": 1.5, "c": True, "d": None, "e": False, "f": None, "g": -1000.0, "h": "two words"},
    ),
    ("{city:Paris}", {"city": "Paris"}),
    ("{city:Paris, France,days:2}", {"city": "Paris, France", "days": 2}),
    ("{a:f(x, y) {z},b:1}", {"a": "f(x, y) {z}", "b": 1}),
    ("{when:12:30,b:1}", {"when": "12:30", "b": 1}),
    ("{l:[a, b,~c~,]}", {"l": ["a", "b", "c"]}),
    ("{a:1,}", {"a": 1}),
    ("{a-b.c:1}", {"a-b.c": 1}),
]


@pytest.mark.parametrize(("text", "value"), CLEAN)
def test_clean(text: str, value: dict[str, Any]) -> None:
    found = read(text)
    assert found.value == value
    assert not found.cut
    assert found.codes == []
    assert not found.reader.recovered
    assert read(text + "<tool_call|>").end == len(text.replace("~", Q))


def test_where_every_value_is_quoted_the_schema_types_them() -> None:
    text = "{name:~42~,count:~3~,note:~None~,opts:~{'a': [1, True]}~,words:~[\"x\"]~,other:~1~}"
    assert read(text, schema=OPTS, coerce=True).value == {
        "name": "42",
        "count": 3,
        "note": None,
        "opts": {"a": [1, True]},
        "words": ["x"],
        "other": "1",
    }
    assert read(text, schema=OPTS).value["count"] == "3"
    cut = read("{name:~a~,count:~3", schema=OPTS, coerce=True)
    assert cut.cut
    assert cut.value == {"name": "a"}
    wrong = read("{count:~many~}", schema=OPTS, coerce=True)
    assert wrong.value == {"count": "many"}
    assert wrong.codes == ["type-mismatch"]


BROKEN: list[tuple[str, dict[str, Any], list[str]]] = [
    ("{city:Paris~,days:2}", {"city": "Paris", "days": 2}, ["missing-quote"]),
    ("{x:42~}", {"x": "42"}, ["missing-quote"]),
    ("{x: a, b ~}", {"x": "a, b "}, ["missing-quote"]),
    ("{x:the ~Paris x~}", {"x": "the Paris x"}, ["missing-quote"]),
    ('{city:"Paris",days:2}', {"city": "Paris", "days": 2}, ["missing-quote"]),
    ("{city:'Paris'~,days:2}", {"city": "Paris", "days": 2}, ["missing-quote"]),
    ('{a:"x\\n\\"y\\" \\ud83d\\ude00 \\d",b:1}', {"a": 'x\n"y" 😀 \\d', "b": 1}, ["missing-quote"]),
    (
        '{a:"say "hi", ok",b:1}',
        {"a": 'say "hi", ok', "b": 1},
        ["missing-quote", "inner-quote", "inner-quote"],
    ),
    ("{a:'it's',b:1}", {"a": "it's", "b": 1}, ["missing-quote", "inner-quote"]),
    ('{a:"x\n<tool_call|>', {"a": "x"}, ["missing-quote", "missing-quote", "missing-closer"]),
    ("{city=~Paris~,days=2}", {"city": "Paris", "days": 2}, ["missing-colon", "missing-colon"]),
    ("{a ~x~}", {"a": "x"}, ["missing-colon"]),
    ("{a{b:1}}", {"a": {"b": 1}}, ["missing-colon"]),
    ("{a:~x~b:2}", {"a": "x", "b": 2}, ["missing-comma"]),
    ("{a:[~x~ ~y~]}", {"a": ["x", "y"]}, ["missing-comma"]),
    ("{a:~x~ foo,b:2}", {"a": "x", "b": 2}, ["junk"]),
    ("{a:1,,b:2}", {"a": 1, "b": 2}, ["double-comma"]),
    ("{a:[1,,2]}", {"a": [1, 2]}, ["double-comma"]),
    ("{a:,b:2}", {"b": 2}, ["missing-value"]),
    ("{:1}", {"input": 1}, ["missing-value"]),
    ("{~Paris~}", {"input": "Paris"}, ["non-object-arguments"]),
    ("{42}", {"input": 42}, ["non-object-arguments"]),
    ("{[1,2]}", {"input": [1, 2]}, ["non-object-arguments"]),
    ("{a:[1}", {"a": [1]}, ["missing-closer"]),
    ("{a:{b:[1,2<tool_call|>", {"a": {"b": [1, 2]}}, ["missing-closer"] * 3),
    ("{a:~x~<tool_call|>", {"a": "x"}, ["missing-closer"]),
    ("{a:<tool_call|>", {}, ["missing-value", "missing-closer"]),
    ("{a<tool_call|>", {"input": "a"}, ["non-object-arguments", "missing-closer"]),
    ("{a:~x~)", {"a": "x"}, ["wrong-closer"]),
    ("{a:[~x~)}", {"a": ["x"]}, ["wrong-closer"]),
    ("{a:~x~]}", {"a": "x"}, ["extra-closer"]),
    ("{{a:1}<tool_call|>", {"a": 1}, ["missing-closer"]),
    ("a:1}", {"a": 1}, ["missing-opener"]),
    ("{a:1,a:2}", {"a": 2}, ["duplicate-key"]),
]


@pytest.mark.parametrize(("text", "value", "codes"), BROKEN)
def test_mended(text: str, value: dict[str, Any], codes: list[str]) -> None:
    found = read(text)
    assert found.value == value
    assert not found.cut
    assert found.codes == codes
    assert found.reader.recovered


def test_key_without_value_is_dropped() -> None:
    # the comma is no end of the number, since no key and colon follow it
    assert read("{a:1,b}").value == {"a": "1,b"}
    assert read("{a:~x~,b}").value == {"a": "x"}


TYPED: list[tuple[str, dict[str, Any]]] = [
    ("{name:42,count:3}", {"name": "42", "count": 3}),
    ("{name:None,note:None}", {"name": "None", "note": None}),
    ("{name:,count:3}", {"name": "", "count": 3}),
    ("{name:{k: 1, j: 2},count:1}", {"name": "{k: 1, j: 2}", "count": 1}),
    ("{name:[1, 2],count:1}", {"name": "[1, 2]", "count": 1}),
    ("{name:Hi, all: yes,count:1}", {"name": "Hi, all: yes", "count": 1}),
    ("{count:3,more:4}", {"count": 3, "more": 4}),
    ("{count:5.0}", {"count": 5}),
    ("{count:~5~}", {"count": "5"}),
    ("{opts:{text:7,other:7}}", {"opts": {"text": "7", "other": 7}}),
    ("{words:[1,~2~,true]}", {"words": ["1", "2", "true"]}),
    ("(~Bob~)", {"name": "Bob"}),
    ("{7}", {"name": "7"}),
]


@pytest.mark.parametrize(("text", "value"), TYPED)
def test_typed_by_the_schema(text: str, value: dict[str, Any]) -> None:
    assert read(text, schema=OPTS).value == value


CUT = [
    ("", "", "{}"),
    ("{", "", "{}"),
    ("{a", "{", "}"),
    ("{a:", "{", "}"),
    ("{a:1", "{", "}"),
    ("{a:1,", '{"a": 1', "}"),
    ("{a:wor", '{"a": "wor', '"}'),
    ("{a:~wor", '{"a": "wor', '"}'),
    ('{a:~wor<|"', '{"a": "wor', '"}'),
    ('{a:"wor\\', '{"a": "wor\\\\', '"}'),
    ("{a:[1,2", '{"a": [1', "]}"),
    ("{a:{b:~x~", '{"a": {"b": "x"', "}}"),
    ("({a:~x~}", '{"a": "x"}', ""),
]


@pytest.mark.parametrize(("text", "out", "closing"), CUT)
def test_cut(text: str, out: str, closing: str) -> None:
    found = read(text)
    assert found.cut
    assert (found.text, found.closing) == (out, closing)


def test_strings_stream() -> None:
    reader = TokenArgumentsReader(Q)
    assert reader.feed(f"{{a:{Q}x", 0, False) == 9
    assert reader.out == ["{", '"a": "', "x"]
    assert reader.fast("plain, {text}: ü") == "plain, {text}: ü"
    assert reader.fast("a < b") is None
    assert reader.fast('"line"\n') == '\\"line\\"\\n'
    assert reader.held == 0


def test_bare_strings_stream() -> None:
    reader = TokenArgumentsReader(Q)
    reader.feed("{a:word, ", 0, False)
    assert "".join(map(str, reader.out)) == '{"a": "word'
    reader.out.clear()
    reader.feed(", and more:", 0, False)
    reader = TokenArgumentsReader(Q)
    reader.feed("{a:12", 0, False)
    assert reader.out == ["{"]
    assert reader.held == 2


def test_too_deep() -> None:
    found = read("{a:[[[1]]]}", max_depth=3)
    assert found.cut
    assert found.codes == ["too-deep"]
    assert found.value == {"a": [[]]}
    assert read("{a:[[1]]}", max_depth=3).codes == []


@pytest.mark.parametrize(
    "text", ["{" + "k" * 60 + ":1}", "{~" + "k" * 60 + "~:1}", "{a:~x~,b:y" + " " * 60 + "}"]
)
def test_max_held(text: str) -> None:
    found = read(text, max_held=50)
    assert found.cut
    assert found.codes == ["max-held"]


def test_pickle_and_copy() -> None:
    text = f'{{a:{Q}x{Q},b:12,c:"y",d:[wor, z],e:{{f:{Q}'
    for at in range(len(text)):
        reader = TokenArgumentsReader(Q, Markers(), schema=OPTS)
        pos = reader.feed(text[:at], 0, False)
        expected = None
        for other in (reader, copy.deepcopy(reader), pickle.loads(pickle.dumps(reader))):
            other.feed(text[pos:], 0, True)
            found = (other.out, other.closing, other.cut)
            expected = expected or found
            assert found == expected


@pytest.mark.parametrize(
    "unit",
    [
        ",",
        ", a",
        ",a:",
        "{",
        "}",
        "[",
        "]",
        "a:",
        "x",
        " ",
        "<",
        '"',
        "\\",
        '\\ud83d"',
        Q,
        "<|",
        ":",
        "(",
        "\n",
        "{a:[",
    ],
)
@pytest.mark.parametrize("start", ["", "{a:", "{a:[", f"{{a:{Q}", '{a:"', "{a:b"])
def test_linear(unit: str, start: str) -> None:
    with time_out(20):  # what is quadratic here takes minutes
        Outcome([start + unit * (60_000 // len(unit))], schema=OPTS)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(max_size=12).filter(lambda s: Q not in s and not (s + Q).index(Q) < len(s))
_VALUES = st.recursive(
    _SCALARS | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z_]\w{0,6}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


def written(value: Any) -> str:
    """As the format writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(v) for v in value) + "]"
    return f"{Q}{value}{Q}" if isinstance(value, str) else json.dumps(value)


def cut_at(text: str, cuts: list[int]) -> list[str]:
    marks = sorted({c % (len(text) + 1) for c in cuts} | {0, len(text)})
    return [text[a:b] for a, b in zip(marks, marks[1:], strict=False)]


@given(
    st.dictionaries(st.from_regex(r"[a-z_]\w{0,6}", fullmatch=True), _VALUES, max_size=4),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_round_trip(value: dict[str, Any], cuts: list[int]) -> None:
    text = written(value)
    found = Outcome(cut_at(text, cuts), fast=True)
    assert found.value == value
    assert not found.cut
    assert found.codes == []
    assert found.end == len(text)


_PIECES = st.sampled_from(
    [Q, "{", "}", "[", "]", "(", ")", ",", ":", "=", " ", "\n", '"', "'", "\\", "\\u", "d83d", "\\ude00", "a", "name",
     "count", "opts", "words", "1", "-2.5e", "true", "None", "<", "<|", "<tool_call|>", "<tool_", "x, y", ", k:", "é",
     "😀"]
)  # fmt: skip


@given(
    st.lists(_PIECES, max_size=25).map("".join),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_anything(text: str, opened: bool, typed: bool, cuts: list[int]) -> None:
    text = "{" + text if opened else text
    options: dict[str, Any] = {"schema": OPTS if typed else None, "max_depth": 5, "max_held": 30}
    whole = Outcome([text], **options)
    assert isinstance(whole.value, dict)
    if whole.cut:
        assert json.loads((whole.text + whole.closing) or "{}") == whole.value
    for pieces in (list(text), cut_at(text, cuts)):
        for fast in (False, True):
            assert Outcome(pieces, fast=fast, **options).all() == whole.all()
