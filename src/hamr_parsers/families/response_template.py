"""A checkpoint's own description of its output, `response_template`, as a family made at run time.

Theory. transformers (5.13 and later) reads from `tokenizer_config.json` which regions an answer has, what opens and
closes each, and how the text in one becomes a field of the message. That is what a grammar says too, so a template is
checked, translated to the text of an ordinary grammar and put into a copy of the family that reads templates: then
nothing in the engine knows of templates, and streaming, mending and recovery are those of any family. The copy is
a plain value. It is in no registry; whoever pickles a parser pickles it along.

Three fields have a meaning here, as with the servers that read templates: `thinking`, `content` and `tool_calls`.
Where a template leaves room, the rules of this package hold: text is joined and not replaced by a later run of it, text
in no region is content and not thrown away, a certain call ends the reasoning, a call that was cut off is incomplete.

What cannot be said in a grammar is refused when the template is read, never half understood. Pydantic is imported
here, for data that comes in.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from ..arguments.json_call import ARGUMENTS, IDS, NAMES
from ..engine.automaton import Automaton, parse_pattern
from ..engine.table import CAPTURES
from ..errors import GrammarError, InvalidResponseTemplateError
from .dialects import dialect
from .entry import Family, FrozenMap
from .template_patterns import (
    Capture,
    Choice,
    Item,
    Pattern,
    Tree,
    UnsupportedPatternError,
    beginning,
    escaped,
    holds_group,
    literal_text,
    regex,
    spelled,
    split,
    unanchored,
    unbounded,
    with_plain_beginning,
    without_beginning,
    without_blanks,
    without_blanks_behind,
    without_end,
    without_look_ahead,
)

__all__ = ["template_family"]

_CACHED: Final = 64  # templates that are kept translated
_BLANKS: Final = " \t\r\n"
_FRAMING: Final = r"[ \t\r\n]{0,16}"  # blanks that are stripped from a region's text
_STRIPPED: Final = r"[ \t\r\n]{0,32}"  # the same around an argument's value
_PLACEHOLDER: Final = re.compile(r"\{(\w+(?:\.\w+)*)\}")
_TAG: Final = re.compile(r"<([A-Za-z_][\w:.-]*)")


def template_family(given: object, base: Family) -> Family:
    """The family that a `response_template` describes.

    Args:
        given: the template or a whole `tokenizer_config.json`, as a mapping, as JSON text or bytes, or as a path
            (`os.PathLike`).
        base: the registered family that reads templates; the result is a copy of it with a grammar of its own.

    Raises:
        InvalidResponseTemplateError: it is no template, or one that cannot be honoured; the message names the key.
    """
    template = _loaded(given)
    try:
        text = json.dumps(template, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise _error("", f"it is not JSON data ({error}); give what tokenizer_config.json holds") from None
    return _family(text, base)


@lru_cache(maxsize=_CACHED)
def _family(text: str, base: Family) -> Family:
    template = _checked(json.loads(text))
    made = _Translation(template).family(base)
    try:
        dialect(made)
    except GrammarError as error:
        raise _error(
            "fields", f"the regions cannot be told apart: {error}; give them other delimiters"
        ) from None
    return made


# --- reading ------------------------------------------------------------------------------------------------


def _error(where: str, why: str) -> InvalidResponseTemplateError:
    return InvalidResponseTemplateError(f"response_template{'.' if where else ''}{where}: {why}")


def _loaded(given: object) -> dict[str, Any]:
    """The template within whatever was given."""
    if isinstance(given, os.PathLike):
        try:
            given = Path(given).read_bytes()
        except OSError as error:
            raise _error("", f"{os.fspath(given)!r} cannot be read: {error.strerror}") from None
    if isinstance(given, (str, bytes, bytearray)):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            hint = "give the template itself, its JSON text, or a pathlib.Path to tokenizer_config.json"
            raise _error("", f"it is not JSON ({error}); {hint}") from None
    if not isinstance(given, Mapping):
        raise _error("", f"an object is wanted, not {type(given).__name__}")
    config = dict(given)
    if isinstance(config.get("response_template"), Mapping):
        return dict(config["response_template"])
    if (
        "response_schema" in config
        or "x-regex" in config
        or ("properties" in config and "fields" not in config)
    ):
        raise _error(
            "",
            "this is a response_schema, the older form that transformers no longer reads; write a"
            " response_template with start_anchor and fields, or name the family with parser=",
        )
    if "fields" not in config and {"tokenizer_class", "chat_template", "response_template"} & config.keys():
        raise _error(
            "", "this tokenizer_config has no response_template; name the family with parser= or model="
        )
    return config


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Parser(_Strict):
    name: StrictStr = "text"
    args: dict[str, Any] = Field(default_factory=dict)


_Literals = StrictStr | list[StrictStr]


class _Region(_Strict):
    open: _Literals | None = None
    open_pattern: StrictStr | None = None
    close: _Literals | None = None
    close_pattern: StrictStr | None = None
    content: Literal["text", "int", "float", "bool", "json", "xml-inline", "kv-lines", "python-call-list"] = (
        "text"
    )
    content_args: dict[str, Any] = Field(default_factory=dict)
    repeats: StrictBool = False
    join: StrictStr | None = None
    optional: StrictBool = True
    transform: Any = None
    transform_each: StrictBool = False

    @property
    def implicit(self) -> bool:
        return self.open is None and self.open_pattern is None


class _Template(_Strict):
    version: Literal[1] = 1
    defaults: dict[str, Any] = Field(default_factory=dict)
    start_anchor: _Literals | None = None
    start_anchor_pattern: StrictStr | None = None
    fields: dict[str, _Region] = Field(min_length=1)


_FIELDS: Final = ("thinking", "content", "tool_calls")


def _checked(value: dict[str, Any]) -> _Template:
    try:
        template = _Template.model_validate(value)
    except ValidationError as error:
        raise _first(error) from None
    for name in template.fields:
        if name not in _FIELDS:
            raise _error(
                f"fields.{name}",
                f"only {', '.join(_FIELDS)} have a meaning here; rename the field or drop it",
            )
    for key, default in template.defaults.items():
        if key != "role" and (key not in _FIELDS or default not in (None, "", [])):
            raise _error(f"defaults.{key}", "only `role` (and empty fields) can be preset; drop it")
    anchors = (template.start_anchor, template.start_anchor_pattern)
    if anchors.count(None) != 1:
        raise _error(
            "start_anchor",
            "give either it or start_anchor_pattern: what opens the assistant's turn in the prompt",
        )
    implicit = [name for name, region in template.fields.items() if region.implicit]
    if len(implicit) > 1:
        raise _error(
            f"fields.{implicit[1]}", f"it has no open, and neither has {implicit[0]}: only one may lack it"
        )
    for name, region in template.fields.items():
        _check_region(f"fields.{name}", region)
    return template


def _first(error: ValidationError) -> InvalidResponseTemplateError:
    """Pydantic's first complaint as one of ours."""
    told = error.errors(include_url=False)[0]
    path = [str(part) for part in told["loc"] if part not in ("str", "list[str]")]
    if told["type"] == "extra_forbidden":
        known = _Template if len(path) == 1 else _Region
        return _error(".".join(path), f"unknown key (known are {', '.join(known.model_fields)}); remove it")
    if told["type"] == "missing":
        return _error(".".join(path), "it is missing; a template needs fields with at least one region")
    return _error(".".join(path), told["msg"][0].lower() + told["msg"][1:])


def _check_region(where: str, region: _Region) -> None:
    for side in ("open", "close"):
        if getattr(region, side) is not None and getattr(region, f"{side}_pattern") is not None:
            raise _error(f"{where}.{side}", f"give either it or {side}_pattern, not both")
        literals = getattr(region, side)
        if literals is not None and not (literals and all(literals)):
            raise _error(f"{where}.{side}", "an empty literal marks nothing; give the text of the delimiter")
    if region.join is not None and not region.repeats:
        raise _error(f"{where}.join", 'it needs "repeats": true')
    if region.transform_each and region.transform is None:
        raise _error(f"{where}.transform_each", "it needs a transform")
    _check_strings(f"{where}.transform", region.transform)


def _check_strings(where: str, transform: object) -> None:
    if isinstance(transform, dict):
        for key, value in transform.items():
            _check_strings(f"{where}.{key}", value)
    elif isinstance(transform, list):
        for item in transform:
            _check_strings(where, item)
    elif isinstance(transform, str):
        if _PLACEHOLDER.search(transform) and not _PLACEHOLDER.fullmatch(transform):
            raise _error(
                where, f"{transform!r} mixes a placeholder with text; it must be the one or the other alone"
            )


# --- translating --------------------------------------------------------------------------------------------


class _Calls(NamedTuple):
    """Where the parts of a call are, as the transform says.

    `name` and `id` are named groups of open_pattern (None: they stand in the content, or nowhere). `whole`: the
    content is the arguments; else it is an object, or a list of such, that holds name and arguments.
    """

    name: str | None
    id: str | None
    whole: bool


class _Translation:
    """From a checked template to the text of a grammar: `family` puts it together."""

    def __init__(self, template: _Template) -> None:
        self.template = template
        self.terminals: dict[str, str] = {}
        self.rules: list[str] = []
        self.parts = ["CONTENT"]
        self.untyped: Literal["string", "json", "json_always"] = "string"
        self.inside = False  # every answer begins in the reasoning
        self.anchors = self._anchors()

    def family(self, base: Family) -> Family:
        """The family: `base` with the grammar and what else the template says."""
        fields = self.template.fields
        content, thinking = fields.get("content", _Region()), fields.get("thinking")
        starts = ["start: part*"]
        if "tool_calls" in fields:
            self._tool_calls(fields["tool_calls"], "fields.tool_calls")
        self._content(content)
        if thinking is not None:
            starts.append(self._thinking(thinking, content))
        lines = [*starts, f"part: {' | '.join(self.parts)}", *self.rules]
        lines += [f"{name}: {text}" for name, text in self.terminals.items()]
        return replace(
            base,
            grammar="\n".join(lines) + "\n",
            reasoning=thinking is not None,
            always_reasoning=(".*",) if self.inside else (),
            turn=tuple(self.anchors),
            untyped=self.untyped,
            special_tokens=tuple(dict.fromkeys(self._literals())),
            canonical=FrozenMap(),
            source="the response_template that was given",
        )

    def _literals(self) -> Iterator[str]:
        for region in self.template.fields.values():
            yield from (*_listed(region.open), *_listed(region.close))

    def _anchors(self) -> list[str]:
        """What opens the assistant's turn, as literals."""
        text = self.template.start_anchor_pattern
        if text is None:
            found: list[str] | None = _listed(self.template.start_anchor)
            where = "start_anchor"
        else:
            where = "start_anchor_pattern"
            tree = without_blanks_behind(self._pattern(where, text).tree)[0]
            found = spelled(tree)
        if found is None:
            raise _error(where, f"{text!r} matches too many texts; list them as start_anchor")
        if not found or not all(found):
            raise _error(where, "an empty anchor stands everywhere; give what opens the assistant's turn")
        return sorted(found, key=len, reverse=True)

    # -- markers ------------------------------------------------------------------------------------------------

    def _pattern(self, where: str, text: str) -> Pattern:
        try:
            return Pattern(text)
        except UnsupportedPatternError as error:
            raise _error(where, f"the pattern {text!r} {error}; write it otherwise") from None

    @staticmethod
    def _refused(where: str, text: str, why: object) -> InvalidResponseTemplateError:
        return _error(
            where,
            f"the pattern {text!r} {why}, so it cannot be followed while text streams in; write it with"
            " literals and bounded repetitions",
        )

    def _marker(
        self, name: str, text: str, where: str, source: str, *, ignore_case: bool = False, free: bool = True
    ) -> None:
        """Define a marker by a bounded regex; `free`: it is searched for in text, so its beginning must be plain."""
        try:
            automaton = Automaton({name: parse_pattern(name, text, "i" if ignore_case else "")})
        except GrammarError as error:
            raise self._refused(where, source, f"is no marker ({error})") from None
        if not automaton.first or (free and automaton.prefix_pattern() == "(?!)"):
            raise self._refused(where, source, "may begin with nearly any character")
        self.terminals[name] = f"/{text}/{'i' if ignore_case else ''}"

    def _tree(
        self,
        name: str,
        tree: Tree,
        where: str,
        pattern: Pattern,
        *,
        around: tuple[str, str] = ("", ""),
        free: bool = True,
    ) -> None:
        """Define a marker by a tree of a pattern, and blanks that may stand around it."""
        try:
            text = regex(tree)
        except UnsupportedPatternError as error:
            raise self._refused(where, pattern.text, error) from None
        before, behind = around
        self._marker(
            name, before + text + behind, where, pattern.text, ignore_case=pattern.ignore_case, free=free
        )

    def _delimiter(self, name: str, side: str, where: str, region: _Region, behind: str = "") -> bool:
        """Define a region's opener or closer, with the blanks that may stand behind it; whether it has one."""
        literals = _listed(getattr(region, side))
        where = f"{where}.{side}"
        if literals:
            if not all(t.strip(_BLANKS) for t in literals):
                raise _error(where, "blanks alone delimit nothing here; give a delimiter with characters")
            cores = sorted({t.lstrip(_BLANKS) for t in literals}, key=len, reverse=True)
            shown = [self._cuttable(core) if side == "close" else escaped(core) for core in cores]
            if shown == [escaped(cores[0])] and not behind:
                self.terminals[name] = _quoted(cores[0])
            else:
                text = shown[0] if len(shown) == 1 else f"(?:{'|'.join(shown)})"
                self._marker(name, text + behind, where, str(literals))
            return True
        text = getattr(region, f"{side}_pattern")
        if text is None:
            return False
        pattern = self._pattern(f"{where}_pattern", text)
        if pattern.names:
            self._refuse_groups(f"{where}_pattern", pattern)
        tree = without_end(pattern.tree, self._ends_anyway) if side == "close" else pattern.tree
        if name == "THINK":
            tree = unanchored(tree)
        elif name == "END_TURN":
            tree = unanchored(tree, at_end=True)
        tree = without_blanks_behind(without_blanks(tree)[0])[0]
        if not tree and side == "close":
            return False  # it ends where the next region begins, or the text does
        self._tree(name, tree, f"{where}_pattern", pattern, around=("", behind))
        return True

    def _cuttable(self, closer: str) -> str:
        """A closer as a regex; if it ends in the next turn's anchor, a stop may have cut that off."""
        for anchor in self.anchors:
            if closer.endswith(anchor) and len(closer) > len(anchor):
                return f"{escaped(closer.removesuffix(anchor))}(?:{escaped(anchor)})?"
        return escaped(closer)

    @staticmethod
    def _refuse_groups(where: str, pattern: Pattern) -> None:
        names = ", ".join(pattern.names.values())
        raise _error(
            where, f"the groups {names} are not used; give the field a transform that does, or remove them"
        )

    def _ends_anyway(self, text: str) -> bool:
        """Whether what is looked ahead for opens or closes a region, which ends an open value in any case."""
        known = [*self._literals(), *self.anchors, *self._openings]
        return len(text) > 2 and _alike([text], known)

    @property
    def _openings(self) -> list[str]:
        """How the patterns that open regions and arguments begin."""
        texts = [r.open_pattern for r in self.template.fields.values()]
        texts += [r.content_args.get("tag_pattern") for r in self.template.fields.values()]
        return [beginning(self._pattern("fields", t).tree) for t in texts if isinstance(t, str)]

    # -- text -----------------------------------------------------------------------------------------------------

    def _plain(self, where: str, region: _Region) -> str:
        """Check a region of text; returns the blanks that frame its delimiters."""
        if region.content != "text" or region.transform is not None:
            raise _error(where, "it streams as text, so its content must be text without a transform")
        if region.repeats and region.join != "":
            raise _error(
                f"{where}.{'repeats' if region.join is None else 'join'}",
                'its runs are joined as they come; write "join": "" (or neither of the two)',
            )
        args = dict(region.content_args)
        strip = _flag(f"{where}.content_args", args, "strip", True)
        _no_more(f"{where}.content_args", args)
        return _FRAMING if strip else ""

    def _content(self, region: _Region) -> None:
        where = "fields.content"
        behind = self._plain(where, region)
        headers = [a.lstrip(_BLANKS) for a in self.anchors if a.strip() and not a.lstrip()[0].isalnum()]
        header = f"(?:{'|'.join(map(escaped, headers))})"
        if region.implicit:
            if self._delimiter("END_TURN", "close", where, region):
                self.parts.append("END_TURN")
                if headers:
                    self._marker("ROLE", header, "start_anchor", str(headers))
                    self.parts.append("ROLE")
            return
        self._delimiter("ANSWER", "open", where, region, behind)
        self.parts.append("ANSWER")
        if self._delimiter("END_ANSWER", "close", where, region):
            self.parts.append("END_ANSWER")
        if headers:
            self._marker("HEADER", header, "start_anchor", str(headers))
            self.parts.append("HEADER")

    def _thinking(self, region: _Region, content: _Region) -> str:
        """The rules of the reasoning; returns the one of a text that begins inside it."""
        where = "fields.thinking"
        behind = self._plain(where, region)
        opened = self._think(where, region, behind)
        self.inside = self.inside or not opened
        if not self._delimiter("END_THINK", "close", where, region, behind):
            if opened or content.implicit:
                raise _error(
                    f"{where}.close", "without it nothing ever follows the reasoning; give what ends it"
                )
            self._delimiter("END_THINK", "open", "fields.content", content, behind)
        if opened:
            self.parts.append("think")
            self.rules.append("think: THINK+ REASONING? END_THINK")
        if not self._shares(region):
            self.parts.append("was_reasoning")
            self.rules.append("was_reasoning: END_THINK")
        interrupts = [t for t in ("TOOL", "END_TURN", "ANSWER") if t in self.terminals]
        if interrupts:
            self.rules.append(f"until_reasoning: {' | '.join(interrupts)}")
        self.rules.append(f"reasoned: {'THINK* ' if opened else ''}REASONING? END_THINK")
        return "start_in_reasoning: reasoned part*"

    def _think(self, where: str, region: _Region, behind: str) -> bool:
        """Define what opens the reasoning; False if nothing does, since every answer begins in it."""
        text = region.open_pattern
        if text is not None:
            pattern = self._pattern(f"{where}.open_pattern", text)
            tree, self.inside = without_beginning(pattern.tree)
            if self.inside:
                if tree:
                    tree = without_blanks_behind(without_blanks(tree)[0])[0]
                    self._tree("THINK", tree, f"{where}.open_pattern", pattern, around=("", behind))
                return bool(tree)
        return self._delimiter("THINK", "open", where, region, behind)

    def _shares(self, thinking: _Region) -> bool:
        """Whether what closes the reasoning closes or opens something else as well."""
        others = [*self.anchors, *self._openings]
        for region in self.template.fields.values():
            if region is not thinking:
                others += [*_listed(region.open), *self._closers(region)]
        own = self._closers(thinking)
        return not own or _alike(own, others)

    def _is_loose(self, region: _Region) -> bool:
        """Whether a region also ends where something else begins, or the text ends."""
        if region.close_pattern is None:
            return False
        tree = self._pattern("fields", region.close_pattern).tree
        return without_end(tree, self._ends_anyway) != tree

    def _closers(self, region: _Region) -> list[str]:
        """What closes a region, or how that begins."""
        if region.close_pattern is None:
            return _listed(region.close)
        tree = without_end(self._pattern("fields", region.close_pattern).tree, self._ends_anyway)
        texts = spelled(tree) or [beginning(tree)]
        return [text for text in texts if text]

    # -- calls ----------------------------------------------------------------------------------------------------

    def _tool_calls(self, region: _Region, where: str) -> None:
        if region.implicit:
            raise _error(f"{where}.open", "calls need a marker before them; give open or open_pattern")
        if region.join is not None:
            raise _error(f"{where}.join", "calls are no text to be joined; remove it")
        calls = self._shape(region, where)
        if region.open_pattern is None:
            self._delimiter("TOOL", "open", where, region)
            opening, opener = "TOOL", Pattern(escaped(_listed(region.open)[0]))
        else:
            opener = self._pattern(f"{where}.open_pattern", region.open_pattern)
            opening = self._opening(opener, calls, f"{where}.open_pattern", region.content)
        content = self.template.fields.get("content", _Region())
        shared = _alike(self._closers(region), self._closers(content))
        closed = self._delimiter("END_TOOL", "close", where, region)
        if closed and shared and content.implicit and self._is_loose(region):
            closed = False  # what ends the turn, or begins the next call, closes nothing of this one
            del self.terminals["END_TOOL"]
        inner = self._inner_tags(opener, region) if closed else ""
        ending = f"{inner} END_TOOL" if closed else ""
        self.parts.append("tool_call" if calls.whole else "tool_calls")
        body = self._body(region, where, calls.whole)
        if calls.whole:
            self.rules.append(f"tool_call: {opening} {body}{ending}")
        elif region.content == "python-call-list":
            self.rules.append(
                f"tool_calls: {opening} LIST (python_call (SEPARATOR python_call)*)? END_LIST{ending}"
            )
            self.rules.append("python_call: NAME PAREN PY_ARGUMENTS")
            self.terminals |= {"LIST": '"["', "END_LIST": '"]"', "SEPARATOR": '","', "PAREN": '"("'}
        else:
            self.rules.append(f"tool_calls: {opening} (entry+ | LIST entry* END_LIST){ending}")
            self.rules += ["entry: json_call | SEPARATOR", "json_call: JSON_CALL"]
            self.terminals |= {"LIST": '"["', "END_LIST": '"]"', "SEPARATOR": "/[,;]/"}
        if closed and not shared:
            self.parts.append("stray")
            self.rules.append("stray: END_TOOL")

    def _shape(self, region: _Region, where: str) -> _Calls:
        """What the transform says: where name, arguments and id come from."""
        objects = region.content in ("json", "python-call-list")
        transform = region.transform
        at = f"{where}.transform"
        pattern = region.open_pattern
        groups = set(self._pattern(f"{where}.open_pattern", pattern).names.values() if pattern else ())
        if region.transform_each and not objects:
            raise _error(f"{at}_each", f"{region.content!r} is no list; use json, or remove it")
        if transform is None or transform == "{content}":
            if not objects:
                raise _error(at, "it must say where a call's name and arguments come from")
            return _Calls(None, None, False)
        if not isinstance(transform, dict):
            raise _error(at, "an object with `function` is wanted, which holds name and arguments")
        function = transform.get("function", transform if "name" in transform else None)
        wrapper = {"type", "id"} | ({"function"} if function is not transform else {"name", "arguments"})
        if extra := sorted(map(str, transform.keys() - wrapper)):
            raise _error(f"{at}.{extra[0]}", "a call has type, id and function; remove it")
        if transform.get("type", "function") != "function":
            raise _error(f"{at}.type", 'only "function" is known')
        within = "{function}" if region.transform_each else "{content.function}"
        if function in ("{content}", within) and objects:
            return _Calls(None, None, False)
        if not isinstance(function, dict) or not {"name", "arguments"} <= function.keys():
            raise _error(f"{at}.function", "it must be {content}, or an object with name and arguments")
        if function is not transform and (extra := sorted(map(str, function.keys() - {"name", "arguments"}))):
            raise _error(f"{at}.function.{extra[0]}", "a function has name and arguments; remove it")
        name = self._source(f"{at}.function.name", function["name"], groups, region.transform_each)
        arguments = self._source(
            f"{at}.function.arguments", function["arguments"], groups, region.transform_each
        )
        ident = transform.get("id")
        source = None if ident is None else self._source(f"{at}.id", ident, groups, region.transform_each)
        if len(name) == 1 and name[0] in groups and arguments == ("content",):
            if source is not None and source[0] not in groups:
                raise _error(f"{at}.id", "it must be a named group of open_pattern, as the name is")
            return _Calls(name[0], source[0] if source else None, True)
        self._check_object(at, name, arguments, source, region, groups)
        return _Calls(None, None, False)

    @staticmethod
    def _source(at: str, value: object, groups: set[str], each: bool) -> tuple[str, ...]:
        """A placeholder as a path: a named group, ("content",), or keys within an object of the content."""
        match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise _error(at, f"{value!r} is fixed, and a call's parts are read; use a {{placeholder}}")
        path = tuple(match[1].split("."))
        if path[0] in groups and len(path) == 1:
            return path
        if each:
            return ("content", *path)
        if path[0] != "content":
            raise _error(at, f"there is no {path[0]!r}; it can be content or a named group of open_pattern")
        return path

    @staticmethod
    def _check_object(
        at: str,
        name: tuple[str, ...],
        arguments: tuple[str, ...],
        ident: tuple[str, ...] | None,
        region: _Region,
        groups: set[str],
    ) -> None:
        """Whether the content is an object that holds name and arguments under keys that the reader knows."""
        if region.content not in ("json", "python-call-list") or name[0] in groups or arguments[0] in groups:
            raise _error(
                at,
                "name and arguments must come from a named group and the content, or both from an object in it",
            )
        known = [(name, NAMES, "name"), (arguments, ARGUMENTS, "arguments")]
        if ident is not None and ident[0] not in groups:
            known.append((ident, IDS, "id"))
        for path, keys, part in known:
            if region.content == "python-call-list":
                keys = frozenset((part,))
            around = path[1:-1]
            if len(path) < 2 or path[-1] not in keys or (part != "id" and around not in ((), ("function",))):
                shown = ", ".join(sorted(keys))
                raise _error(at, f"the {part} stands at {'.'.join(path)!r}; keys that are read are {shown}")
        if name[:-1] != arguments[:-1]:
            raise _error(at, "name and arguments must stand in the same object")

    def _opening(self, pattern: Pattern, calls: _Calls, where: str, content: str) -> str:
        """The symbols of an opener that may hold name and id."""
        names = {g: w for g, w in ((calls.name, "NAME"), (calls.id, "CALL_ID")) if g is not None}
        tree = pattern.tree
        if content == "json":
            tree = without_look_ahead(tree, lambda text: text[:1] in ("{", "["))
        pattern.tree = without_blanks(tree)[0]
        try:
            items = split(pattern, names)
        except UnsupportedPatternError as error:
            raise self._refused(where, pattern.text, error) from None
        symbols = self._symbols(items, names, pattern, where)
        if symbols[:1] != ["TOOL"]:
            raise self._refused(where, pattern.text, "has no marker before the name")
        return " ".join(symbols)

    def _symbols(
        self, items: list[Item], names: dict[str, str], pattern: Pattern, where: str, inner: bool = False
    ) -> list[str]:
        symbols: list[str] = []
        for index, item in enumerate(items):
            if isinstance(item, Choice):
                branches = [self._symbols(branch, names, pattern, where, True) for branch in item.branches]
                symbols.append(f"({' | '.join(map(' '.join, branches))}){'?' if item.optional else ''}")
            elif isinstance(item, Capture):
                if symbols and symbols[-1] in CAPTURES:
                    raise self._refused(where, pattern.text, "has nothing between two named groups")
                symbols.append(self._captured(item, names, pattern, where))
            else:
                tree = without_blanks_behind(without_blanks(item)[0])[0]
                if not tree:
                    continue
                last = index == len(items) - 1 and not inner
                name = "END_NAME" if last else f"MARK{len(self.terminals)}"
                name = name if "TOOL" in self.terminals else "TOOL"
                self._tree(name, with_plain_beginning(tree), where, pattern, free=name == "TOOL")
                symbols.append(name)
        return symbols

    def _captured(self, item: Capture, names: dict[str, str], pattern: Pattern, where: str) -> str:
        """The word for a named group; an id may hold the name, as in `functions.NAME:3`."""
        word = names[item.name]
        within = [n for n, w in names.items() if w == "NAME" and holds_group(item.tree, pattern, n)]
        if word != "CALL_ID" or not within:
            return word
        around = [node for node in item.tree if not holds_group([node], pattern, within[0])]
        if literal_text(around).replace("\0", "") not in (":", "functions.:"):
            raise self._refused(where, pattern.text, "has an id that is not written as functions.NAME:0")
        return "INDEXED_NAME"

    def _inner_tags(self, opener: Pattern, region: _Region) -> str:
        """Closing tags of what the opener opens beside the tag that `close` closes: `</function>`."""
        text = literal_text(opener.tree)
        ending = "".join(_listed(region.close)) + (region.close_pattern or "").replace("\\", "")
        tags = [t for t in dict.fromkeys(_TAG.findall(text)) if f"</{t}" not in text + ending]
        if "</" not in ending or not tags:
            return ""
        self._marker("END_TAG", rf"<\/(?:{'|'.join(map(escaped, tags))}) {{0,2}}>", "open_pattern", text)
        return " END_TAG*"

    def _body(self, region: _Region, where: str, whole: bool) -> str:
        """The symbols of a region whose content is the arguments; of any, check the options."""
        args = dict(region.content_args)
        at = f"{where}.content_args"
        kind = region.content
        if kind == "xml-inline":
            return self._tags(args, at)
        if kind == "kv-lines":
            return self._lines(args, at)
        word = "JSON_ARGUMENTS"
        if kind == "json":
            _flag(at, args, "unquoted_keys", False)
            _flag(at, args, "allow_non_json", False)
            word = self._quotes(args, at) or word
            if word == "TOKEN_ARGUMENTS" and not whole:
                raise _error(
                    f"{at}.string_delims", "they are read in arguments whose name stands in the opener"
                )
        elif kind != "text" and whole:
            raise _error(f"{where}.content", f"{kind!r} is no object, which a call's arguments are; use json")
        elif kind == "text":
            _flag(at, args, "strip", True)
        _no_more(at, args)
        return word

    def _quotes(self, args: dict[str, Any], at: str) -> str | None:
        """TOKEN_ARGUMENTS if strings stand between tokens of their own."""
        pairs = args.pop("string_delims", [])
        whole = isinstance(pairs, list) and all(
            isinstance(p, list) and len(p) == 2 and all(isinstance(d, str) and d for d in p) for p in pairs
        )
        if not whole:
            raise _error(f"{at}.string_delims", "a list of [open, close] is wanted, each a literal")
        pairs = [p for p in pairs if p not in (['"', '"'], ["'", "'"])]  # those are read in any case
        if not pairs:
            return None
        if len(pairs) > 1 or pairs[0][0] != pairs[0][1]:
            raise _error(
                f"{at}.string_delims", "strings must stand between two equal tokens, of one kind only"
            )
        self.terminals["QUOTE"] = _quoted(pairs[0][0])
        return "TOKEN_ARGUMENTS"

    def _tags(self, args: dict[str, Any], at: str) -> str:
        """Arguments as tags: `parameter*`, and the rule."""
        text = args.pop("tag_pattern", None)
        where = f"{at}.tag_pattern"
        if not isinstance(text, str):
            raise _error(where, "it is missing; give a pattern with the groups key and value")
        if _flag(at, args, "merge_duplicates", False):
            raise _error(
                f"{at}.merge_duplicates",
                "a list cannot be made of an argument that was streamed already; a key that comes twice is reported",
            )
        word, strip = self._value(args, at)
        _no_more(at, args)
        pattern = self._pattern(where, text)
        pattern.tree = without_end(without_blanks(pattern.tree)[0], self._ends_anyway)
        try:
            items = split(pattern, ("key", "value"))
        except UnsupportedPatternError as error:
            raise self._refused(where, text, error) from None
        shape = [item.name if isinstance(item, Capture) else "" for item in items]
        if shape != ["", "key", "", "value", ""]:
            raise _error(
                where, f"the pattern {text!r} must be a marker, (?P<key>), a marker, (?P<value>) and a marker"
            )
        before, between, behind = items[0], items[2], items[4]
        assert isinstance(before, list) and isinstance(between, list) and isinstance(behind, list)
        self._tree("PARAMETER", without_blanks_behind(before)[0], where, pattern)
        between, framed = self._unframed(without_blanks(between)[0], strip, False)
        self._tree("END_KEY", between, where, pattern, around=("", framed), free=False)
        behind, framed = self._unframed(without_blanks_behind(behind)[0], strip, True)
        self._tree("END_PARAMETER", behind, where, pattern, around=(framed, ""))
        self.rules.append(f"parameter: PARAMETER KEY END_KEY {word} END_PARAMETER")
        ends = [t for t in ("PARAMETER", "END_TAG", "END_TOOL") if t in self.terminals]
        self.rules.append(f"until_value: {' | '.join(ends)}")
        return "parameter*"

    @staticmethod
    def _unframed(tree: Tree, strip: bool, first: bool) -> tuple[Tree, str]:
        """A marker beside a value without its blanks if any number of them is framing, and the blanks as a regex."""
        core, found = without_blanks(tree) if first else without_blanks_behind(tree)
        blanks = tree[: len(tree) - len(core)] if first else tree[len(core) :]
        if strip or (found and any(unbounded(node) for node in blanks)):
            return core, _STRIPPED
        return tree, ""

    def _value(self, args: dict[str, Any], at: str) -> tuple[str, bool]:
        """The word for an argument's value, and whether blanks around it are stripped."""
        given = args.pop("value_parser", None)
        if given is None:
            return "VALUE", False
        at = f"{at}.value_parser"
        try:
            parser = _Parser.model_validate(given)
        except ValidationError as error:
            told = error.errors(include_url=False)[0]
            raise _error(at, f"name and args are wanted: {told['msg']}") from None
        rest = dict(parser.args)
        strip = _flag(f"{at}.args", rest, "strip", True)
        if parser.name == "text":
            _no_more(f"{at}.args", rest)
            return "VALUE", strip
        if parser.name in ("int", "float"):
            _no_more(f"{at}.args", rest)
            self.untyped = "json"
            return "VALUE", True
        if parser.name != "json":
            raise _error(f"{at}.name", f"{parser.name!r} cannot be read within an argument; use text or json")
        lenient = _flag(f"{at}.args", rest, "allow_non_json", False)
        _flag(f"{at}.args", rest, "unquoted_keys", False)
        _no_more(f"{at}.args", rest)
        if lenient:
            self.untyped = "json_always"
        return ("VALUE" if lenient else "JSON_VALUE"), True

    def _lines(self, args: dict[str, Any], at: str) -> str:
        """Arguments as lines."""
        for key, name, default in (("kv_sep", "COLON", ":"), ("line_sep", "NEWLINE", "\n")):
            text = args.pop(key, default)
            if not isinstance(text, str) or not text:
                raise _error(f"{at}.{key}", f"{text!r} separates nothing; give a literal")
            self.terminals[name] = _quoted(text)
        if self._value(args, at)[0] == "JSON_VALUE":
            self.untyped = "json_always"
        if not _flag(at, args, "strip", True):
            raise _error(f"{at}.strip", "blanks around keys and values cannot be kept; remove it")
        _no_more(at, args)
        return "LINE_ARGUMENTS?"


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _alike(texts: list[str], others: list[str]) -> bool:
    """Whether any of the texts is one of the others, or begins like one."""
    return any(a.startswith(b) or b.startswith(a) for a in texts for b in others if b)


def _quoted(text: str) -> str:
    """A literal as a string of a grammar."""
    for plain, shown in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, shown)
    return f'"{text}"'


def _flag(where: str, args: dict[str, Any], key: str, default: bool) -> bool:
    value = args.pop(key, default)
    if not isinstance(value, bool):
        raise _error(f"{where}.{key}", f"true or false is wanted, not {value!r}")
    return value


def _no_more(where: str, args: dict[str, Any]) -> None:
    if args:
        raise _error(f"{where}.{next(iter(args))}", "this kind of content has no such option; remove it")
