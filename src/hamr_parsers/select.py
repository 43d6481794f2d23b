"""Which parser for this model: override > chat template > model name > `auto`.

Theory. All that tells the families apart is data: the patterns and markers of the entries, and of the hints
for families that are not registered. This module only weighs it, by two rules that name no family.

*Names.* A model's name is brought into one spelling (`normal_model`), then every pattern is searched in it.
`name_patterns` (a fine-tune's or a family's own name) come before `base_patterns` (a base model's, which its
fine-tunes keep). Of matches that overlap the longest is meant: it is the more specific. Two families named
side by side are no evidence for either, except that what stands behind a base model's name and before
`distill` is only the teacher.

*Templates.* A chat template is brought into one spelling too (comments, blanks, quotes and escapes out), so
that it may come as text, as JSON, re-indented or edited. The marker with the most characters wins.

The stronger evidence wins whole; what the weaker says otherwise is reported in `conflicts`. Where a family's
templates cannot be told from another's (`template_of`), the name decides between the two. A family that is
known but not registered wins like any other, and then the answer is `auto`, or the registered family that
reads the same dialect: never the next best guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from hamr_parsers.errors import HamrParsersError
from hamr_parsers.families import registry
from hamr_parsers.families.entry import Family, FamilyEntryError, Hint
from hamr_parsers.families.registry import get_family

__all__ = [
    "ChatTemplate",
    "Resolution",
    "SelectionError",
    "normal_model",
    "opens_if_thinking",
    "opens_reasoning",
    "resolve_parser",
]

#: A chat template: its text, or several by name as `tokenizer_config.json` may have them (a list of mappings
#: with `name` and `template`, or one mapping), or that file itself as text or as a mapping.
ChatTemplate: TypeAlias = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]

Source = Literal["parser", "chat_template", "model", "auto"]

_FALLBACK = "auto"


class SelectionError(HamrParsersError, ValueError):
    """What was given to select a parser by contradicts itself or is of no use; the message says why."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which parser, and why.

    Attributes:
        parser: the family's id.
        source: what decided; `auto` if nothing did.
        reason: one sentence: what decided, and what would override it.
        conflicts: weaker evidence that says otherwise, a sentence each.
    """

    parser: str
    source: Source
    reason: str
    conflicts: tuple[str, ...] = ()


def resolve_parser(
    model: str | None = None,
    parser: str | None = None,
    chat_template: ChatTemplate | None = None,
    tool_call_parser: str | None = None,
    response_template: object = None,
) -> Resolution:
    """Choose the parser for a model.

    Args:
        model: its name in any spelling: Hugging Face, GGUF file, Ollama, LM Studio, OpenRouter, a path.
        parser: an id or alias, which decides at once; `tool_call_parser` is another name for it.
        chat_template: the model's chat template (`ChatTemplate`).
        response_template: the model's description of its own output, for a family that reads one.

    Raises:
        UnknownParserError: no family has the name given as `parser`.
        SelectionError: `parser` and `tool_call_parser` name different families, or an argument is of no use.
        InvalidResponseTemplateError: `response_template` is none, or one that cannot be honoured.
    """
    for key, value in (("model", model), ("parser", parser), ("tool_call_parser", tool_call_parser)):
        if value is not None and not isinstance(value, str):
            raise SelectionError(f"{key}: a string is wanted, not {type(value).__name__}")
    generation = registry.generation()
    seen = None if chat_template is None else _by_template(generation, _templates(chat_template))
    found = _resolve(
        generation,
        model,
        parser,
        tool_call_parser,
        chat_template is not None,
        seen,
        response_template is not None,
    )
    if response_template is not None and (family := get_family(found.parser)).kind == "response_template":
        from .families.response_template import template_family  # it imports pydantic

        template_family(response_template, family)
    return found


def opens_reasoning(family: Family | str, model: str | None = None) -> bool:
    """Whether the prompt always opens the reasoning block: for every model of the family, or for this one.

    Raises:
        UnknownParserError: no family has this name.
    """
    id_ = family.id if isinstance(family, Family) else family
    if isinstance(family, Family) and ".*" in family.always_reasoning:
        return True
    return _opens_reasoning(registry.generation(), id_, model)


def opens_if_thinking(family: Family, model: str | None = None) -> bool:
    """Whether the prompt opens the reasoning block where the request turns thinking on."""
    return _fits(family.thinking_reasoning, family.id, model)


# --- deciding -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one source says: a family's id (registered or not), or None if it names several side by side."""

    family: str | None
    parser: str  # the registered family that reads it, or the fallback
    says: str  # "the model's name 'x' looks like y ('z')"
    then: str = ""  # ", which is not registered yet, so ..."
    template_of: str | None = None  # the family whose templates look the same


@lru_cache(maxsize=1024)
def _resolve(
    generation: int,
    model: str | None,
    parser: str | None,
    tool_call_parser: str | None,
    chat_template: bool,
    template: _Evidence | None,
    response_template: bool,
) -> Resolution:
    evidence: list[tuple[Source, _Evidence]] = []
    if template:
        evidence.append(("chat_template", template))
    if model and (found := _by_name(generation, model)):
        evidence.append(("model", found))
    conflicts: list[str] = []

    chosen = _override(parser, tool_call_parser)
    if chosen is None and response_template:
        chosen = _reader_of_response_templates()
        if chosen is None:
            conflicts.append("a response_template was given, but no registered family reads one yet")
    if chosen is not None:
        id_, said = chosen
        conflicts += [e.says for _, e in evidence if e.family is not None and id_ not in (e.parser, e.family)]
        return Resolution(id_, "parser", f"{said}; nothing overrides that.", tuple(conflicts))

    if not evidence:
        given = " and ".join(
            name
            for name, there in (("the chat template", chat_template), ("the model's name", model))
            if there
        )
        reason = (
            (f"{given} did not tell the family" if given else "nothing was given that tells the family")
            + f", so {_FALLBACK} finds it out from the output; parser=, a chat template or a model name that"
            " is known would override that."
        )
        return Resolution(_FALLBACK, "auto", reason, tuple(conflicts))

    if len(evidence) == 2:
        told, named = (e for _, e in evidence)
        if named.template_of is not None and named.template_of == told.family:
            then = f", whose chat templates look like those of {told.family}{named.then}"
            evidence = [("model", replace(named, then=then))]
    source, best = evidence[0]
    for _, weaker in evidence[1:]:
        if weaker.family is not None and weaker.family != best.family:
            if best.parser == _FALLBACK or weaker.parser != best.parser:
                conflicts.append(weaker.says)
    if best.family is None or (best.parser == _FALLBACK and best.family != _FALLBACK):
        source = "auto"
    if chat_template and template is None and best.family is not None:
        best = replace(best, says=f"the chat template did not tell the family, but {best.says}")
    over = "parser=" if template is not None else "parser= or a chat template"
    return Resolution(
        best.parser, source, f"{best.says}{best.then}; {over} would override that.", tuple(conflicts)
    )


def _override(parser: str | None, tool_call_parser: str | None) -> tuple[str, str] | None:
    named = [
        (key, value, get_family(value).id)
        for key, value in (("parser", parser), ("tool_call_parser", tool_call_parser))
        if value
    ]
    if len({id_ for _, _, id_ in named}) == 2:
        said = " but ".join(f"{key}={value!r} means {id_!r}" for key, value, id_ in named)
        raise SelectionError(f"{said}: they are two names of one setting, give one of them")
    for key, value, id_ in named:
        return id_, f"{key}={value!r} was given" + ("" if value == id_ else f", which is {id_}")
    return None


def _reader_of_response_templates() -> tuple[str, str] | None:
    for family in registry.list_families():
        if family.kind == "response_template":
            return family.id, f"a response_template was given, which {family.id} reads"
    return None


# --- the table ----------------------------------------------------------------------------------------------


class _Pattern:
    """One pattern of a family. Compiled when its literal beginning is first seen in a name: compiling all of
    them would be most of the cost of the first selection."""

    __slots__ = ("base", "compiled", "family", "literal", "text")

    def __init__(self, family: str, text: str, base: bool) -> None:
        self.family = family
        self.text = text
        self.base = base
        self.literal = _literal(text)
        self.compiled: re.Pattern[str] | None = None

    def search(self, name: str, full: str) -> re.Match[str] | None:
        """The longest match in a name; a pattern that holds a `/` is searched in `org/name` instead."""
        if "/" in self.text:
            name = full
        if self.literal not in name:
            return None
        if self.compiled is None:
            try:
                self.compiled = re.compile(self.text)
            except re.error as error:
                raise FamilyEntryError(f"{self.family}: {self.text!r} is no pattern: {error}") from None
        return max(self.compiled.finditer(name), key=lambda m: m.end() - m.start(), default=None)


_ATOM = re.compile(r"\\.|\[\^?\]?[^]]*\]")
_PREFIX = re.compile(r"(?:\^|\\b|\(\?<!\[?[a-z-]*\]?\))*([a-z0-9/]*)(.?)")


def _literal(pattern: str) -> str:
    """Characters that every match of a pattern must hold ('' if that is not plain to see)."""
    depth = 0
    for char in _ATOM.sub("", pattern):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            return ""
    match = _PREFIX.match(pattern)
    if match is None:
        return ""
    literal, following = match.groups()
    return literal[:-1] if following and following in "?*{" else literal


@dataclass(frozen=True, slots=True)
class _Table:
    """Everything to weigh, of all families and hints."""

    reads: dict[str, str]  # family or hint -> the registered family that reads it, or the fallback
    twins: dict[str, str]  # family -> the one whose templates look the same
    patterns: tuple[_Pattern, ...]
    markers: tuple[tuple[str, tuple[str, ...], str], ...]  # family, what must be there, as it was spelled


@lru_cache(maxsize=1)
def _table(generation: int) -> _Table:
    families: list[Family] = registry.list_families()
    hints: list[Hint] = registry.hints()
    reads = {f.id: f.id for f in families}
    for hint in hints:
        reads[hint.id] = hint.dialect if hint.dialect in reads else _FALLBACK
    known: list[Family | Hint] = [*families, *hints]
    patterns: list[_Pattern] = []
    markers: list[tuple[str, tuple[str, ...], str]] = []
    for entry in known:
        patterns += [_Pattern(entry.id, p, base=False) for p in entry.name_patterns]
        patterns += [_Pattern(entry.id, p, base=True) for p in entry.base_patterns]
        markers += [
            (entry.id, tuple(map(_squeeze, m)), " and ".join(map(repr, m))) for m in entry.template_markers
        ]
    twins = {f.id: f.template_of for f in families if f.template_of is not None}
    return _Table(reads, twins, tuple(patterns), tuple(markers))


def _evidence(what: str, table: _Table, family: str, by: str) -> _Evidence:
    parser = table.reads[family]
    then = ""
    if parser != family:
        known = f"whose dialect {parser} reads" if parser != _FALLBACK else "which is not registered yet"
        then = f", {known}" + (f", so {_FALLBACK} it is" if parser == _FALLBACK else "")
    return _Evidence(family, parser, f"{what} looks like {family} ({by})", then, table.twins.get(family))


def _undecided(what: str, rivals: list[tuple[str, str]]) -> _Evidence:
    names = " and ".join(f"{family} ({by})" for family, by in rivals)
    return _Evidence(None, _FALLBACK, f"{what} looks like {names} alike", f", so {_FALLBACK} it is")


# --- by name ------------------------------------------------------------------------------------------------

_CACHED_MODEL = re.compile(r"models--([^/]+?)--([^/]+)")  # a directory of the Hugging Face cache
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/]*/)?|^[a-z]:(?=/)")
_SPLIT_FILE = re.compile(r"-\d{5}-of-\d{5}$")
_FILE = re.compile(r"[.](?:gguf|ggml|safetensors|bin|pth?|onnx|llamafile|task|litertlm)$")
_BUILD = re.compile(  # how it was quantised or packed: no part of the name
    r"[-.:@](?:(?:i?q|tq)\d(?:-[k01])?(?:-(?:xxs|xs|s|m|l|xl|nl))?|w\d+a\d+(?:-ct)?|(?:bf|fp|f|int|nf|uint)(?:4|8|16|32)"
    r"|nvfp4|mxfp[468]|[2-8]-?bits?|ud|gguf|ggml|mlx|awq|gptq|exl[23]|hqq|bnb|imatrix|i1|dynamic|block|latest|free)$"
)
_UNTOLD = re.compile(  # names of files and directories that say nothing about the model
    r"(?:ggml-|pytorch-|adapter-)?model|main|latest|final|best|default|weights|merged|snapshots?|blobs?|resolve|tree"
    r"|consolidated(?:[.]\d+)?|(?:checkpoint|epoch|global-step|iter)-?\d*|step-?\d{3,}|[0-9a-f]{7,64}|v?\d+"
    r"|gguf|ggml|(?:i?q|tq)\d[a-z0-9-]*|(?:bf|fp|f|int)\d+|[.~]*"
)


def normal_model(model: str) -> str:
    """A model's name in the one spelling in which patterns are searched: `org/name`, or `name`.

    Lower case, `_` and blanks as `-`, without file endings, quantisation and directories. An Ollama tag
    stays, behind its colon, unless it says only how the model was packed. Of a path the last part that says
    anything is the name, the one before it the organisation.

        >>> normal_model("C:\\\\models\\\\Qwen_Qwen3-Coder-30B-A3B-Instruct-Q5_K_M.gguf")
        'models/qwen-qwen3-coder-30b-a3b-instruct'
    """
    name = model.strip()[-1024:].lower().replace("\\", "/").replace("___", ".")  # ModelScope's directories
    name = re.sub(r"[\s_]", "-", name)
    name = _CACHED_MODEL.sub(r"\1/\2", _SCHEME.sub("", name)).partition("?")[0]
    parts = [part for part in map(_bare, name.split("/")) if not _UNTOLD.fullmatch(part)]
    return "/".join(parts[-2:])


def _bare(part: str) -> str:
    part = _SPLIT_FILE.sub("", _FILE.sub("", part.strip("-"))).strip("-")
    while cut := _BUILD.search(part):
        part = part[: cut.start()]
    return part


#: What models are called that give vectors, scores, verdicts or sound. They keep the name of the chat model
#: that they were made from, and write no calls.
_MUTE = re.compile(
    r"(?<![a-z])(?:(?:embed(?:ding)?s?|rerank(?:er|ing)?)(?:-?qa)?|reward|p?rm|guard(?:ian)?|content-safety|tts|asr)(?![a-z])"
    r"|(?<![a-z])col(?:bert|pali|qwen|smol)|(?<![a-z0-9])(?:gte|gme|dse|e5|bge|vlm2vec)(?=-)"
)


@lru_cache(maxsize=1024)
def _by_name(generation: int, model: str) -> _Evidence | None:
    full = normal_model(model)
    name = full.rpartition("/")[2]
    table = _table(generation)
    found = [(m, p) for p in table.patterns if (m := p.search(name, full)) and m.end() > m.start()]
    found = [(m, p) for m, p in found if not _teacher(m, p, found, name)]
    what = f"the model's name {model[:200]!r}"
    if found and (mute := _MUTE.search(name)):
        return _Evidence(
            None,
            _FALLBACK,
            f"{what} is that of a model that writes no calls ({mute[0]!r})",
            f", so {_FALLBACK} it is",
        )
    for base in (False, True):
        tier = sorted(_longest(found, base), key=lambda match: match.start() - match.end())
        if not tier:
            continue
        families = {id(m): p.family for m, p in found}
        best = tier[0]
        family = families[id(best)]
        rivals = [
            m
            for m in tier[1:]
            if table.reads[families[id(m)]] != table.reads[family] or table.reads[family] == _FALLBACK
            if not _covers(best, m)
        ]
        if rivals:
            return _undecided(what, [(families[id(m)], repr(m[0])) for m in (best, *rivals)])
        return _evidence(what, table, family, repr(best[0]))
    return None


def _longest(found: list[tuple[re.Match[str], _Pattern]], base: bool) -> Iterator[re.Match[str]]:
    """The longest match of each family among its own or its base patterns."""
    best: dict[str, re.Match[str]] = {}
    for match, pattern in found:
        if pattern.base is base:
            known = best.get(pattern.family)
            if known is None or len(match[0]) > len(known[0]):
                best[pattern.family] = match
    yield from best.values()


def _covers(longer: re.Match[str], shorter: re.Match[str]) -> bool:
    """Whether two matches are of one place in the name, and the longer is more of it."""
    return (
        len(longer[0]) > len(shorter[0]) and longer.start() < shorter.end() and shorter.start() < longer.end()
    )


def _teacher(
    match: re.Match[str], pattern: _Pattern, found: list[tuple[re.Match[str], _Pattern]], name: str
) -> bool:
    """Whether a name is only that of a base model's teacher: `qwen3-8b-deepseek-v3.2-distill`."""
    if name.find("distill", match.end()) < 0:
        return False
    return any(p.base and p.family != pattern.family and m.end() <= match.start() for m, p in found)


@lru_cache(maxsize=1024)
def _opens_reasoning(generation: int, family: str, model: str | None) -> bool:
    return _fits(get_family(family).always_reasoning, family, model)


def _fits(patterns: tuple[str, ...], family: str, model: str | None) -> bool:
    """Whether a model's name fits one of a family's patterns; `.*` fits if no name is known, too."""
    if ".*" in patterns:
        return True
    full = normal_model(model) if model else ""
    if not full:
        return False
    name = full.rpartition("/")[2]
    return any(_Pattern(family, pattern, base=False).search(name, full) for pattern in patterns)


# --- by template --------------------------------------------------------------------------------------------

_CODED = re.compile(r"\\+u([0-9a-fA-F]{4})")
_NOISE = re.compile(r"\\+[nrt]|[\s\\'\"+~]+|\{\{-?|-?\}\}")


def _squeeze(text: str) -> str:
    """Text without what is a matter of style in a template: blanks, escapes, quotes, how pieces are joined
    (`a + b`, `a ~ b`, `{{ a }}{{ b }}`) and how Jinja is told to trim."""
    if "\\u" in text:
        text = _CODED.sub(lambda match: chr(int(match[1], 16)), text)
    return _NOISE.sub("", text).replace("{%-", "{%").replace("-%}", "%}")


def _without_comments(template: str) -> str:
    """A template without its `{# comments #}`, which may speak of other dialects."""
    pieces = []
    at = 0
    while (start := template.find("{#", at)) >= 0 and (end := template.find("#}", start + 2)) >= 0:
        pieces.append(template[at:start])
        at = end + 2
    pieces.append(template[at:])
    return "".join(pieces)


def _templates(given: object) -> tuple[str, ...]:
    """The texts of a chat template in the order in which they are looked at: the one for tools first.

    Raises:
        SelectionError: it is nothing of what a chat template may be.
    """
    if isinstance(given, str):
        if given.lstrip()[:1] in ("{", "[") and given.lstrip()[1:2] not in ("%", "{", "#"):
            try:
                parsed = json.loads(given)
            except (ValueError, RecursionError):
                return (given,)
            return _templates(parsed) if isinstance(parsed, (dict, list)) else (given,)
        return (given,)
    named: list[tuple[object, object]]
    if isinstance(given, Mapping):
        if "chat_template" in given:  # a tokenizer_config.json
            inner = given["chat_template"]
            return () if inner is None else _templates(inner)
        named = list(given.items())
    elif isinstance(given, (list, tuple)):
        named = []
        for item in given:
            if isinstance(item, Mapping) and "template" in item:
                named.append((item.get("name"), item["template"]))
            else:
                raise SelectionError("chat_template: a list holds mappings with `name` and `template`")
    else:
        raise SelectionError(
            f"chat_template: its text is wanted, or several by name, not {type(given).__name__}"
        )
    for name, text in named:
        if not isinstance(text, str):
            raise SelectionError(f"chat_template: {name!r}: its text is wanted, not {type(text).__name__}")
    rank = {"tool_use": 0, "default": 1}
    named.sort(key=lambda item: rank.get(str(item[0]), 2))
    return tuple(str(text) for _, text in named)


@lru_cache(maxsize=64)
def _by_template(generation: int, templates: tuple[str, ...]) -> _Evidence | None:
    table = _table(generation)
    what = "the chat template"
    for template in templates:
        text = _squeeze(_without_comments(template))
        best: dict[str, tuple[int, str]] = {}
        for family, parts, spelling in table.markers:
            weight = sum(map(len, parts))
            if weight > best.get(family, (0,))[0] and all(part in text for part in parts):
                best[family] = (weight, spelling)
        if not best:
            continue
        top = max(weight for weight, _ in best.values())
        winners = [family for family, (weight, _) in best.items() if weight == top]
        if len({table.reads[f] for f in winners}) > 1:
            return _undecided(what, [(f, best[f][1]) for f in winners])
        return _evidence(what, table, winners[0], best[winners[0]][1])
    return None
