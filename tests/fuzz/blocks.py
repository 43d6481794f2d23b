"""What the texts of the fuzzer are made of.

Theory. Everything known about a family comes from the registry (its markers and canonical spellings) and from
its fixtures (texts to mutilate), so a family comes under test by being registered. The interesting texts lie
close to real ones: a real call with one token dropped, doubled, swapped or replaced. So besides whole blocks
there is a tokenizer (markers, JSON punctuation, words, blanks) whose tokens are shuffled a little, and a
"soup" that is drawn token by token.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .draw import Draw

LONG = 70_000
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def _tool(
    name: str,
    properties: dict[str, Any],
    required: list[str] | None = None,
    definitions: dict[str, Any] | None = None,
) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if definitions:
        parameters["$defs"] = definitions
    if required:
        parameters["required"] = required
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


# The tools of the sheets' samples: most fixture texts call these.
TOOLS: list[dict[str, Any]] = [
    _tool("get_weather", {"city": {"type": "string"}, "days": {"type": "integer"}}, ["city"]),
    _tool("now", {}),
    _tool("write_file", {"path": {"type": "string"}, "content": {"type": "string"}}, ["path", "content"]),
    _tool(
        "set_opts",
        {
            "name": {"type": "string"},
            "flag": {"type": "boolean"},
            "ratio": {"type": "number"},
            "count": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "opts": {"type": "object"},
            "note": {"type": ["string", "null"]},
        },
    ),
]

# Every construct of JSON Schema that a value's type may come from.
RICH_TOOLS: list[dict[str, Any]] = [
    *TOOLS,
    _tool(
        "deep.tool-1:x",
        {
            "u": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "v": {"oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "number"}}]},
            "r": {"$ref": "#/$defs/node"},
            "e": {"enum": ["on", "off", 1, None]},
            "c": {"const": 5},
            "n": {"type": "object", "nullable": True},
            "l": {"type": ["number", "boolean", "null"]},
            "a": {"allOf": [{"type": "object"}, {"properties": {"k": {"type": "boolean"}}}]},
            "city": {"type": ["object", "string"]},
            "any": {},
        },
        definitions={"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    ),
    _tool("one", {"only": {"type": "array", "items": {"type": "string"}}}, ["only"]),
]

NAMES = ("get_weather", "now", "write_file", "set_opts", "deep.tool-1:x", "one")
ODD_NAMES = (
    "nope", "get_weathe", "get_weather2", "Get_Weather", "functions.now", "a b", "", "n" * 300, "näme", "x\n",
    "\U0001f600", "null", "name", "now()", "get-weather", '"now"', "now>", "now[", "function",
)  # fmt: skip
KEYS = ("city", "days", "path", "content", "name", "flag", "ratio", "count", "tags", "opts", "note", "u", "v", "r",
        "e", "c", "n", "l", "a", "any", "only", "arguments", "parameters", "id", "type", "x y", "ключ", "")  # fmt: skip
CALL_KEYS = (
    "name",
    "arguments",
    "parameters",
    "id",
    "type",
    "function",
    "input",
    "tool",
    "args",
    "extra",
    "description",
)

WORDS = ("I ", "will ", "look ", "it up", ". ", "Paris", "the ", "weather", "42", " is ", "x<y ", "a>b",
         "{this}", "[see] ", "f(x)", "e.g. ", "\n", "\n\n", "- item\n",
         "# Title\n", "| a | b |\n", "**bold** ", "1. ")  # fmt: skip
BLANKS = (" ", "\n", "\n\n", "\t", "  ", "\r\n", "\r", " \n ", "\u00a0", "\u2028", "\x0b", "\x0c", "\ufeff")
ODD_CHARACTERS = (
    "é", "e\u0301", "\u0301", "\u200d", "👩\u200d💻", "\U0001f600", "\U0010ffff", "漢字", "\u202e",
    "\u00ad", "\ud83d",
    "\ude00", "\ud83d\ude00", "\x00", "\x01", "\x07", "\x1b[0m", "\x7f", "\x85", "\ufffd", "\uffff",
    "İ", "ß", "ﬁ",
)  # fmt: skip
ESCAPES = (
    "\\n", "\\\\", '\\"', "\\/", "\\t", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\ude00\\ud83d",
    "\\uD83D\\u0041", "\\u12", "\\u", "\\", "\\x41", "\\d", "\\'", "C:\\Users\\new", "\\\\\\",
    "\\u00zz", "\\0", "\\\n",
)  # fmt: skip
CODE = (
    "```python\nprint('hi')\n```\n", "```json\n", "```\n", "\n```", "```", "~~~\n", "`inline`", "`",
    "``", "   ```tool_call\n",
    "    ```\n", "def f(x):\n    return {\"a\": [x]}\n", "<div class=\"a\">&amp;</div>", "<!-- c -->",
    "if a < b and b > c:\n",
    "#include <functional>\n", "x = {'name': 'now', 'arguments': {}}\n", "get_weather(city=\"Paris\")",
    "now()", "$(echo)",
    "SELECT * FROM t;\n", "<function>", "```tool_code\n", "> quote\n", "````\n",
)  # fmt: skip
LITERALS = ("null", "true", "false", "None", "True", "False", "TRUE", "NULL", "nan", "NaN", "Infinity", "-Infinity",
            "0", "-1", "3.0", "5.0", "1e5", "1E+400", "-0", "007", "+1", ".5", "1.", "0x1F", "1_000",
            "9" * 30, "-", "tru",
            "undefined", "1-2", "--1", "1e", "12:30", "2024-01-01")  # fmt: skip
PUNCTUATION = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "'",
    '""',
    "{}",
    "[]",
    '": ',
    '", "',
    "}}",
    "]}",
    "{{",
    "(",
    ")",
    "=",
    ";",
)

_TOKEN = re.compile(r"\s+|\w+|\\.|[^\w\s]", re.DOTALL)


@dataclass(frozen=True)
class Vocabulary:
    """What the fuzzer knows about one family."""

    family: str
    markers: tuple[str, ...]
    seeds: tuple[str, ...]
    canonical: Mapping[str, str]
    token: re.Pattern[str]

    @property
    def longest(self) -> int:
        """The length of the longest marker."""
        return max(map(len, self.markers), default=1)


def families() -> list[str]:
    """The ids of the registered families that have a grammar."""
    import hamr_parsers as hp

    return [family.id for family in hp.list_families() if family.kind == "grammar"]


@functools.cache
def fixtures(family: str) -> list[dict[str, Any]]:
    """The case records of the family, `fixtures/<family>/*.jsonl`."""
    records = []
    for path in sorted((FIXTURES / family).glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            records += [json.loads(line) for line in lines if line.strip()]
    return records


@functools.cache
def vocabulary(family: str) -> Vocabulary:
    """The markers, canonical spellings and fixture texts of a family (of all of them for `auto`)."""
    import hamr_parsers as hp
    from hamr_parsers.families.dialects import marker_texts

    if family == "auto":
        parts = [vocabulary(each) for each in families()]
        markers = tuple(dict.fromkeys(m for p in parts for m in p.markers))
        return Vocabulary("auto", markers, tuple(s for p in parts for s in p.seeds), {}, _tokenizer(markers))
    entry = hp.get_family(family)
    found = [*marker_texts(family), *entry.special_tokens]
    markers = tuple(dict.fromkeys(m for m in found if m.strip()))
    seeds = tuple(record["text"] for record in fixtures(family))
    return Vocabulary(family, markers, seeds, entry.canonical, _tokenizer(markers))


def _tokenizer(markers: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(markers, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, longest_first), _TOKEN.pattern]), re.DOTALL)


# --- small things ------------------------------------------------------------------------------------------


def near_miss(draw: Draw, text: str) -> str:
    """The text with one slip in it: a character dropped, doubled, changed, a blank inside, other case, cut."""
    if not text:
        return "<"
    at = draw.number(0, len(text) - 1)
    kind = draw.number(0, 8)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[: at + 1] + text[at:]
    if kind == 2:
        return text[:at] + draw.pick(("x", "<", "_", "/", "|", "｜", "[", ">", "é")) + text[at + 1 :]
    if kind == 3:
        return text[:at] + draw.pick((" ", "\n", "\t")) + text[at:]
    if kind == 4:
        return text.upper() if draw.chance(50) else text.capitalize()
    if kind == 5:
        return text[: at + 1]
    if kind == 6:
        return text[at:]
    if kind == 7:
        return text[0] + text
    return "".join(draw.pick((" ", "")) + c for c in text)


def blanks(draw: Draw) -> str:
    """A run of blanks, now and then longer than any look-ahead."""
    if draw.chance(10):
        return draw.pick((" ", "\n", " \n")) * draw.number(10, 150)
    return "".join(draw.pick(BLANKS) for _ in range(draw.number(1, 3)))


def prose(draw: Draw) -> str:
    return "".join(draw.pick(WORDS) for _ in range(draw.number(1, 8)))


def run(draw: Draw) -> str:
    """One character over and over, about as often as some limit: of a window, a name, a marker."""
    return draw.pick("n`\\\"'[{}<n9,(") * draw.pick((15, 17, 63, 64, 65, 160, 255, 256, 257, 300))


def noise(draw: Draw) -> str:
    if draw.chance(15):
        return run(draw)
    kinds = (ODD_CHARACTERS, ESCAPES, PUNCTUATION, LITERALS)
    return "".join(draw.pick(draw.pick(kinds)) for _ in range(draw.number(1, 5)))


def code(draw: Draw) -> str:
    return "".join(draw.pick(CODE) for _ in range(draw.number(1, 3)))


def name(draw: Draw) -> str:
    return draw.pick(ODD_NAMES) if draw.chance(20) else draw.pick(NAMES)


# --- JSON --------------------------------------------------------------------------------------------------


def string_text(draw: Draw, vocabulary: Vocabulary) -> str:
    """What may stand in a string value, as it is (not escaped)."""
    parts = []
    for _ in range(draw.number(0, 4)):
        kind = draw.number(0, 6)
        if kind <= 1:
            parts.append(prose(draw))
        elif kind == 2:
            parts.append(draw.pick(ODD_CHARACTERS))
        elif kind == 3:
            parts.append(draw.pick(vocabulary.markers or ("x",)))
        elif kind == 4:
            parts.append(draw.pick(CODE))
        elif kind == 5:
            parts.append(draw.pick(ESCAPES))
        else:
            parts.append(draw.pick((*PUNCTUATION, *LITERALS, *BLANKS)))
    return "".join(parts)


def value(draw: Draw, vocabulary: Vocabulary, depth: int = 2) -> Any:
    """A JSON value; depth bounds its nesting."""
    if depth == 2 and draw.chance(5):
        return nested(draw, vocabulary)
    kind = draw.number(0, 9)
    if kind <= 4 or depth <= 0 and kind >= 7:
        return string_text(draw, vocabulary)
    if kind == 5:
        return draw.pick((0, 1, -7, 0.5, 1e300, 10**25, 3.0))
    if kind == 6:
        return draw.pick((True, False, None))
    if kind == 7:
        return [value(draw, vocabulary, depth - 1) for _ in range(draw.number(0, 3))]
    return arguments(draw, vocabulary, depth - 1)


def nested(draw: Draw, vocabulary: Vocabulary) -> Any:
    """A value around the usual limits of depth."""
    inner: Any = value(draw, vocabulary, 0)
    for _ in range(draw.number(2, 10)):
        kind = draw.number(0, 3)
        inner = [inner] if kind <= 1 else {draw.pick(KEYS): inner} if kind == 2 else [1, inner, 2]
    return inner


def arguments(draw: Draw, vocabulary: Vocabulary, depth: int = 2) -> dict[str, Any]:
    return {draw.pick(KEYS): value(draw, vocabulary, depth) for _ in range(draw.number(0, 3))}


def dump(draw: Draw, data: Any) -> str:
    """Well-formed JSON text of the data, in one of the usual layouts."""
    style = draw.number(0, 4)
    if style <= 1:
        text = json.dumps(data, ensure_ascii=False)
    elif style == 2:
        text = json.dumps(data)
    elif style == 3:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(data, indent=2)
    return text


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.\w]+|\s+|[\[\]{}:,]|.', re.DOTALL)


def broken_json(draw: Draw, text: str) -> str:
    """The JSON text with one to three of the slips that models make."""
    for _ in range(draw.number(1, 3)):
        tokens = _JSON_TOKEN.findall(text)
        if not tokens:
            return text
        text = draw.pick(_BREAKERS)(draw, tokens)
    return text


def _where(draw: Draw, tokens: list[str], test: Callable[[str], bool]) -> int | None:
    places = [i for i, token in enumerate(tokens) if test(token)]
    return draw.pick(places) if places else None


def _trailing_comma(draw: Draw, tokens: list[str]) -> str:
    at = _where(draw, tokens, lambda t: t in "]}")
    if at is not None:
        tokens.insert(at, draw.pick((",", ", ", ",,", ",\n")))
    return "".join(tokens)


def _replace(
    test: Callable[[str], bool], make: Callable[[Draw, str], str]
) -> Callable[[Draw, list[str]], str]:
    def breaker(draw: Draw, tokens: list[str]) -> str:
        at = _where(draw, tokens, test)
        if at is not None:
            tokens[at] = make(draw, tokens[at])
        return "".join(tokens)

    return breaker


def _is_string(token: str) -> bool:
    return token[0] == '"'


def _is_scalar(token: str) -> bool:
    return token[0] == '"' or token[0].isalnum() or token[0] in "-+."


def _in_string(draw: Draw, token: str, what: str) -> str:
    at = draw.number(1, max(1, len(token) - 1))
    return token[:at] + what + token[at:]


def _single_quotes(draw: Draw, tokens: list[str]) -> str:
    everywhere = draw.chance(60)
    return "".join(
        "'" + t[1:-1] + "'" if _is_string(t) and (everywhere or draw.chance(50)) else t for t in tokens
    )


def _python_literals(draw: Draw, tokens: list[str]) -> str:
    other = {"null": ("None", "NULL", "none"), "true": ("True", "TRUE"), "false": ("False", "FALSE")}
    return "".join(draw.pick(other[t]) if t in other else t for t in tokens)


def _unquoted_keys(draw: Draw, tokens: list[str]) -> str:
    out = list(tokens)
    for i, token in enumerate(tokens):
        if _is_string(token) and tokens[i + 1 : i + 2] == [":"] and draw.chance(70):
            out[i] = token[1:-1]
    return "".join(out)


def _cut(draw: Draw, tokens: list[str]) -> str:
    text = "".join(tokens)
    return text[: draw.number(0, len(text))]


def _drop_any(draw: Draw, tokens: list[str]) -> str:
    del tokens[draw.number(0, len(tokens) - 1)]
    return "".join(tokens)


_BREAKERS: tuple[Callable[[Draw, list[str]], str], ...] = (
    _trailing_comma,
    _replace(lambda t: t == ",", lambda d, t: d.pick((",,", ", ,", "", " ", ";"))),
    _single_quotes,
    _python_literals,
    _replace(_is_scalar, lambda d, t: d.pick(LITERALS)),
    _unquoted_keys,
    _replace(_is_string, lambda d, t: t[1:-1]),
    _replace(_is_string, lambda d, t: _in_string(d, t, d.pick(("\n", "\r\n", "\t", "\x00", "\x1f", "\n\n", "\x7f")))),
    _replace(_is_string, lambda d, t: _in_string(d, t, d.pick(ESCAPES))),
    _replace(_is_string, lambda d, t: _in_string(d, t, d.pick(('"', '"quoted"', '", "', '": "', '"}', "'")))),
    _replace(_is_string, lambda d, t: t[:-1]),
    _replace(_is_string, lambda d, t: t[1:]),
    _replace(_is_string, lambda d, t: d.pick(("“" + t[1:-1] + "”", '"""' + t[1:-1] + '"""', "`" + t[1:-1] + "`"))),
    _replace(_is_scalar, lambda d, t: ""),
    _replace(lambda t: t == ":", lambda d, t: d.pick(("", "=", "::", " ", "=>", ","))),
    _replace(lambda t: t in "]}", lambda d, t: d.pick(("", "]", "}", t + t, ")", t + "}", t + ","))),
    _replace(lambda t: t in "[{", lambda d, t: d.pick(("", "(", t + t, "[", "{"))),
    _cut,
    _drop_any,
)  # fmt: skip


def json_text(draw: Draw, vocabulary: Vocabulary) -> str:
    """Arguments or another value as JSON text, well formed or not."""
    data: Any = arguments(draw, vocabulary) if draw.chance(85) else value(draw, vocabulary)
    text = dump(draw, data)
    if draw.chance(8):
        text = json.dumps(text)
    return broken_json(draw, text) if draw.chance(45) else text


def call_object(draw: Draw, vocabulary: Vocabulary) -> str:
    """A call as one JSON object: keys in any order, extra keys, nested functions, breakage."""
    key = "arguments" if draw.chance(60) else draw.pick(("parameters", "args", "input"))
    args: Any = arguments(draw, vocabulary)
    kind = draw.number(0, 9)
    if kind == 9:
        args = draw.pick((None, "", [], 5, "text", [1], json.dumps(args), "{", " {}"))
    call: dict[str, Any] = {"name": name(draw), key: args}
    if kind == 8:
        call = {key: args, "name": call["name"]}
    elif kind == 7:
        call = {"type": "function", "function": call}
    elif kind == 6:
        extra = draw.pick(CALL_KEYS)
        call = {extra: draw.pick(("x", 1, {"name": "now"}, "abcdefghi")), **call}
    elif kind == 5:
        call[draw.pick(CALL_KEYS)] = draw.pick(("x", 1, {"name": "now"}, "abcdefghi"))
    elif kind == 4:
        call.pop(draw.pick(("name", key)))
    text = dump(draw, call)
    return broken_json(draw, text) if draw.chance(30) else text


def python_call(draw: Draw, vocabulary: Vocabulary) -> str:
    inside = ", ".join(f"{k}={v!r}" for k, v in arguments(draw, vocabulary).items())
    return f"{name(draw)}({inside})" if draw.chance(70) else f"[{name(draw)}({inside}), now()]"


# --- calls of the family -----------------------------------------------------------------------------------


class _AsGiven:
    """In place of a writer's JSON: a text that is put in as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, value: Any, margin: str = "") -> str:
        return self.text


@functools.cache
def writer(family: str) -> Any:
    """What writes messages as the family's template does, with no look at whether they can be read again."""
    import hamr_parsers as hp
    from hamr_parsers.render import _Writer

    return _Writer(hp.get_family(family), False)


def writes_json(family: str) -> bool:
    """Whether the family writes all arguments as one JSON object."""
    spelling = vocabulary(family).canonical
    return "{arguments}" in spelling.get("call", "") and spelling.get("arguments", "json") == "json"


def written(
    family: str,
    calls: list[tuple[str, dict[str, Any]]],
    content: str = "",
    reasoning: str = "",
    json_as: str | None = None,
    ascii_only: bool = False,
) -> str:
    """A message of the family; `json_as` is the JSON text that stands wherever a value is written as JSON."""
    from hamr_parsers.render import _Call, _Message

    used = copy.copy(writer(family))
    if json_as is not None:
        used.json = _AsGiven(json_as)
    elif ascii_only:
        used.json = used.json._replace(string=json.dumps, key=json.dumps)
    return str(used.text(_Message(content, reasoning, [_Call(*call, "abcDEF123") for call in calls])))


def canonical_call(draw: Draw, vocabulary: Vocabulary) -> str:
    """A message with a call as the family's template writes it, with drawn arguments; else one of the fixtures."""
    if "call" not in vocabulary.canonical or draw.chance(30):
        return seed(draw, vocabulary)
    calls = [(name(draw), arguments(draw, vocabulary))] * (2 if draw.chance(15) else 1)
    text = json_text(draw, vocabulary) if draw.chance(30) else None
    content = prose(draw) if draw.chance(15) else ""
    reasoning = prose(draw) if "reasoning" in vocabulary.canonical and draw.chance(15) else ""
    return written(vocabulary.family, calls, content, reasoning, text, draw.chance(30))


def seed(draw: Draw, vocabulary: Vocabulary) -> str:
    return draw.pick(vocabulary.seeds) if vocabulary.seeds else call_object(draw, vocabulary)


def part_of_seed(draw: Draw, vocabulary: Vocabulary) -> str:
    text = seed(draw, vocabulary)
    start = draw.number(0, len(text)) if draw.chance(50) else 0
    return text[start : draw.number(start, len(text))]


def token(draw: Draw, vocabulary: Vocabulary) -> str:
    """One event of the family, or something like it."""
    kind = draw.number(0, 19)
    if kind <= 7 and vocabulary.markers:
        return draw.pick(vocabulary.markers)
    if kind == 8 and vocabulary.markers:
        return near_miss(draw, draw.pick(vocabulary.markers))
    if kind == 9:
        return name(draw)
    if kind == 10:
        return draw.pick(KEYS)
    if kind == 11:
        return draw.pick(PUNCTUATION)
    if kind == 12:
        return json_text(draw, vocabulary)
    if kind == 13:
        return call_object(draw, vocabulary)
    if kind == 14:
        return draw.pick(LITERALS)
    if kind == 15:
        return draw.pick(WORDS)
    if kind == 16:
        return draw.pick(ODD_CHARACTERS)
    if kind == 17:
        return draw.pick(CODE)
    return draw.pick(BLANKS)


def soup(draw: Draw, vocabulary: Vocabulary) -> str:
    return "".join(token(draw, vocabulary) for _ in range(draw.number(2, 14)))


def mutated(draw: Draw, vocabulary: Vocabulary, text: str) -> str:
    """The text with one to four of its tokens dropped, doubled, swapped, replaced, or something put between."""
    tokens = vocabulary.token.findall(text)
    for _ in range(draw.number(1, 4)):
        if not tokens:
            break
        at = draw.number(0, len(tokens) - 1)
        kind = draw.number(0, 8)
        if kind <= 1:
            del tokens[at : at + draw.pick((1, 1, 1, 2, 5))]
        elif kind == 2:
            tokens.insert(at, tokens[at])
        elif kind == 3:
            other = draw.number(0, len(tokens) - 1)
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == 4:
            tokens[at] = near_miss(draw, tokens[at])
        elif kind == 5:
            tokens[at] = token(draw, vocabulary)
        elif kind == 6:
            tokens.insert(at, token(draw, vocabulary))
        elif kind == 7:
            tokens.insert(at, blanks(draw))
        else:
            del tokens[at:]
    return "".join(tokens)


def piece(draw: Draw, vocabulary: Vocabulary) -> str:
    kind = draw.number(0, 15)
    if kind == 0:
        return prose(draw)
    if kind == 1:
        return blanks(draw)
    if kind == 2:
        return noise(draw)
    if kind == 3:
        return code(draw)
    if kind <= 5:
        return canonical_call(draw, vocabulary)
    if kind <= 8:
        return mutated(draw, vocabulary, canonical_call(draw, vocabulary))
    if kind == 9:
        return part_of_seed(draw, vocabulary)
    if kind == 10:
        return call_object(draw, vocabulary)
    if kind == 11:
        return (
            draw.pick(("`", "```\n", "```json\n", ""))
            + canonical_call(draw, vocabulary)
            + draw.pick(("`", "\n```\n"))
        )
    if kind == 12:
        return python_call(draw, vocabulary)
    if kind == 13:
        return json_text(draw, vocabulary)
    return soup(draw, vocabulary)


def text(draw: Draw, vocabulary: Vocabulary) -> str:
    """A whole output, or the beginning of one."""
    kind = draw.number(0, 9)
    if kind <= 1:
        whole = mutated(draw, vocabulary, seed(draw, vocabulary))
    elif kind == 2:
        whole = soup(draw, vocabulary)
    else:
        whole = "".join(piece(draw, vocabulary) for _ in range(draw.number(1, 4)))
    if draw.chance(25):
        whole = whole[: draw.number(0, len(whole))]
    if draw.chance(1) and draw.chance(30) and whole:
        # past the sizes at which buffers are cut or joined
        return (whole * (LONG // len(whole) + 1))[:LONG]
    return whole[:2000]


# --- texts that must stream --------------------------------------------------------------------------------


PLAIN_WORDS = ("the", "of", "Paris", "weather", "è", "漢字", "\U0001f600", "don't", "(see", "it)",
               "well,", "end.", "x", "42",
               "a-b", "50%", "naïve", "e\u0301", "$5", "#1", "and/or", "q?", "Oh!")  # fmt: skip


def plain_text(draw: Draw, words: int) -> str:
    """Words with single blanks: nothing in it can begin a marker, a call, a fence or a value."""
    return " ".join(draw.pick(PLAIN_WORDS) for _ in range(words))


def nearly_plain_text(draw: Draw, vocabulary: Vocabulary, words: int) -> str:
    """Plain text with first characters of markers in it, each at once followed by something else."""
    parts = []
    for _ in range(words):
        parts.append(draw.pick(PLAIN_WORDS))
        if vocabulary.markers and draw.chance(15):
            marker = draw.pick(vocabulary.markers)
            parts.append(marker[: draw.number(1, max(1, len(marker) // 2))] + "~")
    return " ".join(parts)


@functools.cache
def openings(family: str) -> list[tuple[str, dict[str, Any]]]:
    """From the fixtures: texts that stop inside a string value or a reasoning block, and their records."""
    found = []
    for record in fixtures(family):
        text, expect = record["text"], record["expect"]
        inside = [v for c in expect.get("calls") or [] for v in (c.get("arguments") or {}).values()]
        spellings = {v for v in inside if isinstance(v, str)}
        if expect.get("reasoning") and record["thinking"] is not False:
            spellings.add(expect["reasoning"].split()[0])
        for spelling in sorted(spellings):
            if len(spelling) < 4 or not spelling.isalpha() or text.count(spelling) != 1:
                continue
            before = text[: text.index(spelling) + len(spelling)]
            calls = expect.get("calls") or []
            # arguments written before their name are held until it comes
            if spelling == (expect.get("reasoning") or "").split(" ")[0] or any(
                c["name"] in before for c in calls
            ):
                found.append((before, record))
    return found
