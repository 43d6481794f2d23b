"""What is known about a family, as a value: `Family`, and `Hint` for one that is known but not registered.

Theory. A family is data: a grammar (a `.lark` file) and one entry (a `.toml` file). The entry holds what the
grammar cannot say: names, how to recognise the family, how its prompts look, how its template spells a call.
This module turns an entry into an immutable value and refuses one that is wrong with an error that names the
file and the key; it reads no file itself and knows no family.

An entry is checked when it is read, apart from its patterns: compiling those of every family would cost more
than everything else, so they are compiled on first use (`select`), and checked at once only where a stranger
hands an entry in (`check_patterns`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypeVar, cast

from hamr_parsers.errors import HamrParsersError

__all__ = ["CANONICAL_FIELD", "PEERS", "Family", "FamilyEntryError", "FrozenMap", "Hint", "normal_name"]

_V = TypeVar("_V")

#: Whose parser names an entry may list as aliases; `hamr` holds our own, `other` those of any other tool.
PEERS = ("hamr", "vllm", "sglang", "llamacpp", "smg", "mlx", "transformers", "other")

Kind = Literal["grammar", "passthrough", "auto", "response_template"]


class FamilyEntryError(HamrParsersError, ValueError):
    """A family's entry is wrong; the message names the file (or who gave it), the key and what is wrong."""


class FrozenMap(Mapping[str, _V], Generic[_V]):
    """A read-only mapping that can be hashed, pickled and copied (`MappingProxyType` can do none of them)."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, _V] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> _V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self._items,))


@dataclass(frozen=True, slots=True)
class Hint:
    """A family that is known by its names and markers but not registered (yet).

    It keeps the selection honest: a model of such a family is not mistaken for one of a registered family,
    and the answer can say whose it is. `dialect` is the registered family that reads the same format, if any.
    The keys are those of `Family`, so that registering the family means moving its lines to its own file.
    """

    id: str
    aliases: Mapping[str, tuple[str, ...]] = FrozenMap()
    name_patterns: tuple[str, ...] = ()
    base_patterns: tuple[str, ...] = ()
    template_markers: tuple[tuple[str, ...], ...] = ()
    dialect: str | None = None

    @classmethod
    def from_entry(cls, entry: Mapping[str, object], where: str) -> Hint:
        """Build one from a table of the hints' file.

        Raises:
            FamilyEntryError: a key is unknown, missing or of the wrong type.
        """
        return cls(**_read(cls, entry, where, required=("id",)))


@dataclass(frozen=True, slots=True)
class Family:
    """One family: everything about it but the grammar's compiled table. Immutable, picklable.

    Attributes:
        id: the parser id, as in `parser=`.
        title: the family's name for people.
        kind: what reads its text. `grammar`: the engine, with `grammar`; `passthrough`: nothing does, all
            text is content; `auto`: the parser that watches for the families' openers; `response_template`:
            a grammar made at run time from a template that the checkpoint ships (`grammar` is what is read
            without one).
        grammar: the name of a resource beside the entries (`x.lark`), or the grammar's text (told apart by
            its newline), or None if the kind needs none.
        aliases: names that other tools use for this family, by tool (`PEERS`).
        reasoning_parsers: what servers that read reasoning apart from calls call the reader of its reasoning
            (`--reasoning-parser`), by tool.
        models: examples of models that write it.
        name_patterns: regular expressions, searched in a model's normalised name (see `select`); the longest
            match of any family wins. One that holds a `/` sees the organisation too (`org/name`).
        base_patterns: the same for names of *base* models. Fine-tunes that write another dialect keep the
            base's name, so these count only where no family's `name_patterns` match.
        template_markers: each is a tuple of strings that must all stand in a chat template (blanks and
            backslashes aside); the marker with the most characters of any family wins.
        template_of: the family whose chat templates cannot be told from this one's; between the two a model's
            name decides.
        bare: the format has no marker, so an unmarked object with a name and arguments is a call even if no
            tools are given.
        borrows: where another family writes the same opener, it is that family's: a text of unknown family that begins
            with it is read as that one.
        no_call: names by which the family's models say that they call nothing; unless a tool of that name is
            declared, such a call is consumed and not given out.
        untyped: what a text value is if nothing is known about its type: a `string`, or `json` if it parses;
            `json_always`: the latter, and a string may stand in quotes where its type is known as well.
        quoted: the template writes every value in quotes, so a value in quotes is typed by the tool's schema.
        reasoning: the format has reasoning blocks.
        always_reasoning: regular expressions, searched like `name_patterns`, of models whose prompt always
            opens the reasoning block; `.*` says that all models of the family do.
        thinking_reasoning: the same for models whose prompt opens it if the request turns thinking on. A text alone
            does not tell, so only the wire layer, which sees the request, goes by it.
        closed_after_tools: after a tool's result the prompt opens no block, whatever the two above say.
        id_format: what `id_factory` makes by default: `call` (`call_...`) or `alnum9`.
        special_tokens: single vocabulary tokens that are markers, which a server may have removed.
        turn: how a prompt opens the assistant's turn; what stands behind the last one began the answer.
        canonical: how the template spells a message, for `render`: texts in which `{...}` of a known name is
            replaced (other braces are text). In the order in which they are written:
            `reasoning`, with `{reasoning}`: the block, up to what follows it; of a text that goes on from a prompt
            which opened the block, what stands before `{reasoning}` is left out. `no_reasoning` stands in its
            place if there is none and the prompt opened none.
            `content`, with `{content}`: the text before calls; `no_content` stands in its place if there is none.
            `answer`: the text if no calls follow (if missing: `content` without its last blanks).
            `head`, `joint` and `tail`: before, between and behind calls; a tail with `{content}` in it has the
            text behind the calls.
            `call`, with `{name}`, `{id}`, `{index}` (from 0) and `{number}` (from 1), and with either
            `{arguments}`, all of them in one, or `{params}`, each as `param` says; `empty_call` is one without
            arguments, `id` an id for a call that has none (a text with the same fields).
            `param`, with `{key}`, `{value}` and `{type}` (its JSON type): one argument, `param_joint` between two;
            `param_string` and `param_json` stand in for it where strings and other values are written differently,
            `param_odd` for strings that hold a character of `odd`.
            `end`: behind everything that the message holds.
            How `{arguments}` are spelled says `arguments`: `json` (the default), `python` (`a=1, b='x'`), `dict`
            (a Python dict) or `tokens` (bare keys, strings between the grammar's QUOTE). In a param a string is
            written as it is, anything else as `values` says: `json` (the default), `python` (`True`,
            `{'a': None}`), `mixed` (objects and arrays as JSON, `True` and `None` as Python; `python` arguments
            may be so, too) or `members` (objects and arrays are params in params, an item of an array has the key
            `item`). `json` says how JSON is set: with `", "` and `": "` (if missing), `compact`, or a number: over
            lines with so many blanks a level. `quote` is the quote of Python strings (if missing, the one that
            `repr` takes). `keys` may be `sorted`. `attributes` is `xml` where names and keys have their `"` and
            `&` written as entities.
        source: where the facts come from.
    """

    id: str
    title: str
    kind: Kind = "grammar"
    grammar: str | None = None
    aliases: Mapping[str, tuple[str, ...]] = FrozenMap()
    reasoning_parsers: Mapping[str, str] = FrozenMap()
    models: tuple[str, ...] = ()
    name_patterns: tuple[str, ...] = ()
    base_patterns: tuple[str, ...] = ()
    template_markers: tuple[tuple[str, ...], ...] = ()
    template_of: str | None = None
    bare: bool = False
    borrows: bool = False
    no_call: tuple[str, ...] = ()
    untyped: Literal["string", "json", "json_always"] = "string"
    quoted: bool = False
    reasoning: bool = False
    always_reasoning: tuple[str, ...] = ()
    thinking_reasoning: tuple[str, ...] = ()
    closed_after_tools: bool = False
    id_format: Literal["call", "alnum9"] = "call"
    special_tokens: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    canonical: Mapping[str, str] = FrozenMap()
    source: str = ""

    @classmethod
    def from_entry(cls, entry: Mapping[str, object], where: str, grammar: str | None = None) -> Family:
        """Build one from an entry (`where` says whose, for errors); `grammar` overrides the entry's own.

        Raises:
            FamilyEntryError: a key is unknown, missing or of the wrong type, or a value is not allowed.
        """
        values = _read(cls, entry, where, required=("id", "title"))
        kind = values.setdefault("kind", "grammar")
        if grammar is not None:
            values["grammar"] = grammar
        if kind == "grammar":
            values.setdefault("grammar", f"{values['id']}.lark")
        elif values.get("grammar") is not None and kind != "response_template":
            raise FamilyEntryError(f"{where}: grammar: a family of kind {kind!r} has none")
        return cls(**values)

    @classmethod
    def from_checked(cls, values: Mapping[str, object]) -> Family:
        """Build one from what `checked` gave, as JSON brings it back."""
        return cls(**{key: _frozen(value) for key, value in values.items()})  # type: ignore[arg-type]

    def checked(self) -> dict[str, object]:
        """Everything that is not as it is by default, for JSON."""
        default = Family("", "")
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in values.items()
            if value != getattr(default, key)
        }

    def __copy__(self) -> Family:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Family:
        return self

    def __hash__(self) -> int:
        return hash((self.id, self.grammar))

    def check_patterns(self, where: str) -> None:
        """Compile every pattern once.

        Raises:
            FamilyEntryError: a pattern is not a regular expression.
        """
        for key in ("name_patterns", "base_patterns", "always_reasoning", "thinking_reasoning"):
            for pattern in getattr(self, key):
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise FamilyEntryError(f"{where}: {key}: {pattern!r} is no pattern: {error}") from None


def normal_name(name: str) -> str:
    """A parser's name as it is looked up: without outer blanks, lower case, `_` as `-`."""
    return name.strip().lower().replace("_", "-")


# --- reading ------------------------------------------------------------------------------------------------

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_GRAMMAR = re.compile(r"[a-z0-9][a-z0-9._-]*[.]lark")
_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": ("grammar", "passthrough", "auto", "response_template"),
    "untyped": ("string", "json", "json_always"),
    "id_format": ("call", "alnum9"),
}
_CANONICAL: dict[str, tuple[str, ...]] = {  # key -> the values allowed, if not any text
    "reasoning": (),
    "no_reasoning": (),
    "content": (),
    "no_content": (),
    "answer": (),
    "head": (),
    "call": (),
    "empty_call": (),
    "id": (),
    "arguments": ("json", "python", "dict", "tokens"),
    "param": (),
    "param_string": (),
    "param_json": (),
    "param_odd": (),
    "odd": (),
    "param_joint": (),
    "values": ("json", "python", "mixed", "members"),
    "json": ("compact", *"12345678"),
    "quote": ("'", '"'),
    "keys": ("sorted",),
    "attributes": ("xml",),
    "joint": (),
    "tail": (),
    "end": (),
}

CANONICAL_FIELD = re.compile(
    r"\{(?:reasoning|content|name|id|index|number|arguments|params|key|value|type)\}"
)
"""What is replaced in the texts of `Family.canonical`."""


def _frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return FrozenMap({k: _frozen(v) for k, v in value.items()}) if isinstance(value, dict) else value


def _read(cls: type, entry: Mapping[str, object], where: str, required: tuple[str, ...]) -> dict[str, Any]:
    """The checked values of an entry, as keyword arguments of `cls`."""
    known = {f.name: str(f.type) for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in known:
            raise FamilyEntryError(f"{where}: {key}: unknown key (known are {', '.join(known)})")
        try:
            values[key] = _value(key, known[key], value)
        except _Wrong as wrong:
            raise FamilyEntryError(f"{where}: {key}: {wrong}") from None
    for key in required:
        if not values.get(key):
            raise FamilyEntryError(f"{where}: {key}: missing")
    return values


class _Wrong(Exception):
    """Says what is wrong with a value; `_read` adds where."""


def _value(key: str, annotation: str, value: object) -> object:
    if key == "aliases":
        return _aliases(value)
    if key == "reasoning_parsers":
        for peer, name in _mapping(value).items():
            if peer not in PEERS:
                raise _Wrong(f"unknown tool {peer!r} (known are {', '.join(PEERS)})")
            _full(name)
        return FrozenMap(cast(Mapping[str, str], value))
    if key == "canonical":
        for name, text in _mapping(value).items():
            if name not in _CANONICAL:
                raise _Wrong(f"unknown key {name!r} (known are {', '.join(_CANONICAL)})")
            if _string(text) not in _CANONICAL[name] and _CANONICAL[name]:
                raise _Wrong(f"{name}: {text!r} is not one of {', '.join(_CANONICAL[name])}")
        return FrozenMap(cast(Mapping[str, str], value))
    if key == "template_markers":
        return tuple(_marker(m) for m in _sequence(value))
    if key == "grammar" and value is not None:
        if "\n" not in _full(value) and not _GRAMMAR.fullmatch(_full(value)):
            raise _Wrong(f"{value!r} is neither the name of a `.lark` file nor a grammar (which has lines)")
        return value
    if key == "id":
        if not _ID.fullmatch(_string(value)):
            raise _Wrong(f"{value!r} is no id: lower-case letters, digits, `.`, `-` and `_`, at most 64")
        return value
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise _Wrong(f"{value!r} is not one of {', '.join(_CHOICES[key])}")
        return value
    if annotation == "bool":
        if not isinstance(value, bool):
            raise _Wrong(f"true or false is wanted, not {value!r}")
        return value
    if annotation.startswith("tuple["):
        return tuple(_full(s) for s in _sequence(value))
    if value is None and annotation.endswith("None"):
        return None
    return _full(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"a string is wanted, not {value!r}")
    return value


def _full(value: object) -> str:
    if not _string(value):
        raise _Wrong("an empty string")
    return cast(str, value)


def _sequence(value: object) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):
        raise _Wrong(f"a list of strings is wanted, not {value!r}")
    return tuple(value)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _Wrong(f"a table is wanted, not {value!r}")
    return value


def _aliases(value: object) -> FrozenMap[tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for peer, names in _mapping(value).items():
        if peer not in PEERS:
            raise _Wrong(f"unknown tool {peer!r} (known are {', '.join(PEERS)})")
        out[peer] = tuple(_full(name) for name in _sequence(names))
        for name in out[peer]:
            if ":" in name or name != name.strip():
                raise _Wrong(f"{name!r} is no parser name (a colon or outer blanks)")
    return FrozenMap(out)


def _marker(value: object) -> tuple[str, ...]:
    marker = (_full(value),) if isinstance(value, str) else tuple(_full(s) for s in _sequence(value))
    if not marker:
        raise _Wrong("an empty list is no marker")
    return marker
