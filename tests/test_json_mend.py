"""What is mended, into what, and with which diagnostics; and that mends do not depend on the cutting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments.json_reader import JsonReader

from .test_json_reader import Marker, containers, cuttings, every_cut, read, values

# (text, what is given out, codes)
COMMAS = [
    ('{"a": 1,}', '{"a": 1}', ["trailing-comma"]),
    ("[1, 2, ]", "[1, 2]", ["trailing-comma"]),
    ('{"a": [1,2,],}', '{"a": [1,2]}', ["trailing-comma", "trailing-comma"]),
    ('{"a": 1,, "b": 2}', '{"a": 1, "b": 2}', ["double-comma"]),
    ("[1,,2]", "[1,2]", ["double-comma"]),
    ("[,1]", "[1]", ["double-comma"]),
    ('{,"a": 1}', '{"a": 1}', ["double-comma"]),
    ('{"a": 1 "b": 2}', '{"a": 1 ,"b": 2}', ["missing-comma"]),
    ('{"a": "x" "b": 2}', '{"a": "x" ,"b": 2}', ["missing-comma"]),
    ('{"a": "x"\n "b": 2}', '{"a": "x"\n ,"b": 2}', ["missing-comma"]),
    ('{"a": {"x": 1} "b": 2}', '{"a": {"x": 1} ,"b": 2}', ["missing-comma"]),
    ('{"a": 1\n b: 2}', '{"a": 1\n ,"b": 2}', ["missing-comma", "unquoted-key"]),
    ('["a" "b"]', '["a" ,"b"]', ["missing-comma"]),
    ("[1 2]", "[1 ,2]", ["missing-comma"]),
    ('[{"a": 1} {"b": 2}]', '[{"a": 1} ,{"b": 2}]', ["missing-comma"]),
    ('{"a": 1; "b": 2}', '{"a": 1, "b": 2}', ["missing-comma"]),
]
QUOTES = [
    ("{'a': 'b'}", '{"a": "b"}', ["single-quotes"] * 2),
    ("{'a': \"it's\"}", '{"a": "it\'s"}', ["single-quotes"]),
    ("['say \"hi\"']", r'["say \"hi\""]', ["single-quotes"]),
    (r"['it\'s']", '["it\'s"]', ["single-quotes"]),
    ("['it's', 'b']", '["it\'s", "b"]', ["single-quotes", "inner-quote", "single-quotes"]),
    ("{'it's': 1}", '{"it\'s": 1}', ["single-quotes", "inner-quote"]),
    ('{a: 1, b_c: "x"}', '{"a": 1, "b_c": "x"}', ["unquoted-key", "unquoted-key"]),
    ('{a": 1}', '{"a": 1}', ["unquoted-key"]),
    ("[hello]", '["hello"]', ["unquoted-value"]),
    ('{"a": hello big, world, "b": 2}', '{"a": "hello big, world", "b": 2}', ["unquoted-value"]),
    ('{"a": foo(1, 2), "b": 2}', '{"a": "foo(1, 2)", "b": 2}', ["unquoted-value"]),
    ('{"a": x[0]}', '{"a": "x[0]"}', ["unquoted-value"]),
    ('{"a": 10 apples, "b": 2}', '{"a": "10 apples", "b": 2}', ["unquoted-value"]),
    ('{"a": 2024-01-01}', '{"a": "2024-01-01"}', ["unquoted-value"]),
    (r'{"p": C:\Users, "b": 1}', r'{"p": "C:\\Users", "b": 1}', ["unquoted-value"]),
    ('{"a": x", "b": 1}', '{"a": "x", "b": 1}', ["unquoted-value", "missing-quote"]),
    ('{"a": "x, "b": 1}', '{"a": "x", "b": 1}', ["missing-quote"]),
    ('{"a": "x, "b": "' + "y" * 99 + '"}', '{"a": "x", "b": "' + "y" * 99 + '"}', ["missing-quote"]),
    ('{"a": "x,\n  "b": "' + "y" * 99 + '"}', '{"a": "x",\n  "b": "' + "y" * 99 + '"}', ["missing-quote"]),
    ('{"a": "x, y, "b": [1]}', '{"a": "x, y", "b": [1]}', ["missing-quote"]),
    ('{"a": "x", "b: "y"}', '{"a": "x", "b": "y"}', ["missing-quote"]),
    ('{"a": 1, c d: 2}', '{"a": 1, "c d": 2}', ["unquoted-key"]),
    # the colon stands just beyond the look ahead
    ('{"a": 1, b c d e f g h ' + "x" * 50 + ": 2}", '{"a": 1}', ["junk", "trailing-comma"]),
    ("[red, green]", '["red", "green"]', ["unquoted-value"] * 2),
    ("{so be it}", '{"input": "so be it"}', ["unquoted-key", "unquoted-value"]),
    ('{["a"]}', '{"input": ["a"]}', ["unquoted-key"]),
    ('{"a: 1, "b": 2}', '{"a": 1, "b": 2}', ["missing-quote"]),
    ('{"a: "x", "b": 2}', '{"a": "x", "b": 2}', ["missing-quote"]),
]
INNER_QUOTES = [
    ('["say "hi" now"]', r'["say \"hi\" now"]'),
    ('["say "hi""]', r'["say \"hi\""]'),
    ('[""hi" he said"]', r'["\"hi\" he said"]'),
    ('{"a": "the "best", really", "c": 1}', r'{"a": "the \"best\", really", "c": 1}'),
    ('{"a": "print("hello", "world")"}', r'{"a": "print(\"hello\", \"world\")"}'),
    ('{"a": "x = ["a", "b"]", "n": 1}', r'{"a": "x = [\"a\", \"b\"]", "n": 1}'),
    ('{"a": "f(a["x"])"}', r'{"a": "f(a[\"x\"])"}'),
    ('{"a": "d["x"], d["y"]", "n": 1}', r'{"a": "d[\"x\"], d[\"y\"]", "n": 1}'),
    ('{"a": "{"b": 1, "c": "d"}"}', r'{"a": "{\"b\": 1, \"c\": \"d\"}"}'),
    ('{"a": "{"b": 1, "c": "d"}", "n": 1}', r'{"a": "{\"b\": 1, \"c\": \"d\"}", "n": 1}'),
    ('{"a": "<a href="x">y</a>", "n": 1}', r'{"a": "<a href=\"x\">y</a>", "n": 1}'),
]
LITERALS = [
    ("[True, False, None]", "[true, false, null]", ["python-literal"] * 3),
    ("[TRUE, False, NULL]", "[true, false, null]", ["literal-case", "python-literal", "literal-case"]),
    ("[NaN, Infinity, -Infinity]", "[null, null, null]", ["not-finite"] * 3),
    ('{"a": tru, "b": 1}', '{"a": "tru", "b": 1}', ["unquoted-value"]),
]
CHARACTERS = [
    ('["x\ny\r\nz"]', r'["x\ny\r\nz"]', ["raw-newline"] * 3),
    ('["x\ty\x01"]', r'["x\ty\u0001"]', ["control-character"] * 2),
    (r'["C:\Users\new"]', r'["C:\\Users\new"]', ["bad-escape"]),
    (r'["\d+\.\w"]', r'["\\d+\\.\\w"]', ["bad-escape"] * 3),
    (r'["\u12"]', r'["\\u12"]', ["bad-escape"]),
    (r'["\u12 x\u"]', r'["\\u12 x\\u"]', ["bad-escape"] * 2),
    (r'["it\'s"]', '["it\'s"]', ["bad-escape"]),
    ("[1,\xa02]", "[1,2]", ["junk"]),
]
MISSING = [
    ('{"a": }', '{"a": null}', ["missing-value"]),
    ('{"a": , "b": 1}', '{"a": null, "b": 1}', ["missing-value"]),
    ('{"a"}', '{"a": null}', ["missing-value"]),
    ('{"a": 1, "b"}', '{"a": 1, "b": null}', ["missing-value"]),
    ('{"a" 1}', '{"a" :1}', ["missing-colon"]),
    ('{"a" "x"}', '{"a" :"x"}', ["missing-colon"]),
    ('{"a" "x", "b" 3}', '{"a" :"x", "b" :3}', ["missing-colon", "missing-colon"]),
    ('{"a": "x", "b" "c d"}', '{"a": "x", "b" :"c d"}', ["missing-colon"]),
    ('{"a" = 1}', '{"a" : 1}', ["missing-colon"]),
    ('{"a" => 1}', '{"a" : 1}', ["missing-colon"]),
    ("{: 1}", '{"": 1}', ["unquoted-key"]),
    ('{"a":: 1}', '{"a": 1}', ["junk"]),
    ('{{"a": 1}', '{"a": 1}', ["junk"]),
]
CLOSERS = [
    ('{"a": [1}', '{"a": [1]}', ["missing-closer"]),
    ('{"a": [1}, "b": 2}', '{"a": [1], "b": 2}', ["wrong-closer"]),
    ('{"a": ["x"}, "b": 2}', '{"a": ["x"], "b": 2}', ["wrong-closer"]),
    ('{"a": ["x"}', '{"a": ["x"]}', ["missing-closer"]),
    ('{"a": [{"b": 1], "c": 2}', '{"a": [{"b": 1}], "c": 2}', ["missing-closer"]),
    ('[{"a": 1], {"b": 2}]', '[{"a": 1}, {"b": 2}]', ["wrong-closer"]),
    ('{"a": {"b": [1}}', '{"a": {"b": [1]}}', ["missing-closer"]),
    ('{"a": 1]', '{"a": 1}', ["wrong-closer"]),
    ('{"a": 1]}', '{"a": 1}', ["extra-closer"]),
    ('{"a": "x"]}', '{"a": "x"}', ["extra-closer"]),
    ('[{"a": 1, {"b": 2}]', '[{"a": 1}, {"b": 2}]', ["missing-closer"]),
    ('[{"a": "x", {"b": 2}]', '[{"a": "x"}, {"b": 2}]', ["missing-closer"]),
    ('{"n": {"a": {"x": 1], "b": 3}}', '{"n": {"a": {"x": 1}, "b": 3}}', ["wrong-closer"]),
    ('{"a": {"x": 1], "b": 3}}', '{"a": {"x": 1, "b": 3}}', ["extra-closer"]),
    ('{"a": [1]], "b": 2}', '{"a": [1], "b": 2}', ["extra-closer"]),
    ('{"a": ["x", "y" "b": 2}', '{"a": ["x", "y" ],"b": 2}', ["missing-closer", "missing-comma"]),
    (
        '{"a": [1\n "b": {"c": [{"d": 2} "e": 3}}',
        '{"a": [1\n ],"b": {"c": [{"d": 2} ],"e": 3}}',
        ["missing-closer", "missing-comma"] * 2,
    ),
]
ESCAPED = [
    (r"{\"a\": \"b\"}", '{"a": "b"}'),
    (r"{\n \"a\": [\"b\", {\"c\": 1}]\n}", '{ "a": ["b", {"c": 1}]}'),
    (r'{"a": {\"b\": \"x\\ny \\\"q\\\" \\\\ \u00e9\"}}', r'{"a": {"b": "x\ny \"q\" \\ \u00e9"}}'),
    (r"[{\"a\": 1}]", '[{"a": 1}]'),
]
NUMBERS = [
    ("[+1, 007, -007, 00]", "[1, 7, -7, 0]", ["number-format"] * 4),
    ("[.5, 5., -.5, +.5, 5.e3]", "[0.5, 5.0, -0.5, 0.5, 5.0e3]", ["number-format"] * 5),
    ("[0x1F, -0x1f, 0b101, 0o17]", "[31, -31, 5, 15]", ["number-format"] * 4),
    ("[1_000, 1_0.5]", "[1000, 10.5]", ["number-format"] * 2),
    ('{"a": .5 , "b": 1_000\n}', '{"a": 0.5 , "b": 1000\n}', ["number-format"] * 2),
    ('{"a": 0x, "b": 1__0}', '{"a": "0x", "b": "1__0"}', ["unquoted-value"] * 2),
    (
        '{"a": 1.2.3, "b": +49 30 1, "c": ["x", .5, "y", +1]}',
        '{"a": "1.2.3", "b": "+49 30 1", "c": ["x", 0.5, "y", 1]}',
        ["unquoted-value"] * 2 + ["number-format"] * 2,
    ),
    ("[0x" + "f" * 70 + "]", '["0x' + "f" * 70 + '"]', ["unquoted-value"]),
]
COMMENTS = [
    ('{"a": 1, // one\n "b": 2}', '{"a": 1, \n "b": 2}', ["junk"]),
    ('{"a": 1, # one\n "b": 2 # two\n}', '{"a": 1, \n "b": 2 \n}', ["junk"] * 2),
    ('{"a": 1 /* , "x": 3 */, "b": 2}', '{"a": 1 , "b": 2}', ["junk"]),
    ('{/* k */"a"/* k */: /* v */ 1 /* e */}', '{"a":  1 }', ["junk"] * 4),
    ('{ // first\n"a": "x" // "one", 2\n, "b": "y" # }\n}', '{ \n"a": "x" \n, "b": "y" \n}', ["junk"] * 3),
    ('{"a": "x", // one\n // two\n "b": 1}', '{"a": "x", \n \n "b": 1}', ["junk"] * 2),
    ('{"a": "x", /* ' + "y" * 99 + ' */ "b": 1}', '{"a": "x",  "b": 1}', ["junk"]),
    ('{"a": "x", // ' + "y" * 99 + '\n "b": 1}', '{"a": "x", \n "b": 1}', ["junk"]),
    ("[1, // one\n 2, /* two */ 3]", "[1, \n 2,  3]", ["junk"] * 2),
    ('{"a": # one\n 1}', '{"a": \n 1}', ["junk"]),
    ('{"a": 1, /* last */}', '{"a": 1}', ["junk", "trailing-comma"]),
    ("[/* none */]", "[]", ["junk"]),
    ("[1, /* a ** b / */ 2]", "[1,  2]", ["junk"]),
    # no comments
    (
        '{"a": #fff, "b": //x/y, "c": /x/*}',
        '{"a": "#fff", "b": "//x/y", "c": "/x/*"}',
        ["unquoted-value"] * 3,
    ),
    ('{"a": #fff\n, "b": #eee\n}', '{"a": "#fff", "b": "#eee"}', ["unquoted-value"] * 2),
    ('{"a": 10 / 2, "b": 5 #1, "c": 3}', '{"a": "10 / 2", "b": "5 #1", "c": 3}', ["unquoted-value"] * 2),
    ('{"a": "<a href="#x">y</a>", "b": 1}', r'{"a": "<a href=\"#x\">y</a>", "b": 1}', ["inner-quote"] * 2),
]
SMART_QUOTES = [
    ("{“a”: “x, y”, „b“: [‘z’, ”w”]}", '{"a": "x, y", "b": ["z", "w"]}', ["smart-quotes"] * 5),
    ("{“a”: “say “hi” now”, “b”: ‘it’s’}", '{"a": "say “hi” now", "b": "it’s"}', ["smart-quotes"] * 4),
    ('{"a": “say "hi" to”, "b": “x"}', r'{"a": "say \"hi\" to", "b": "x"}', ["smart-quotes"] * 2),
    (
        '{“a": 1, "b”: "x", c”: 2}',
        '{"a": 1, "b": "x", "c": 2}',
        ["smart-quotes", "missing-quote", "unquoted-key"],
    ),
    ("[“x” ”y”]", '["x" ,"y"]', ["smart-quotes", "missing-comma", "smart-quotes"]),
    ("[“" + "x" * 99 + "”, “\n”]", '["' + "x" * 99 + r'", "\n"]', ["smart-quotes"] * 2 + ["raw-newline"]),
    ('{"a": “Foo” is a film, "b": 1}', '{"a": "“Foo” is a film", "b": 1}', ["unquoted-value"]),
]
TRIPLE_QUOTES = [
    ('{"a": """x""", "b": 1}', '{"a": "x", "b": 1}', ["triple-quotes"]),
    (
        '{"a": """one\n\t"two" \'\', x""", "b": 1}',
        r'{"a": "one\n\t\"two\" ' + "''" + ', x", "b": 1}',
        ["triple-quotes"],
    ),
    ('{"a": """""", "b": ""}', '{"a": "", "b": ""}', ["triple-quotes"]),
    ('["""say "hi"""", """""x"""]', r'["say \"hi\"", "\"\"x"]', ["triple-quotes"] * 2),
    (r'["""\n \" \u00e9 \d"""]', r'["\n \" \u00e9 \\d"]', ["triple-quotes", "bad-escape"]),
    (
        "{'a': '''it's\n\"x\"''', 'b': ''}",
        r"""{"a": "it's\n\"x\"", "b": ""}""",
        ["single-quotes", "triple-quotes"] + ["single-quotes"] * 2,
    ),
    ('{"a": """, "b": 1}', r'{"a": "\"", "b": 1}', ["inner-quote"]),
    ('["""' + "x\ny" * 99 + '"""]', '["' + r"x\ny" * 99 + '"]', ["triple-quotes"]),
]
TUPLES = [
    ('{"a": (1, 2), "b": 3}', '{"a": [1, 2], "b": 3}', ["python-literal"]),
    ('[("x", "y"), (), (1,)]', '[["x", "y"], [], [1]]', ["python-literal"] * 3 + ["trailing-comma"]),
    (
        '{"a": [(1, (2, "z")), ({"b": (3, 4)}, [5])]}',
        '{"a": [[1, [2, "z"]], [{"b": [3, 4]}, [5]]]}',
        ["python-literal"] * 4,
    ),
    (
        '{"a": (1, 2], "b": (3, x y)}',
        '{"a": [1, 2], "b": [3, "x y"]}',
        ["python-literal"] * 2 + ["unquoted-value"],
    ),
    ('{"a": ("' + "x" * 99 + '", True)}', '{"a": ["' + "x" * 99 + '", true]}', ["python-literal"] * 2),
    (
        '{"a": (see below), "b": (555) 123-4567}',
        '{"a": "(see below)", "b": "(555) 123-4567"}',
        ["unquoted-value"] * 2,
    ),
    ('{"a": (1, 2) is it, "b": ("x")}', r'{"a": "(1, 2) is it", "b": "(\"x\")"}', ["unquoted-value"] * 2),
]
TABLE = [
    *COMMAS,
    *[(a, b, ["bad-escape"]) for a, b in ESCAPED],
    *QUOTES,
    *[(a, b, ["inner-quote"] * (b.count("\\") - a.count("\\"))) for a, b in INNER_QUOTES],
    *LITERALS,
    *CHARACTERS,
    *MISSING,
    *CLOSERS,
    *NUMBERS,
    *COMMENTS,
    *SMART_QUOTES,
    *TRIPLE_QUOTES,
    *TUPLES,
]


@pytest.mark.parametrize(("text", "out", "codes"), TABLE)
def test_mends(text: str, out: str, codes: list[str]) -> None:
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts)
        assert (got.text, got.codes, got.cut, got.end) == (out, codes, False, len(text))
        assert got.recovered
    json.loads(out)


@pytest.mark.parametrize(("text", "out", "codes"), TABLE)
def test_mends_are_the_same_in_a_deeper_place(text: str, out: str, codes: list[str]) -> None:
    """The rest of the text after a mend is read as if nothing had been wrong."""
    got = read(f'[{{"k": {text}, "next": [true, "x"]}}]')
    assert got.value == [{"k": json.loads(out), "next": [True, "x"]}]


@pytest.mark.parametrize(
    ("text", "out", "codes"),
    [
        ('{"a": [1, 2</c>', '{"a": [1, 2]}', ["missing-closer"]),
        ('{"a": "x", </c>', '{"a": "x"}', ["trailing-comma", "missing-closer"]),
        ('{"a": </c>', '{"a": null}', ["missing-value", "missing-closer"]),
        ('{"a" </c>', '{"a" : null}', ["missing-value", "missing-closer"]),
        ('{"a": tru</c>', '{"a": "tru"}', ["unquoted-value", "missing-closer"]),
        ('{"a": True</c>', '{"a": true}', ["python-literal", "missing-closer"]),
        ('{"a": so be it</c>', '{"a": "so be it"}', ["unquoted-value", "missing-closer"]),
        ('{"a": "x\n</c>', '{"a": "x"\n}', ["missing-quote", "missing-closer"]),
        ('{"a": 1, "b\n</c>', '{"a": 1\n}', ["missing-quote", "missing-value", "missing-closer"]),
        ('{"a": @ 1 </c>', '{"a": "@ 1"}', ["unquoted-value", "missing-closer"]),
        ('{"a": {"b": "Oslo}}\n</c>', '{"a": {"b": "Oslo"}}', ["missing-quote"]),
        ('{"a": ["Oslo]}\n</c>', '{"a": ["Oslo"]}', ["missing-quote"]),
        ('{"a": 1 // one</c>', '{"a": 1 }', ["junk", "missing-closer"]),
        ('{"a": 1, /* one\n</c>', '{"a": 1}', ["junk", "trailing-comma", "missing-closer"]),
        ('{"a": """one\n</c>', '{"a": "one"\n}', ["triple-quotes", "missing-quote", "missing-closer"]),
        ('{"a": (1, 2</c>', '{"a": [1, 2]}', ["python-literal", "missing-closer"]),
        ("</c>", "null", ["missing-value"]),
    ],
)
def test_a_marker_ends_the_value(text: str, out: str, codes: list[str]) -> None:
    make = lambda: JsonReader(Marker())  # noqa: E731
    for tail in ("", " more"):
        for cuts in [[], *every_cut(text + tail)]:
            got = read(text + tail, cuts, make)
            assert (got.text, got.codes, got.cut) == (out, codes, False)
            assert (text + tail)[got.end :] == "</c>" + tail or text[got.end :].lstrip() == "</c>"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "</c>"}',
        '{"a": "x}</c>"}',
        '{"a": "x</c>\ny"}',
        '{"a": "x\n </ c>", "b": ["</c", 1]}',
        "{'a': '</c>'}",
        "[<d>, </d]",
    ],
)
def test_a_marker_inside_a_string_is_data(text: str) -> None:
    got = read(text, every_cut(text)[0], lambda: JsonReader(Marker()))
    assert got.end == len(text)
    assert not got.cut
    assert "missing-closer" not in got.codes


def test_a_bracket_that_begins_a_marker_is_not_given_out_as_an_array() -> None:
    class Bracket(Marker):
        first = "["

        def at(self, text: str, pos: int, final: bool) -> bool | None:
            if text.startswith("[END]", pos):
                return True
            return None if not final and "[END]".startswith(text[pos:]) else False

    text = '{"a": [1, [2]], "b": [END]'
    for cuts in [[], *every_cut(text)]:
        got = read(text, cuts, lambda: JsonReader(Bracket()))
        assert got.text == '{"a": [1, [2]], "b": null}'


def test_what_is_held_for_a_mend_is_bounded() -> None:
    """A quote that may be an inner one waits for at most 64 characters."""
    reader = JsonReader()
    reader.feed('{"a": "x" ', 0, False)
    text = "y" * 80
    assert reader.feed(text, 0, False) > 0


# -- any text -------------------------------------------------------------------------------------------------

ALPHABET = [
    *'{}[]:,"\'\\ \n</=;()#@',
    '"', '", "', '": ', CLOSER := "</c>", "\n</c>", "True", "tru", "None", "NaN", "1", "-", ".5", "e9", "name: ", "a b",
    "\\u12", "\\ud83d", "\\ude00", "é😀", "\u2028", "\t", "\x01", "\xa0", "    ",
    "//", "=>", "“", "”", "‘", "’", '"""', "'''", "/*", "*/", " # ", " // ", "(1, ", ")", "0x1f", "+.5",
    "x" * 70,
]  # fmt: skip


def unescaped(value: Any) -> str:
    return json.dumps(value).replace('\\"', '"').replace("\\n", "\n")


@st.composite
def broken(draw: st.DrawFn, value: st.SearchStrategy[Any] = containers | values) -> str:
    """A JSON text, in one of several spellings, with a few characters deleted, doubled, put in or moved."""
    dump = draw(st.sampled_from([json.dumps, repr, unescaped, lambda v: json.dumps(v, indent=1)]))
    text: str = dump(draw(value))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(text)))
        how = draw(st.sampled_from(["put", "put", "delete", "delete", "cut", "double", "move"]))
        if how == "put":
            text = text[:at] + draw(st.sampled_from(ALPHABET)) + text[at:]
        elif how == "delete":
            text = text[:at] + text[at + draw(st.integers(1, 6)) :]
        elif how == "cut":
            text = text[:at] if draw(st.booleans()) else text
        else:
            size = draw(st.integers(1, 12))
            piece = text[at : at + size]
            if how == "move":
                text = text[:at] + text[at + size :]
            to = draw(st.integers(0, len(text)))
            text = text[:to] + piece + text[to:]
    return text + draw(st.sampled_from(["", "", "</c>", "\n</c>", " x", '"}]}']))


boundaries = st.sampled_from([None, Marker()])
depths = st.sampled_from([200, 3])


@given(broken(), boundaries, depths, st.data())
def test_any_text_gives_the_same_json_in_any_cutting(
    text: str, boundary: Marker | None, depth: int, data: st.DataObject
) -> None:
    make = lambda: JsonReader(boundary, depth)  # noqa: E731
    whole = read(text, [], make)
    json.dumps(whole.value)
    for cuts in [*every_cut(text), data.draw(cuttings(text))]:
        assert read(text, cuts, make).facts == whole.facts


@given(broken(), boundaries)
def test_what_was_given_out_is_never_taken_back(text: str, boundary: Marker | None) -> None:
    """Also while more could come: the text so far and the closing text of any prefix are JSON."""
    reader = JsonReader(boundary)
    pos = reader.feed(text, 0, False)
    so_far = "".join(item for item in reader.out if isinstance(item, str))
    whole = read(text, [], lambda: JsonReader(boundary))
    assert whole.text.startswith(so_far)
    assert reader.done or len(text) - pos <= 74


@given(st.text(st.sampled_from("".join(ALPHABET)), max_size=60), boundaries)
def test_noise(text: str, boundary: Marker | None) -> None:
    make = lambda: JsonReader(boundary)  # noqa: E731
    whole = read(text, [], make)
    json.dumps(whole.value)
    assert read(text, every_cut(text)[0], make).facts == whole.facts
