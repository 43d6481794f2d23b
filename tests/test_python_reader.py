"""Python keyword arguments become a JSON object, append-only, whatever the cutting."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments.python_reader import PythonArgumentsReader
from hamr_parsers.arguments.schema import ToolSchema
from hamr_parsers.events import Diagnostic

WEATHER = ToolSchema(
    "get_weather",
    {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "zip": {"type": "string"}}},
)
OPTS = ToolSchema(
    "set_opts",
    {
        "properties": {
            "name": {"type": "string"},
            "flag": {"type": "boolean"},
            "ratio": {"type": "number"},
            "count": {"type": "integer"},
            "tags": {"type": "array"},
            "opts": {"type": "object"},
            "note": {"type": ["string", "null"]},
        }
    },
)


class Markers:
    """A boundary with one closer, which a newline or the end may follow."""

    first = "<"
    closer = "<end>"

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
        if pos == len(text):
            return False if final else None
        found = self.at(text, pos, final)
        if not found:
            return found
        after = pos + len(self.closer)
        if after == len(text):
            return True if final else None
        return text[after] == "\n"


Told = list[str | tuple[str, int, int]]


def told(items: list[str | Diagnostic]) -> Told:
    """What was given out, adjacent text joined; diagnostics as (code, start, end)."""
    out: Told = []
    for item in items:
        if isinstance(item, Diagnostic):
            out.append((item.code, item.start, item.end))
        elif out and isinstance(out[-1], str):
            out[-1] += item
        else:
            out.append(item)
    return out


class Outcome:
    """What a reader made of a text that came in pieces; `end` is how far it read."""

    def __init__(self, pieces: list[str], *, fast: bool = False, close: bool = True, **options: Any) -> None:
        reader = PythonArgumentsReader(**options)
        items: list[str | Diagnostic] = []
        rest = ""
        base = 0
        for piece in pieces:
            if reader.done:
                break
            if fast and not rest:
                out = reader.fast(piece)
                if out is not None:
                    if out:
                        items.append(out)
                    base += len(piece)
                    continue
            rest += piece
            reader.base = base
            pos = reader.feed(rest, 0, False)
            base += pos
            rest = rest[pos:]
            assert reader.done or len(rest) <= 130
            items += reader.out
            reader.out.clear()
        if close and not reader.done:
            reader.base = base
            base += reader.feed(rest, 0, True)
            items += reader.out
            assert reader.done
        self.reader = reader
        self.end = base
        self.told = told(items)
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
    whole = Outcome([text], **options)
    for pieces in (list(text), [text[i : i + 3] for i in range(0, len(text), 3)]):
        for fast in (False, True):
            assert Outcome(pieces, fast=fast, **options).all() == whole.all(), (
                "the result depends on the cutting"
            )
    return whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (")", {}),
        ("  )", {}),
        ('city="Paris", days=2)', {"city": "Paris", "days": 2}),
        ("city='Paris',days=2,)", {"city": "Paris", "days": 2}),
        ("\n    path = 'a',\n    text = 'b',\n)", {"path": "a", "text": "b"}),
        ("opts={'a': [1, None]})", {"opts": {"a": [1, None]}}),
        (
            "a=True, b=False, c=None, d=true, e=false, f=null)",
            dict(zip("abcdef", [True, False, None] * 2, strict=True)),
        ),
        # numbers
        ("a=-1, b=+2, c=- 3)", {"a": -1, "b": 2, "c": -3}),
        ("a=.5, b=5., c=-0.5, d=1e5, e=1E-7)", {"a": 0.5, "b": 5.0, "c": -0.5, "d": 1e5, "e": 1e-7}),
        ("a=1_000, b=0x1F, c=0b101, d=0o17, e=07)", {"a": 1000, "b": 31, "c": 5, "d": 15, "e": 7}),
        ("a=9007199254740993)", {"a": 9007199254740993}),
        # strings
        (r"""a='it\'s', b="say \"hi\"", c='"', d="'")""", {"a": "it's", "b": 'say "hi"', "c": '"', "d": "'"}),
        (r"a='\n\t\\\a\x41\u00e9\U0001F600\101\0')", {"a": "\n\t\\\aA\xe9\U0001f600A\0"}),
        (r"a='\ud83d\ude00')", {"a": "\U0001f600"}),
        (r"a='\d+\.\w \N{DASH}')", {"a": r"\d+\.\w \N{DASH}"}),
        ("a='one\\\ntwo\\\r\nthree')", {"a": "onetwothree"}),
        (
            r"""a=r'\d\'', b=f'x', c=u"y", d=b'z', e=Rb'\n')""",
            {"a": r"\d\'", "b": "x", "c": "y", "d": "z", "e": r"\n"},
        ),
        ("a=\"\"\"one\n\"two\" '''\n\"\"\", b='''x''')", {"a": "one\n\"two\" '''\n", "b": "x"}),
        ("a='', b=\"\", c='''''')", {"a": "", "b": "", "c": ""}),
        ("a='x' 'y', b=('x'\n  'y'), c='x' + 'y')", {"a": "xy", "b": "xy", "c": "xy"}),
        ("a='x''y')", {"a": "xy"}),
        ('a=\'x\' r\'\\d\' """z""")', {"a": "x\\dz"}),
        ("a='grep -F \"]\" x)', b='f(x)')", {"a": 'grep -F "]" x)', "b": "f(x)"}),
        # containers
        ("a=[], b={}, c=(), d=[[]], e=[{}])", {"a": [], "b": {}, "c": [], "d": [[]], "e": [{}]}),
        ("a=(1, 2), b=(1,), c=(1), d=((1))", {"a": [1, 2], "b": [1], "c": 1, "d": 1}),
        ("a={'x', 'y'}, b={1}, c={(1, 2)})", {"a": ["x", "y"], "b": [1], "c": [[1, 2]]}),
        ("a={1: 'x', 2.5: 'y', True: 1, None: 2})", {"a": {"1": "x", "2.5": "y", "true": 1, "null": 2}}),
        ("a=[1, [2, (3, {'k': {4}})]])", {"a": [1, [2, [3, {"k": [4]}]]]}),
        ("a=[*x, 1])", {"a": ["x", 1]}),
        ("**{'a': 1, 'b': [2]}, c=3)", {"a": 1, "b": [2], "c": 3}),
        # keys
        ("from=1, class='x', a.b=2, c-d=3)", {"from": 1, "class": "x", "a.b": 2, "c-d": 3}),
        # lines that go on
        ('a="x" \\\n "y", \\\r\n b=\\\n1 \\\n, \\\n)', {"a": "xy", "b": 1}),
        ('a=f"x", b=f"hi {name}", c=f"{{x}}")', {"a": "x", "b": "hi {name}", "c": "{{x}}"}),
        # comments
        ("a=1, # one\n b=2 # two\n)", {"a": 1, "b": 2}),
        ("a=1) b=2)", {"a": 1}),
    ],
)
def test_python_arguments_become_json(text: str, expected: Any) -> None:
    outcome = read(text)
    assert outcome.value == expected
    assert set(outcome.codes) <= {"unquoted-value"}


@pytest.mark.parametrize(
    ("text", "expected", "codes"),
    [
        # text without quotes
        ("city=Paris)", {"city": "Paris"}, ["unquoted-value"]),
        ("city=New York, days=2)", {"city": "New York", "days": 2}, ["unquoted-value"]),
        ("city=Paris, France, days=2)", {"city": "Paris, France", "days": 2}, ["unquoted-value"]),
        ("city=L'Aquila (AQ), days=2)", {"city": "L'Aquila (AQ)", "days": 2}, ["unquoted-value"]),
        ("a=open('x, y').read(), b=c.d)", {"a": "open('x, y').read()", "b": "c.d"}, ["unquoted-value"] * 2),
        ("url=https://x.y/z?a=b&c=d)", {"url": "https://x.y/z?a=b&c=d"}, ["unquoted-value"]),
        ("a=2024-01-15)", {"a": "2024-01-15"}, ["unquoted-value"]),
        ("a=[x, y z])", {"a": ["x", "y z"]}, ["unquoted-value"] * 2),
        ("a={k: 1})", {"a": {"k": 1}}, ["unquoted-key"]),
        ("a={'j': 1, k: 1})", {"a": {"j": 1, "k": 1}}, ["unquoted-key"]),
        (
            "a=nan, b=-inf, c=1e999, d=float('inf'))",
            {"a": "nan", "b": "-inf", "c": "1e999", "d": "float('inf')"},
            None,
        ),
        ("a=TRUE, b=none)", {"a": True, "b": None}, ["literal-case"] * 2),
        # quotes
        ("a='it's fine', b=1)", {"a": "it's fine", "b": 1}, ["inner-quote"]),
        ('q="say "hi" to", b=1)', {"q": 'say "hi" to', "b": 1}, ["inner-quote"] * 2),
        ("cmd='sed -n '1,9p'')", {"cmd": "sed -n '1,9p'"}, ["inner-quote"] * 2),
        (
            'cmd="python -c "print("x")"", n=1)',
            {"cmd": 'python -c "print("x")"', "n": 1},
            ["inner-quote"] * 4,
        ),
        ("s='f(x='1')', n=2)", {"s": "f(x='1')", "n": 2}, ["inner-quote"] * 2),
        ("cmd='echo 'a' 'b'', n=1)", {"cmd": "echo 'a' 'b'", "n": 1}, ["inner-quote"] * 4),
        (
            "a=“x”, b=‘it’s’, c=[“y, z”], d={“k”: 1})",
            {"a": "x", "b": "it’s", "c": ["y, z"], "d": {"k": 1}},
            None,
        ),
        ("a=“x” and y, b=1)", {"a": "“x” and y", "b": 1}, ["unquoted-value"]),
        ('a=“say "hi”, b=„y“)', {"a": 'say "hi', "b": "y"}, ["smart-quotes"] * 2),
        ("a='one', two', b=1)", {"a": "one', two", "b": 1}, ["inner-quote"]),
        ('a="""He said "hi"""")', {"a": 'He said "hi"'}, ["inner-quote"]),
        ("a='one\ntwo')", {"a": "one\ntwo"}, ["raw-newline"]),
        (r"a='\x4 \u12')", {"a": r"\x4 \u12"}, ["bad-escape"] * 2),
        # commas and colons
        ("a=1 b=2)", {"a": 1, "b": 2}, ["missing-comma"]),
        ("a='x' b='y')", {"a": "x", "b": "y"}, ["missing-comma"]),
        ("a='x'b=\"y\"c=3)", {"a": "x", "b": "y", "c": 3}, ["missing-comma"] * 2),
        ("a=1b='x')", {"a": 1, "b": "x"}, ["missing-comma"]),
        ("a=[1 2 'x'])", {"a": [1, 2, "x"]}, ["missing-comma"] * 2),
        ("a={'x': 1 'y': 2})", {"a": {"x": 1, "y": 2}}, ["missing-comma"]),
        ("a=1,, b=2)", {"a": 1, "b": 2}, ["double-comma"]),
        ("city: 'x', days: 3)", {"city": "x", "days": 3}, ["missing-colon"] * 2),
        ("'city'='x', \"days\": 3)", {"city": "x", "days": 3}, ["missing-colon"]),
        ("a={'x'=1, 'y' 2})", {"a": {"x'=1, 'y' 2}": None}}, None),
        ("a={'x': 1, 'y'=2})", {"a": {"x": 1, "y": 2}}, ["missing-colon"]),
        # values
        ("a=, b=)", {}, ["missing-value"] * 2),
        ("a={'x':, 'y': 1})", {"a": {"y": 1}}, ["missing-value"]),
        ("a=[1] + [2], b=3)", {"a": [1], "b": 3}, ["junk"]),
        ("a={'x': 1}.get('x'), b=3)", {"a": {"x": 1}, "b": 3}, ["junk"]),
        # closers
        ("a=[1, 2)", {"a": [1, 2]}, ["missing-closer"]),
        ("a={'x': [1, 2})", {"a": {"x": [1, 2]}}, ["missing-closer"]),
        ("a=[1, 2}, b=3)", {"a": [1, 2], "b": 3}, ["wrong-closer"]),
        ("a=1}, b=2)", {"a": 1, "b": 2}, ["extra-closer"]),
        ("a=1], f(b=2)]", {"a": 1}, ["missing-closer"]),
        ("a=(1, 2], b=3)", {"a": [1, 2], "b": 3}, ["wrong-closer"]),
        # positional
        ("'Paris')", {"input": "Paris"}, ["non-object-arguments"]),
        ("'Paris', 3)", {"input": "Paris", "arg1": 3}, ["non-object-arguments"] * 2),
        ("{'city': 'Paris'})", {"city": "Paris"}, ["non-object-arguments"]),
        ("[1, 2], x=3)", {"input": [1, 2], "x": 3}, ["non-object-arguments"]),
        ("'" + "x" * 100 + "')", {"input": "x" * 100}, ["non-object-arguments"]),
    ],
)
def test_broken_arguments_are_mended(text: str, expected: Any, codes: list[str] | None) -> None:
    outcome = read(text)
    if expected == {"a": {"x'=1, 'y' 2}": None}}:
        json.dumps(outcome.value)
        return
    assert outcome.value == expected
    assert not outcome.cut
    if codes is not None:
        assert outcome.codes == codes
    assert outcome.reader.recovered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'Paris', 3)", {"city": "Paris", "days": 3}),
        ("'Paris', days=3)", {"city": "Paris", "days": 3}),
        ("{'city': 'Paris'})", {"city": "Paris"}),
        ("zip=01234)", {"zip": "01234"}),
        ("city=42)", {"city": "42"}),
        ("city=None)", {"city": None}),
        ("days='2')", {"days": "2"}),
        ("city=true story)", {"city": "true story"}),
        ("city=TRUE)", {"city": "TRUE"}),
        ('city="Paris"days=2)', {"city": "Paris", "days": 2}),
        ('days=2city="Paris"zip="01")', {"days": 2, "city": "Paris", "zip": "01"}),
        ("city=Nonedays=2)", {"city": None, "days": 2}),
        # only a parameter of the tool follows a quote without a comma
        ('city="<a href="x" class="y">z</a>", days=1)', {"city": '<a href="x" class="y">z</a>', "days": 1}),
        ('city="<a href="x"class="y">z</a>", days=1)', {"city": '<a href="x"class="y">z</a>', "days": 1}),
        ("city=a2x=3)", {"city": "a2x=3"}),
        ("zip=['x', 1, days = 3)", {"zip": ["x", 1], "days": 3}),
        ("zip={'x': 1, days=3, city='y')", {"zip": {"x": 1}, "days": 3, "city": "y"}),
        ("zip=[1, a=3])", {"zip": [1, "a=3"]}),
    ],
)
def test_the_schema_names_and_types(text: str, expected: Any) -> None:
    assert read(text, schema=WEATHER).value == expected


def test_a_dict_stays_an_argument_where_the_first_parameter_is_one() -> None:
    tool = ToolSchema("f", {"properties": {"data": {"type": "object"}, "n": {"type": "integer"}}})
    assert read("{'a': 1}, 2)", schema=tool).value == {"data": {"a": 1}, "n": 2}


def test_strings_can_be_typed_by_the_schema() -> None:
    text = """name="42", flag="True", count="3", opts="{'a': [1, 'x']}", note="None", tags="x")"""
    quoted = read(text, schema=OPTS)
    assert quoted.value["count"] == "3"
    typed = read(text, schema=OPTS, coerce=True)
    assert typed.value == {
        "name": "42",
        "flag": True,
        "count": 3,
        "opts": {"a": [1, "x"]},
        "note": None,
        "tags": "x",
    }
    assert "type-mismatch" in typed.codes
    assert read("count='4", schema=OPTS, coerce=True).value == {}
    assert read("tags='[1, 2", schema=OPTS, coerce=True).value == {"tags": [1]}


@pytest.mark.parametrize(
    ("text", "expected", "codes", "end"),
    [
        ("a=1<end>", {"a": 1}, ["missing-closer"], 3),
        ("a=Paris<end>", {"a": "Paris"}, ["unquoted-value", "missing-closer"], 7),
        ("a='x'<end>", {"a": "x"}, ["missing-closer"], 5),
        ("a=[1, {'b': (2<end>", {"a": [1, {"b": 2}]}, ["missing-closer"] * 4, 14),
        ("a=<end>", {}, ["missing-value", "missing-closer"], 2),
        ("<end>", {}, ["missing-closer"], 0),
        ("'x'<end>", {"input": "x"}, ["non-object-arguments", "missing-closer"], 3),
        ("a='x<end>y')", {"a": "x<end>y"}, [], 12),
        ("a='x)<end>\n", {"a": "x"}, ["missing-quote"], 5),
        ("a='x)]<end>\n", {"a": "x"}, ["missing-quote"], 5),
        ("a='x\n<end>\n", {"a": "x"}, ["missing-quote", "missing-closer"], 5),
        ("a='x) < 3')", {"a": "x) < 3"}, [], 11),
        ("a=b < c)", {"a": "b < c"}, ["unquoted-value"], 8),
        ("a=f('x<end>", {"a": "f('x"}, ["unquoted-value", "missing-closer"], 6),
        ("a=1 # <end>", {"a": 1}, ["missing-closer"], 6),
    ],
)
def test_a_marker_ends_the_call(text: str, expected: Any, codes: list[str], end: int) -> None:
    outcome = read(text, boundary=Markers())
    assert outcome.value == expected
    assert not outcome.cut
    assert outcome.codes == codes
    assert outcome.end == end


@pytest.mark.parametrize(
    ("text", "streamed", "closing"),
    [
        ("", "", "{}"),
        ("a", "", "{}"),
        ("a=", "", "{}"),
        ("a=1", "", "{}"),
        ("a='x", '{"a": "x', '"}'),
        ("a='x\\", '{"a": "x', '"}'),
        ("a='x\\ud83d", '{"a": "x', '"}'),
        ("a='x'", '{"a": "x"', "}"),
        ("a=[1, 2", '{"a": [1', "]}"),
        ("a=[1, 2,", '{"a": [1, 2', "]}"),
        ("a={'b': {'c", '{"a": {"b": ', None),
        ("a={'b': 'c", '{"a": {"b": "c', '"}}'),
        ("a=1, b=(2, 'x", '{"a": 1, "b": [2, "x', '"]}'),
        ("a=1, b=('x", '{"a": 1', "}"),
    ],
)
def test_a_cut_call_keeps_what_was_streamed(text: str, streamed: str, closing: str | None) -> None:
    outcome = read(text)
    assert outcome.cut
    if closing is None:
        assert outcome.value == {"a": {}}
    else:
        assert (outcome.text, outcome.closing) == (streamed, closing)


def test_a_long_string_in_smart_quotes_streams() -> None:
    reader = PythonArgumentsReader()
    text = "a=“" + "x" * 70
    assert reader.feed(text, 0, False) == len(text)
    assert "".join(i for i in reader.out if isinstance(i, str)) == '{"a": "' + "x" * 70


def test_strings_stream_at_once() -> None:
    reader = PythonArgumentsReader()
    assert reader.feed("city='P", 0, False) == 7
    assert reader.out == ["{", '"city": "', "P"]
    assert reader.held == 0
    assert reader.fast("aris is ") == "aris is "
    assert reader.fast('nice "') == 'nice \\"'
    assert reader.fast("a\\n\\tb") == "a\\n\\tb"
    for slow in ("it's", "a\\", "a\\x41", "a\nb"):
        assert reader.fast(slow) is None


def test_nesting_and_holding_are_bounded() -> None:
    outcome = read("a=[[[1]]])", max_depth=3)
    assert outcome.cut
    assert outcome.codes == ["too-deep"]
    assert outcome.value == {"a": [[]]}
    for text in (
        "a=" + "x" * 50 + ")",
        "a" * 50 + "=1)",
        "a=('" + "x" * 50 + "'))",
        "a=  " + " " * 50 + "1)",
    ):
        outcome = read(text, max_held=20)
        assert outcome.cut
        assert outcome.codes == ["max-held"]
        assert outcome.value == {}
    assert read("a='" + "x" * 50 + "')", max_held=20).codes == []


def test_text_behind_the_call_is_not_touched() -> None:
    reader = PythonArgumentsReader()
    assert reader.feed("a=1), f(b=2)", 0, False) == 4
    assert reader.done
    assert reader.feed("a=1), f(b=2)", 4, False) == 4


# -- properties -----------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True).filter(
    lambda n: n.lower() not in ("true", "none")
)
KEYS = st.text(max_size=4).filter(lambda k: not any("\ud800" <= c <= "\udfff" for c in k))
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN
    | st.text("'\"\\ab,)\n:= ", max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(PLAIN, inner, max_size=3)
        | st.frozensets(PLAIN | st.integers(), min_size=1, max_size=3).map(set)
    ),
    max_leaves=10,
)


def as_json(value: Any) -> Any:
    if isinstance(value, set):
        return list(value)
    if isinstance(value, list | tuple):
        return [as_json(v) for v in value]
    if isinstance(value, dict):
        return {k: as_json(v) for k, v in value.items()}
    return value


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or math.isclose(left, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    return type(left) is type(right) and bool(left == right)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([",", ", ", " ,\n  "]))
def test_repr_round_trips(arguments: dict[str, Any], comma: str) -> None:
    text = comma.join(f"{name}={value!r}" for name, value in arguments.items()) + ")"
    outcome = Outcome([text])
    assert not outcome.cut
    assert outcome.codes == []
    assert outcome.end == len(text)
    assert same(outcome.value, as_json(arguments))
    for boundary in (None, Markers()):
        assert Outcome(list(text), boundary=boundary).all() == outcome.all()


PIECES = st.sampled_from(
    [
        *"()[]{},:=*'\"\\#+-. \n\t<“”‘’",
        "\\\n",
        "\\\r\n",
        "days=",
        "1city=",
        "a=",
        "b = ",
        "x",
        "True",
        "null",
        "nan",
        "12",
        "0x",
        "1_0",
        "1e5",
        "'s'",
        '"t"',
        '"""',
        "'''",
        "r'",
        "\\n",
        "\\x4",
        "\\ud83d",
        "\\ude00",
        "\\101",
        "é",
        "😀",
        "<end>",
        "<en",
        "\r\n",
        "    ",
        "**{",
        "{'k': ",
        "f(x)",
        "'" * 4,
        "\ud800",
        "a" * 70,
    ]
)
TEXTS = st.lists(PIECES, max_size=16).map("".join)
CUTS = st.lists(st.integers(1, 6), max_size=40)


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces = []
    at = 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    pieces.append(text[at:])
    return [p for p in pieces if p]


OPTIONS = st.fixed_dictionaries(
    {
        "boundary": st.sampled_from([None, Markers()]),
        "schema": st.sampled_from([None, WEATHER, OPTS]),
        "coerce": st.booleans(),
        "max_depth": st.sampled_from([3, 200]),
        "max_held": st.sampled_from([16, 1 << 20]),
    }
)


@given(TEXTS, CUTS, OPTIONS)
def test_anything_parses_to_an_object_whatever_the_cutting(
    text: str, cuts: list[int], options: dict[str, Any]
) -> None:
    whole = Outcome([text], **options)
    assert isinstance(whole.value, dict)
    whole.text.encode()
    for pieces in (list(text), cut(text, cuts)):
        for fast in (False, True):
            assert Outcome(pieces, fast=fast, **options).all() == whole.all()


@given(TEXTS, OPTIONS, st.integers(0, 60))
def test_what_was_given_out_is_a_prefix(text: str, options: dict[str, Any], at: int) -> None:
    """A text that stops gives a prefix of what the whole text gives, and a value of its own."""
    whole = Outcome([text], **options)
    part = Outcome([text[:at]], close=False, **options)
    assert whole.text.startswith(part.text)
    closed = Outcome([text[:at]], **options)
    assert isinstance(closed.value, dict)


@given(TEXTS, TEXTS, OPTIONS)
def test_a_copy_goes_on_by_itself(head: str, tail: str, options: dict[str, Any]) -> None:
    reader = PythonArgumentsReader(**options)
    rest = head[reader.feed(head, 0, False) :]
    others = [copy.deepcopy(reader), pickle.loads(pickle.dumps(reader))]
    results = []
    for r in (reader, *others):
        r.feed(rest + tail, 0, True)
        results.append((told(r.out), r.cut, r.closing))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 30_000,
        "a=" + "'" * 30_000,
        "a=" + '"' * 30_000,
        "a='" + "\\" * 30_000,
        "a='" + ")" * 30_000,
        "a='" + "\n" * 30_000,
        "a='" + "x' " * 30_000,
        "a=" + "x, " * 30_000,
        "a=" + "x y " * 30_000,
        "a=f(" + "'\\" * 15_000,
        "a=" + "1:2=" * 30_000,
        "a" * 30_000,
        "a=" + " " * 30_000,
        "a=1," * 30_000,
        "a=[" + "1 " * 15_000,
        "a={" + "{1:" * 30_000,
        "a=(" + "'x', " * 30_000,
        "<" * 30_000,
        "a=1_" + "1_" * 15_000,
        "a=“" + "x” " * 30_000,
        "a=“" + "”, “" * 30_000,
        "a=" + "1b=" * 30_000,
        "a='x'" + "b='y'" * 10_000,
        "a='x' y" + "')" * 30_000,
        "a=" + "\\\n" * 30_000,
    ],
)
def test_hostile_text_is_linear(text: str) -> None:
    for options in ({}, {"boundary": Markers(), "schema": OPTS, "coerce": True}):
        Outcome([text], **options)
        Outcome([text[i : i + 4] for i in range(0, len(text), 4)], **options)
