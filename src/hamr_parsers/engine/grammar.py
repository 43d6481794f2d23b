"""A family's grammar file, compiled by lark to an LALR table. The only module that knows lark.

Theory. A `.lark` file says in which order a family's parts may come. Its terminals are of two sorts:

* *Markers* have a pattern, bounded in length (see automaton.py): `TOOL_CALL: "<tool_call>"`. One whose name
  begins with `END_` closes something, and recovery may insert it where the model forgot it; no other terminal
  but an empty value or empty arguments is ever invented. `END_X` closes what `X` opened.
* *The vocabulary* has none; the engine knows what these words mean, and they are declared by being used:

  | word | meaning |
  |---|---|
  | CONTENT, REASONING | free text, given out as it comes |
  | NOISE | free text that is no part of the answer, such as a tool's result that the model made up |
  | THINK, END_THINK | markers around reasoning (they have patterns) |
  | NAME, CALL_ID | the tool's name; the id that the model gives |
  | INDEXED_NAME | name and id in one, as `functions.NAME:3`: all of it is the id, up to the last colon it is the name |
  | DECLARED_NAME | a name without a marker before it: a doubtful start; beside NAME: one that a tool has |
  | KNOWN_NAME | a name that is no doubtful start, but where tools are known must be one of them |
  | KEY, VALUE | an argument's name; its bare text, typed by the tool's schema |
  | STRING_VALUE, JSON_VALUE | the same where the text itself says that it is a string; that it is JSON |
  | ONLY_VALUE | a text that is all of the arguments: the value of the tool's only required parameter |
  | XML_VALUE | the same where the text holds the grammar's ENTITY for some characters |
  | JSON_CALL, BARE_JSON_CALL | a JSON object that holds name and arguments; the same without a marker before it |
  | KEYED_JSON_CALL | a JSON object whose keys are names and whose values are arguments, a call for each |
  | JSON_ARGUMENTS, PY_ARGUMENTS | all arguments as one JSON value; as Python keyword arguments up to `)` |
  | TOKEN_ARGUMENTS | an object like JSON's, with bare keys, whose strings stand between two QUOTE markers |
  | LINE_ARGUMENTS | an object as lines: a COLON between a key and its bare value, a NEWLINE between two members |
  | END_TURN, ROLE | end-of-turn tokens; the header of somebody else's turn (they have patterns) |
  | END_TEXT | an end-of-turn token that text may hold as well (`</s>`): it counts where its line ends |

A pattern ENTITY lists escapes of markup (`"&lt;" | "&amp;"`), which are decoded in an XML_VALUE, and in names
and keys. It is no terminal of any rule. Where an INDEXED_NAME is a bare counter, the first key of the arguments
tells the tool.

A marker `CALLS_X` says by itself that the tool `x` is called (`CALLS_PYTHON: "<|python_tag|>"`).

A rule whose name ends in `call` is one call: it begins at its first terminal and ends where the rule does; if
it begins with `bare_`, it is a call whose real opener was left out.
One whose name ends in `member` is an argument that may hold others (arguments nested as tags): a KEY within
it, in place of a value, makes an object of it, or an array where the schema or an `item` tag says so. A rule
`stray` lists closers that may turn up without their openers: they are markup behind a call or alone on their
line, and text elsewhere. A rule named `until_value` (`until_reasoning`, `until_content`) is no part of the
language: it lists the markers that end such a text although the table would not accept them there, since
something before them was left out.

Rules can be imported from another grammar (`%import .qwen3_coder (xml_call)`); a terminal that is imported
under a mangled name and also defined in the importing file is the latter, so a grammar with other markers is
an import and a few lines.

lark is used for what it is good at, reading grammars and building tables (with its conflicts reported as
errors), through functions that are not all public; the requirement in pyproject.toml is pinned to match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final
from weakref import WeakValueDictionary

from ..errors import GrammarError
from .automaton import Automaton, parse_pattern
from .watch import Watch

__all__ = ["GRAMMARS", "VOCABULARY", "Grammar", "Rule", "compile_grammar"]

VOCABULARY = frozenset(
    [
        "CONTENT",
        "REASONING",
        "NOISE",
        "NAME",
        "INDEXED_NAME",
        "DECLARED_NAME",
        "KNOWN_NAME",
        "CALL_ID",
        "KEY",
        "VALUE",
        "STRING_VALUE",
        "JSON_VALUE",
        "ONLY_VALUE",
        "XML_VALUE",
        "JSON_CALL",
        "BARE_JSON_CALL",
        "KEYED_JSON_CALL",
        "JSON_ARGUMENTS",
        "PY_ARGUMENTS",
        "TOKEN_ARGUMENTS",
        "LINE_ARGUMENTS",
    ]
)
STARTS: Final[tuple[str, ...]] = ("start", "start_in_reasoning", "start_forced", "start_in_reasoning_forced")
"""The rules that a text may be: one is chosen by where the prompt ends and whether a call is forced."""

GRAMMARS: Final[MutableMapping[str, Grammar]] = WeakValueDictionary()
"""The compiled grammars that are in use, by key, so that a pickled parser finds its own again."""

_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&apos;": "'"}
_NEEDS: Final = {"TOKEN_ARGUMENTS": ("QUOTE",), "LINE_ARGUMENTS": ("COLON", "NEWLINE")}
_IMPLIED = re.compile(r"(?:[A-Z0-9]+_)*CALLS_([A-Z0-9_]+)")
_MEANING = re.compile(r"(?:[a-z0-9]+_)*(call|member|stray)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A production: what it is of, how many symbols it takes off the stack, and what its end means
    ("call", "member", "stray", or nothing)."""

    origin: str
    size: int
    means: str


@dataclass(slots=True)
class Tables:
    """The LALR table."""

    actions: list[
        dict[str, int | Rule]
    ]  # by LR state: symbol -> next state (shift, goto) or the rule to reduce by
    starts: dict[str, tuple[int, int]]  # start rule -> (first state, end state)


class Markers(Mapping[str, tuple[Any, bool]]):
    """Terminal name -> parsed pattern, parsed on first use: most markers of most grammars are never looked at.

    Attributes:
        sources: terminal name -> (regex, flags).
    """

    __slots__ = ("_parsed", "sources")

    def __init__(self, sources: dict[str, tuple[str, str]]) -> None:
        self.sources = sources
        self._parsed: dict[str, tuple[Any, bool]] = {}

    def __getitem__(self, name: str) -> tuple[Any, bool]:
        found = self._parsed.get(name)
        if found is None:
            found = self._parsed[name] = parse_pattern(name, *self.sources[name], checked=True)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(eq=False)
class Grammar:
    """A compiled grammar. Immutable but for its caches; shared by all parsers of a family.

    Attributes:
        key: what identifies the grammar when a parser is pickled.
        markers: terminal name -> parsed pattern.
        literals: terminal name -> its canonical spelling (the shortest that a regex allows).
        until: free text -> markers that end it out of turn.
        openers: terminals that begin a call.
        bare_openers: those of a call whose real opener was left out (a rule named `bare_..._call`).
        terminals: all that the rules use.
        spellings: terminal name -> some of the texts that it matches.
        entities: escapes of markup -> what they stand for.
        watch: the openers of other grammars that are watched for in free text.
    """

    key: str
    tables: Tables
    markers: Markers
    literals: dict[str, str]
    until: dict[str, tuple[str, ...]]
    openers: frozenset[str]
    bare_openers: frozenset[str]
    terminals: frozenset[str]
    spellings: dict[str, list[str]] = field(default_factory=dict)
    entities: dict[str, str] = field(default_factory=dict)
    watch: Watch | None = None
    nodes: dict[tuple[int, ...], Any] = field(default_factory=dict)
    automata: dict[tuple[str, ...], Automaton] = field(default_factory=dict)

    def automaton(self, names: tuple[str, ...]) -> Automaton:
        """The automaton of these markers; the first wins a tie."""
        found = self.automata.get(names)
        if found is None:
            found = self.automata[names] = Automaton({n: self.markers[n] for n in names})
        return found

    def watching(self, watch: Watch) -> Grammar:
        """The same grammar, watching for the openers of others, under the same key."""
        GRAMMARS[self.key] = new = replace(self, watch=watch, nodes={})
        return new

    def begins_call(self, marker: str) -> bool:
        """Whether a call may begin with this marker in free text: it does not if free text may follow."""
        from .table import start_node

        if marker.startswith("END_") or marker in ("THINK", "ROLE"):
            return False
        edge = start_node(self, False).shift(marker)
        return edge is not None and edge.target.text is None

    def decode(self, text: str) -> str:
        """A name or key as it is meant: escapes of markup decoded."""
        if not self.entities or "&" not in text:
            return text
        pattern = "|".join(map(re.escape, self.entities))
        return re.sub(pattern, lambda m: self.entities[m[0]], text)

    @cached_property
    def has_reasoning(self) -> bool:
        """Whether the family's models can reason."""
        return "END_THINK" in self.terminals

    @cached_property
    def meanings(self) -> frozenset[str]:
        """What the ends of this grammar's rules mean."""
        return frozenset(a.means for row in self.tables.actions for a in row.values() if isinstance(a, Rule))

    @cached_property
    def implied(self) -> Mapping[str, str]:
        """Markers that say by themselves which tool is called -> its name."""
        found = ((n, _IMPLIED.fullmatch(n)) for n in self.markers)
        return {n: match[1].lower() for n, match in found if match is not None}

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """Openers whose closers, inside a value, belong to the value."""
        return tuple(
            n
            for n in self.markers
            if f"END_{n}" in self.markers and n != "THINK" and len(self.literals[n]) > 1
        )

    @cached_property
    def after_key(self) -> frozenset[int]:
        """The states that a KEY leads to."""
        return frozenset(a for row in self.tables.actions if isinstance(a := row.get("KEY"), int))

    def __deepcopy__(self, memo: object) -> Grammar:
        return self


def _plain(name: str) -> str:
    """The name as its own file wrote it; imports are mangled as `file__NAME`."""
    return name if name.startswith("__") else name.rsplit("__", 1)[-1]


def _meaning(origin: str) -> str:
    match = _MEANING.fullmatch(_plain(origin))
    return match[1] if match else ""


def compile_grammar(text: str, key: str, resolve: Callable[[str], str] | None = None) -> Grammar:
    """Compile the text of a `.lark` file.

    Args:
        text: the grammar.
        key: its name, for messages and pickles.
        resolve: gives the text of an imported grammar by its file name.

    Raises:
        GrammarError: a syntax error, a conflict, a terminal without a pattern that is no word of the
            vocabulary, an unbounded pattern.
    """
    from lark.common import ParserConf
    from lark.exceptions import LarkError
    from lark.load_grammar import load_grammar
    from lark.parsers.lalr_analysis import LALR_Analyzer

    def load(base: object, path: str) -> tuple[str, str]:
        if resolve is None:
            raise OSError(path)
        texts[path] = _declare(resolve(path))
        return path, texts[path]

    def defined(name: str, path: str) -> Any:
        """The pattern of a terminal as an imported file defines it."""
        alone, _ = load_grammar(f"{texts[path]}\nonly: {name}\n", path, [load], True)  # type: ignore[no-untyped-call]
        return next(t.pattern for t in alone.compile(["only"], "*")[0] if t.name == name)

    texts: dict[str, str] = {}

    try:
        loaded, _ = load_grammar(  # type: ignore[no-untyped-call]
            _declare(text), key, [load], True
        )
        until = {
            _plain(str(name))[len("until_") :].upper(): tuple(
                _plain(str(leaf.name)) for leaf in tree.scan_values(lambda v: hasattr(v, "name"))
            )
            for name, _params, tree, _options in loaded.rule_defs
            if _plain(str(name)).startswith("until_")
        }
        loaded.rule_defs = [r for r in loaded.rule_defs if not _plain(str(r[0])).startswith("until_")]
        names = {str(r[0]) for r in loaded.rule_defs}
        starts = [name for name in STARTS if name in names]
        terminals, rules, _ignored = loaded.compile(starts, "*")
    except (LarkError, OSError) as e:
        raise GrammarError(f"grammar {key}: {' '.join(str(e).split())}") from None

    patterns: dict[str, Any] = {}
    for t in sorted(
        terminals, key=lambda t: "__" not in t.name
    ):  # the importing file's own come last and win
        *files, name = str(t.name).split("__")
        patterns[name] = t.pattern
        for file in files[
            :-1
        ]:  # else the file's that imported it; lark forgets that where its rules do not use it
            if re.search(rf"^{name}\b *:", texts[f"{file}.lark"], re.MULTILINE):
                patterns[name] = defined(name, f"{file}.lark")
                break
    used: set[str] = set()
    for rule in rules:
        for symbol in rule.expansion:
            if symbol.is_term:
                symbol.name = _plain(str(symbol.name))
                used.add(symbol.name)
    try:
        analyzer = LALR_Analyzer(ParserConf(rules, {}, starts), strict=True)
        analyzer.compute_lalr()  # type: ignore[no-untyped-call]
    except LarkError as e:
        raise GrammarError(f"grammar {key}: {' '.join(str(e).split())}") from None
    table: Any = analyzer.parse_table

    from lark.lexer import PatternStr
    from lark.parsers.lalr_analysis import Shift

    def rule_of(r: Any) -> Rule:
        origin = str(r.origin.name)
        return Rule(origin, len(r.expansion), _meaning(origin))

    cache = {id(r): rule_of(r) for r in rules}
    # lark numbers states in the order of sets, which is another in every process; places are pickled by number
    order: list[Any] = [table.start_states[s] for s in starts]
    for state in order:
        row = table.states[state]
        for symbol in sorted(row, key=str):
            action, arg = row[symbol]
            if action is Shift and arg not in order:
                order.append(arg)
    number = {state: i for i, state in enumerate(order)}
    actions: list[dict[str, int | Rule]] = []
    for state in order:
        actions.append({})
        for symbol, (action, arg) in sorted(table.states[state].items(), key=lambda item: str(item[0])):
            actions[-1][str(symbol)] = number[arg] if action is Shift else cache.get(id(arg)) or rule_of(arg)

    listed = {n for names_ in until.values() for n in names_}
    sources: dict[str, tuple[str, str]] = {}
    literals, spellings = {}, {}
    for name in sorted(used | listed):
        pattern = patterns.get(name)
        if name in VOCABULARY:
            continue
        if pattern is None:
            raise GrammarError(f"grammar {key}: {name} has no pattern and is no word of the vocabulary")
        sources[name] = (pattern.to_regexp(), "".join(sorted(pattern.flags)))
        parsed, _ = parse_pattern(name, *sources[name])
        spellings[name] = [pattern.value] if isinstance(pattern, PatternStr) else _samples(parsed)
        literals[name] = spellings[name][0]
    for word, needs in _NEEDS.items():
        for name in needs if word in used else ():
            pattern = patterns.get(name)
            if not isinstance(pattern, PatternStr):
                raise GrammarError(f"grammar {key}: {word} needs {name}, a string")
            literals[name] = pattern.value  # no marker: only the reader looks for it
    entities = {}
    if "ENTITY" in patterns:
        parsed, _ = parse_pattern("ENTITY", patterns["ENTITY"].to_regexp())
        for text in _samples(parsed):
            if text not in _ENTITIES:
                raise GrammarError(f"grammar {key}: {text!r} is none of the five entities of XML")
            entities[text] = _ENTITIES[text]
    elif "XML_VALUE" in used:
        raise GrammarError(f"grammar {key}: XML_VALUE needs ENTITY")
    grammar = Grammar(
        key=key,
        tables=Tables(
            actions, {s: (number[table.start_states[s]], number[table.end_states[s]]) for s in starts}
        ),
        markers=Markers(sources),
        literals=literals,
        until=until,
        openers=_openers(rules, "call"),
        bare_openers=_openers(rules, "call", "bare_"),
        terminals=frozenset(used),
        spellings=spellings,
        entities=entities,
    )
    _check(grammar)
    GRAMMARS[key] = grammar
    return grammar


def _check(grammar: Grammar) -> None:
    """Refuse what the engine could not read the same in every cutting."""
    from .table import start_node

    start = start_node(grammar, False)
    for name in start.accepts:
        if name in grammar.markers and any(c.isspace() for c in grammar.automaton((name,)).first):
            raise GrammarError(
                f"grammar {grammar.key}: {name} may begin with a blank, where blanks are held as framing already"
            )


def _declare(text: str) -> str:
    """Declare the words of the vocabulary, so that grammar files need not."""
    words = sorted(w for w in VOCABULARY if re.search(rf"\b{w}\b", text))
    return f"{text}\n%declare {' '.join(words)}\n" if words else text


def _openers(rules: list[Any], meaning: str, prefix: str = "") -> frozenset[str]:
    """The terminals that can stand first in a rule of this meaning, whose name begins so."""
    first: dict[str, set[str]] = {}
    changed = True
    while changed:
        changed = False
        for rule in rules:
            mine = first.setdefault(str(rule.origin.name), set())
            if rule.expansion:
                head = rule.expansion[0]
                new = {head.name} if head.is_term else first.get(str(head.name), set())
                if not new <= mine:
                    mine |= new
                    changed = True
    meant = (o for o in first if _meaning(o) == meaning and _plain(o).startswith(prefix))
    return frozenset(t for origin in meant for t in first[origin])


def _samples(parsed: Any) -> list[str]:
    """A few texts that a parsed pattern matches, the shortest form of each first."""
    from re import _constants as sre

    out = [""]
    for op, arg in parsed:
        if op is sre.LITERAL:
            pieces = [chr(arg)]
        elif op is sre.IN:
            pieces = [chr(v if k is sre.LITERAL else v[0]) for k, v in arg if k in (sre.LITERAL, sre.RANGE)][
                :3
            ] or [" "]
        elif op is sre.SUBPATTERN:
            pieces = _samples(arg[3])
        elif op is sre.BRANCH:
            pieces = [s for branch in arg[1] for s in _samples(branch)]
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            body = _samples(arg[2])
            pieces = [body[0] * arg[0]] + ([b * max(1, arg[0]) for b in body] if arg[1] > arg[0] else [])
        else:
            pieces = ["x"]
        out = [a + b for a in out for b in pieces][:24]
    return list(dict.fromkeys(out))
