"""`detect`: which family wrote a captured text, and what says so.

Theory. Two kinds of evidence, both from what the registry knows already. *Markers*: one automaton knows the
openers of all families (engine/watch.py); what it finds in the text names the families that write such markers.
*Reading*: each of those, and each family whose calls begin without a marker, reads the text with its own grammar
alone, not watching for others. The one that gets the calls out, leaves no known marker behind, and whose template
spells calls as they are spelled here (`canonical`, blanks aside) is the family.

Families that share a dialect read a text the same: then there is nothing to decide, one of them is named, and
the others are said. A text without any call is told by its markers if a single dialect writes them, else not at
all: there is no guess.

Time is linear in the text: one search for the markers, and one parse for each candidate. Of a long text all
candidates read the beginning, and the likeliest the whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from .engine.automaton import Automaton, parse_pattern
from .engine.grammar import Grammar
from .engine.machine import Machine, Settings
from .engine.watch import Opener
from .events import Span
from .families import registry
from .families.dialects import dialect, family_openers
from .families.entry import CANONICAL_FIELD, Family, FrozenMap
from .message import ParsedMessage
from .parser import StreamParser
from .select import opens_reasoning, resolve_parser
from .tools import ToolSet
from .usage import Usage, usage

__all__ = ["Candidate", "Detection", "Marker", "detect", "marker_pieces", "read_alone"]

_MOST = 10_000  # markers looked at, distinct texts among them, places kept of one
_DISTINCT = 256
_PLACES = 5
_LIKELY = 0.5  # share of the template's spelling without which a runner-up is none
_SAMPLE = 1 << 14  # characters of a longer text that all candidates read; the whole is for the likeliest
_FINAL = 4
_ODD = 15  # characters; what a diagnostic weighs
_FOREIGN = 20  # what a marker of another dialect weighs
_NEAR = 0.1  # families whose spelling differs by no more than that (of the better) are told apart by nothing


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker that stands in the text.

    Attributes:
        text: as it is written (one spelling of it).
        name: its terminal in the family's grammar; "" where it is not said of one family.
        count: how often.
        places: where the first few stand, in characters.
        families: the families that begin a call, or anything else that tells them, with it.
    """

    text: str
    name: str
    count: int
    places: tuple[int, ...]
    families: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        out: dict[str, Any] = {"text": self.text, "count": self.count, "places": list(self.places)}
        if self.name:
            out["name"] = self.name
        if self.families:
            out["families"] = list(self.families)
        return out


@dataclass(frozen=True, slots=True)
class Candidate:
    """How one family reads the text.

    Attributes:
        family: its id.
        calls: how many calls it reads; `complete` of them to their end.
        diagnostics: the codes of what it finds odd.
        left: how many markers of any family it leaves in content or reasoning.
        foreign: how many of the markers that it does read its own models have no use for: another dialect's.
        spelling: how much of what its template writes around calls stands in the text, from 0 to 1.
        markers: its own markers as it met them.
        message: what it reads.
    """

    family: str
    calls: int
    complete: int
    diagnostics: tuple[str, ...]
    left: int
    foreign: int
    spelling: float
    markers: tuple[Marker, ...]
    message: ParsedMessage

    def differs(self, other: Candidate) -> tuple[str, ...]:
        """In what the two readings differ: any of `calls`, `content` and `reasoning`, outer blanks apart."""
        return _differences(self.message, other.message)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict, without the message."""
        return {
            "family": self.family,
            "calls": self.calls,
            "complete": self.complete,
            "diagnostics": list(self.diagnostics),
            "left": self.left,
            "foreign": self.foreign,
            "spelling": round(self.spelling, 3),
            "markers": [marker.to_dict() for marker in self.markers],
        }


@dataclass(frozen=True, slots=True)
class Detection:
    """Which family wrote a text.

    Attributes:
        family: its id, or None if nothing tells.
        reason: one sentence.
        same_as: other families that read this text the same.
        markers: the known markers in the text, with the families that write them.
        candidates: the families that were tried, the likeliest first.
    """

    family: str | None
    reason: str
    same_as: tuple[str, ...]
    markers: tuple[Marker, ...]
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate | None:
        """The family that it is, as it reads the text."""
        return self.candidates[0] if self.family is not None else None

    @property
    def runner_up(self) -> Candidate | None:
        """The next family that reads the text differently, if it gets anything out of it."""
        for candidate in self.candidates[1:] if self.family is not None else ():
            if candidate.family not in self.same_as:
                return candidate if candidate.calls or candidate.spelling >= _LIKELY else None
        return None

    def usage(self) -> list[Usage]:
        """The lines that choose the family, here and in servers."""
        return usage(registry.get_family(self.family)) if self.family is not None else []

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        runner_up = self.runner_up
        return {
            "family": self.family,
            "reason": self.reason,
            "same_as": list(self.same_as),
            "runner_up": runner_up.family if runner_up is not None else None,
            "markers": [marker.to_dict() for marker in self.markers],
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "usage": [
                {"tool": line.tool, "line": line.line, **({"note": line.note} if line.note else {})}
                for line in self.usage()
            ],
        }


def detect(text: str, tools: Any = None, *, model: str | None = None) -> Detection:
    """Tell the family of a captured text.

    Args:
        text: a model's whole output.
        tools: the tools that were offered, as for `parse`; with them more is certain.
        model: the model's name, which decides between families that read the text the same.

    Raises:
        InvalidToolsError: `tools` holds something that is not a tool.
    """
    known = tools if type(tools) is ToolSet else ToolSet.of(tools)
    families = [family for family in registry.list_families() if family.kind == "grammar"]
    markers, places, openers = _markers(text)
    written = {name for marker in markers for name in marker.families}
    named = None if model is None else resolve_parser(model=model).parser
    tried = [f for f in families if f.id in written or f.id == named or _unmarked(f)]
    preferred = {family.id: _preference(family, named) for family in families}

    def read_all(ones: Sequence[Family], whole: str) -> list[Candidate]:
        reading = _Reading(whole, known, places, openers)
        found = [reading.candidate(family) for family in ones]
        return sorted(found, key=lambda candidate: (_rank(candidate), preferred[candidate.family]))

    if len(text) > _SAMPLE and len(tried) > _FINAL:  # most are out of the question after the first few calls
        first = read_all(tried, text[:_SAMPLE])
        if first[0].calls:
            final = {c.family for n, c in enumerate(first) if n < _FINAL or _alike(first[0], c)}
            tried = [family for family in tried if family.id in final]
    read = read_all(tried, text)
    if known is not None and not any(c.calls and c.markers for c in read):
        # where tools are declared any family reads calls whose first marker was left out
        read = read_all(families, text)
    kept = tuple(c for c in read if c.calls or c.markers)
    if not kept or not kept[0].calls:
        return _without_calls(markers, kept)
    alike = [c for c in kept[1:] if _alike(kept[0], c)]
    best = next((c for c in alike if c.family == named), kept[0])
    kept = (best, *(c for c in kept if c is not best))
    same = tuple(c.family for c in kept[1:] if c in alike or _alike(best, c))
    told = (
        f"{best.family} reads {_count(best.calls, 'call')} with {_count(len(best.diagnostics), 'diagnostic')}"
    )
    told += f", from its markers {_texts(best.markers)}" if best.markers else ", from text without a marker"
    if same:
        told += f"; {_list(same)} read{'s' if len(same) == 1 else ''} the same"
    if same and named == best.family:
        told += f", and the model's name {model!r} says which"
    elif named not in (None, "auto", best.family):
        told += f"; the model's name {model!r} says {named}"
    return Detection(best.family, told + ".", same, markers, kept)


def _without_calls(markers: tuple[Marker, ...], read: tuple[Candidate, ...]) -> Detection:
    """No family gets a call out of the text: only a marker that a single dialect writes tells."""
    if not markers:
        return Detection(
            None, "No marker of any family stands in it, and no call: nothing tells the family.", (), (), ()
        )
    common = set(markers[0].families).intersection(*(marker.families for marker in markers[1:]))
    fits = [c for c in read if c.family in common]
    dialects = {_spelling(registry.get_family(c.family)) for c in fits}
    words = ", ".join(map(_shown, markers[:3]))
    if fits and len(dialects) == 1:
        rest = tuple(c for c in read if c not in fits)
        best, *others = fits
        told = f"No call in it, but only {_list([c.family for c in fits])} write{'s' if not others else ''} {words}."
        return Detection(best.family, told, tuple(c.family for c in others), markers, (*fits, *rest))
    told = f"No call in it; {words} {'is' if len(markers) == 1 else 'are'} written by " + (
        f"{len(common)} families" if common else "no single family"
    )
    return Detection(None, told + ": nothing tells which.", (), markers, read)


# --- markers ------------------------------------------------------------------------------------------------


class _Index:
    """The openers of all families, by what they match."""

    def __init__(self) -> None:
        self.openers = [
            opener
            for family in registry.list_families()
            if family.kind == "grammar"
            for opener in family_openers(family)
        ]
        self.patterns: dict[tuple[str, str], list[Opener]] = {}
        for opener in self.openers:
            self.patterns.setdefault((opener.regexp, opener.flags), []).append(opener)
        self.compiled = {
            key: re.compile(key[0], re.IGNORECASE if "i" in key[1] else 0) for key in self.patterns
        }
        # every pattern is in it: of two families whose shortest spelling is the same each may have more
        self.automaton = Automaton(
            {str(n): parse_pattern(key[0], *key) for n, key in enumerate(self.patterns)}
        )
        self.search = re.compile(self.automaton.prefix_pattern(3))

    def families(self, marker: str) -> tuple[tuple[str, ...], bool]:
        """The families that know a text, or the beginning of it, as a marker; and whether it begins a call in any."""
        found = [
            opener
            for key, openers in self.patterns.items()
            if self.compiled[key].match(marker) is not None
            for opener in openers
        ]
        return tuple(sorted({o.family for o in found})), any(o.kind == "call" for o in found)


@lru_cache(maxsize=2)
def _index(generation: int) -> _Index:
    return _Index()


@lru_cache(maxsize=1024)
def _families(marker: str, generation: int) -> tuple[tuple[str, ...], bool]:
    return _index(generation).families(marker)


def _markers(text: str) -> tuple[tuple[Marker, ...], list[int], frozenset[str]]:
    """What stands in the text that any family knows; every place where something does; what of it begins calls."""
    generation = registry.generation()
    index = _index(generation)
    found: dict[str, list[int]] = {}
    places: list[int] = []
    at = 0
    while len(places) < _MOST:
        here = index.search.search(text, at)
        if here is None:
            break
        match = index.automaton.match(text, here.start(), True)
        if not isinstance(match, tuple):
            at = here.start() + 1
            continue
        at = match[1]
        written = text[here.start() : at].strip()
        if written in found or len(found) < _DISTINCT:
            found.setdefault(written, []).append(here.start())
            places.append(here.start())
    markers = []
    openers = set()
    for written, where in found.items():
        families, begins = _families(written, generation)
        if families:
            markers.append(Marker(written, "", len(where), tuple(where[:_PLACES]), families))
        if begins:
            openers.add(written)
    return tuple(markers), places, frozenset(openers)


@lru_cache(maxsize=256)
def _unmarked_at(family: Family, generation: int) -> bool:
    return family.bare or all(opener.kind != "call" for opener in family_openers(family))


def _unmarked(family: Family) -> bool:
    """Whether calls of the family begin without anything that the search for markers finds."""
    return _unmarked_at(family, registry.generation())


def marker_pieces(grammar: Grammar, text: str) -> Iterator[tuple[str, str, int]]:
    """The markers in a stretch of markup: (terminal, text, where it begins); "" for what is no marker, blanks aside."""
    automaton = _all_markers(grammar)
    at = 0
    other = -1
    while at < len(text):
        match = automaton.match(text, at, True)
        if isinstance(match, tuple):
            if other >= 0:
                yield "", text[other:at], other
                other = -1
            yield match[0], text[at : match[1]], at
            at = match[1]
            continue
        if other < 0 and not text[at].isspace():
            other = at
        at += 1
    if other >= 0:
        yield "", text[other:], other


def _all_markers(grammar: Grammar) -> Automaton:
    names = [name for name in grammar.markers if "FORCED" not in name]
    return grammar.automaton(tuple(sorted(names, key=lambda name: (name.startswith("BARE"), name))))


# --- reading ------------------------------------------------------------------------------------------------


def read_alone(family: Family, text: str, tools: ToolSet | None) -> StreamParser:
    """A closed parser that has read the text with the family's own grammar, and no other."""
    watching = dialect(family)
    grammar = watching.grammar
    if grammar is not None:
        watching = replace(watching, grammar=_alone(grammar))
    parser = StreamParser.__new__(StreamParser)
    settings = Settings(tools=tools, trace=True)
    Machine.__init__(parser, watching, settings, opens_reasoning(family) or None, None)
    parser.parser = family.id
    parser.feed(text)
    parser.close()
    return parser


@lru_cache(maxsize=256)
def _alone(grammar: Grammar) -> Grammar:
    return replace(grammar, watch=None, nodes={})


#: What an entry says that changes nothing in how its family reads a text.
_SAYS_NOTHING: dict[str, Any] = {
    "id": "any",
    "title": "any",
    "source": "",
    "aliases": FrozenMap(),
    "reasoning_parsers": FrozenMap(),
    "models": (),
    "name_patterns": (),
    "base_patterns": (),
    "template_markers": (),
    "borrows": False,
    "reasoning": False,
    "always_reasoning": (),
    "special_tokens": (),
    "turn": (),
    "canonical": FrozenMap(),
}


class _Reading:
    """One text as families read it; those that share grammar and habits share the reading."""

    def __init__(
        self, text: str, tools: ToolSet | None, places: Sequence[int], openers: frozenset[str]
    ) -> None:
        self.text = text
        self.squeezed = "".join(text.split())
        self.tools = tools
        self.places = [at for at in places if at < len(text)]
        self.openers = openers
        self.known: dict[tuple[Family, bool], tuple[ParsedMessage, int, tuple[Marker, ...]]] = {}

    def candidate(self, family: Family) -> Candidate:
        habits = replace(family, **_SAYS_NOTHING), opens_reasoning(family)
        if habits not in self.known:
            self.known[habits] = self._read(family)
        message, left, markers = self.known[habits]
        words = _words(family)
        return Candidate(
            family.id,
            len(message.tool_calls),
            sum(call.complete for call in message.tool_calls),
            tuple(d.code for d in message.diagnostics),
            left,
            sum(marker.text not in words for marker in markers if marker.text in self.openers),
            _share(family, self.squeezed, _has_arguments(message)),
            markers,
            message,
        )

    def _read(self, family: Family) -> tuple[ParsedMessage, int, tuple[Marker, ...]]:
        message = read_alone(family, self.text, self.tools).message
        spans = message.spans or []
        grammar = dialect(family).grammar
        assert grammar is not None
        return (
            replace(message, spans=None),
            _left(spans, self.places),
            _own_markers(grammar, self.text, spans),
        )


def _left(spans: Sequence[Span], places: Sequence[int]) -> int:
    """How many of the places lie in text that was given out as content or reasoning."""
    starts = [span.start for span in spans]
    return sum(spans[bisect_right(starts, at) - 1].kind in ("content", "reasoning") for at in places)


def _own_markers(grammar: Grammar, text: str, spans: Sequence[Span]) -> tuple[Marker, ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for span in spans:
        if span.kind == "markup":
            for name, written, at in marker_pieces(grammar, text[span.start : span.end]):
                # brackets and commas of lists say nothing
                if name and len(written.strip()) > 1:
                    blanks = len(written) - len(written.lstrip())
                    found.setdefault((name, written.strip()), []).append(span.start + at + blanks)
    return tuple(Marker(t, name, len(at), tuple(at[:_PLACES])) for (name, t), at in found.items())


# --- weighing -----------------------------------------------------------------------------------------------

_JOINT = re.compile(r"(?<=[>\]}])(?=[<\[{])")
_AROUND_CALLS = ("head", "call", "param", "param_string", "param_json", "joint", "tail")


@lru_cache(maxsize=512)
def _spelling(family: Family, params: bool = True) -> tuple[str, ...]:
    """What the family's template writes around calls (or around calls without arguments), in pieces, without blanks."""
    pieces: dict[str, None] = {}
    for key in _AROUND_CALLS:
        if key.startswith("param") and not params:
            continue
        for text in CANONICAL_FIELD.split(family.canonical.get(key, "")):
            for piece in _JOINT.split("".join(text.split())):
                if len(piece) > 1:
                    pieces[piece] = None
    return tuple(pieces)


def _has_arguments(message: ParsedMessage) -> bool:
    return not message.tool_calls or any(len(call.arguments) > 2 for call in message.tool_calls)


@lru_cache(maxsize=256)
def _words(family: Family) -> str:
    """All that the family's models are known to write, or to be shown."""
    markers = (text for marker in family.template_markers for text in marker)
    return "\n".join((*family.canonical.values(), *family.special_tokens, *markers))


def _share(family: Family, squeezed: str, params: bool) -> float:
    pieces = _spelling(family, params)
    total = sum(map(len, pieces))
    return sum(len(piece) for piece in pieces if piece in squeezed) / total if total else 0.0


def _weight(candidate: Candidate) -> float:
    """How much of the template's spelling stands in the text, less half of what does not, in characters; less what
    is odd or another dialect's, as so many characters."""
    family = registry.get_family(candidate.family)
    total = sum(map(len, _spelling(family, _has_arguments(candidate.message))))
    against = _ODD * min(len(candidate.diagnostics), 4) + _FOREIGN * candidate.foreign
    return total * (1.5 * candidate.spelling - 0.5) - against


def _rank(candidate: Candidate) -> tuple[object, ...]:
    """The smaller, the likelier."""
    return (
        candidate.calls == 0,
        candidate.left,
        -candidate.calls,
        -round(_weight(candidate), 1),
    )


def _alike(best: Candidate, other: Candidate) -> bool:
    """Whether nothing tells which of two families it is."""
    weight = _weight(best)
    return (
        (best.left, best.foreign) == (other.left, other.foreign)
        and len(best.diagnostics) == len(other.diagnostics)
        and weight - _weight(other) <= _NEAR * abs(weight)
        and _same(best.message, other.message)
    )


def _preference(family: Family, named: str | None) -> tuple[object, ...]:
    """Of families that read a text the same: the one that the model's name says, then whose dialect it is."""
    can_be_told = bool(family.name_patterns or family.base_patterns or family.template_markers)
    own = family.grammar == f"{family.id}.lark"
    return (family.id != named, not can_be_told, family.borrows, not own, -len(family.models), family.id)


def _same(one: ParsedMessage, other: ParsedMessage) -> bool:
    return not _differences(one, other)


def _differences(one: ParsedMessage, other: ParsedMessage) -> tuple[str, ...]:
    def told(message: ParsedMessage) -> dict[str, object]:
        return {
            "calls": [(call.name, call.arguments, call.complete) for call in message.tool_calls],
            "content": (message.content or "").split(),
            "reasoning": (message.reasoning or "").split(),
        }

    ours, theirs = told(one), told(other)
    return tuple(key for key in ours if ours[key] != theirs[key])


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    most = 5
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _texts(markers: Sequence[Marker]) -> str:
    names = list(map(_shown, markers))
    return _list(names) if len(names) < 4 else f"{', '.join(names[:3])} and others"


def _shown(marker: Marker) -> str:
    text = " ".join(marker.text.split())
    return f"'{text}'" if "`" in text else f"`{text}`"
