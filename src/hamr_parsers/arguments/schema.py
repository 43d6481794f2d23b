"""What a tool's JSON Schema says about one parameter: which JSON types its value may take.

Theory. Formats that write values as bare text lose their types; the schema gives them back. Nothing else of a
schema matters here: this is no validator. So a parameter's schema, with its unions, references and enumerations,
is folded once into a small flat value (`ParamSchema`), and the readers ask that value only.

Folding works on sets of type names: a union (`type` lists, `anyOf`, `oneOf`, `nullable`) is the union of its
members, `allOf` and keywords that stand side by side are the intersection, and a contradiction (schemas in the
wild are sloppy) is resolved by ignoring the narrower half. `enum` and `const` narrow a type to the types of their
values. A reference is followed within the tool's own schema; one that leads back to itself says nothing.
A schema that says nothing about types folds to None, like a key that the schema does not know.

A tool is folded key by key, when a key is asked for: a set of hundreds of tools costs nothing until one is called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

__all__ = ["ParamSchema", "ToolSchema"]

_NOT_STRINGS = ("null", "integer", "number", "boolean", "object", "array")


def _by_word(lists: dict[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in lists.items() for word in words.split()}


# What people write where JSON Schema wants a type name: Python, SQL, protobuf and OpenAPI habits.
_ALIASES = _by_word(
    {
        "string": "string str text char varchar character enum date datetime date-time time uuid uri url email bytes "
        "binary password path pathlib.path",
        "integer": "integer int long short int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 bigint smallint",
        "number": "number num numeric float double decimal real float32 float64",
        "boolean": "boolean bool",
        "null": "null none nonetype nil",
        "object": "object dict dictionary map mapping record struct hash typing.dict",
        "array": "array list tuple set sequence frozenset iterable typing.list",
    }
)

# A schema without `type` still shows its type by the keywords that only make sense for one.
_HINTS = _by_word(
    {
        "object": "properties additionalProperties patternProperties propertyNames required",
        "array": "items prefixItems minItems maxItems uniqueItems",
        "string": "minLength maxLength pattern",
        "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    }
)

_MAX_NESTING = 100  # of schemas within schemas that bear on one parameter's type; beyond it they say nothing
_MAX_KEY = 256  # longer keys are not tried against patternProperties
_MAX_CACHE = 256  # unknown keys remembered per tool


class _Shared:
    """What never changes: copies of a parser share it."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class ParamSchema(_Shared):
    """The types that one parameter's value may take.

    Attributes:
        may_be_string: a string is allowed (freely, or as one of an enumeration).
        integer, number, boolean, null, object, array: this type is allowed. `number` includes integers.
        literals: non-string scalars of `enum` or `const` that are allowed although their type is not, as pairs of
            the text that means them and their JSON text: `{"anyOf": [{"const": false}, {"type": "string"}]}`.
        strings: the strings of `enum` and `const`, beside other types; a text that is one of them is that string.
        quoted: a JSON string literal stands for its content (only for values that are read as JSON).
        exact: literals and null count only as JSON and Python spell them, not in any case.
    """

    __slots__ = (
        "_begun", "_folded_begun", "array", "boolean", "exact", "folded_words", "integer", "literals",
        "may_be_string", "null", "number", "object", "only_string", "quoted", "strings", "words",
    )  # fmt: skip
    null: bool
    integer: bool
    number: bool
    boolean: bool
    object: bool
    array: bool

    def __init__(
        self,
        types: Iterable[str] = (),
        literals: Iterable[tuple[str, str]] = (),
        strings: Iterable[str] = (),
        *,
        quoted: bool = False,
        exact: bool = False,
    ) -> None:
        kinds = frozenset(types)
        self.may_be_string = "string" in kinds
        for kind in _NOT_STRINGS:
            setattr(self, kind, kind in kinds)
        self.literals = tuple(literals)
        self.strings = frozenset(strings) if self.may_be_string and kinds != {"string"} else frozenset()
        self.quoted = quoted
        self.exact = exact
        self.only_string = kinds == {"string"} and not self.literals
        # Words that stand for a scalar, and the JSON that they mean: as written, and in any case.
        words = dict(self.literals)
        folded: dict[str, str] = {}
        if self.null and (self.may_be_string or exact):
            words |= {"null": "null", "None": "null"}
        elif self.null:
            folded |= {"null": "null", "none": "null"}
        if self.boolean and exact:
            words |= {"true": "true", "True": "true", "false": "false", "False": "false"}
        elif self.boolean:
            folded |= {"true": "true", "false": "false"}
        if self.boolean and not (self.integer or self.number or self.may_be_string):
            words |= {"1": "true", "0": "false"}
        self.words, self.folded_words = words, folded
        self._begun = frozenset(word[:end] for word in words for end in range(1, len(word) + 1))
        self._folded_begun = frozenset(word[:end] for word in folded for end in range(1, len(word) + 1))

    def word(self, text: str) -> str | None:
        """The JSON text of the scalar that `text` is a word for."""
        return self.words.get(text) or self.folded_words.get(text.lower())

    def begins_word(self, text: str) -> bool:
        """Whether `text` may still become such a word."""
        return text in self._begun or text.lower() in self._folded_begun

    def with_quotes(self) -> ParamSchema:
        """The same, where a string may stand in quotes."""
        if not self.may_be_string:
            return self
        return ParamSchema(self.types, self.literals, self.strings, quoted=True, exact=self.exact)

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON type names that are allowed, in the order in which they are tried."""
        found = [kind for kind in _NOT_STRINGS if getattr(self, kind)]
        return (*found, "string") if self.may_be_string else tuple(found)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, ParamSchema) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def _state(self) -> tuple[Any, ...]:
        return (self.types, self.literals, self.strings, self.quoted, self.exact)

    def __repr__(self) -> str:
        parts = [" | ".join(self.types)]
        if self.literals:
            parts.append("literals=" + ",".join(text for text, _ in self.literals))
        return f"ParamSchema({'; '.join(parts)})"


class _Types(NamedTuple):
    """A folded schema on its way: `kinds` None means anything, `values` the enumerated values beside free types."""

    kinds: frozenset[str] | None
    values: tuple[Any, ...] = ()


_ANY = _Types(None)
_NOTHING = _Types(frozenset())


# In this order: a bool is an int as well.
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"),
    (Mapping, "object"), (list, "array"), (tuple, "array"), (type(None), "null"),
)  # fmt: skip


def _kind_of(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return next((kind for kind_of, kind in _KINDS if isinstance(value, kind_of)), None)


def _covers(kinds: frozenset[str], kind: str) -> bool:
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _union(members: Iterable[_Types]) -> _Types:
    kinds: frozenset[str] = frozenset()
    values: tuple[Any, ...] = ()
    for member in members:
        if member.kinds is None:
            return _ANY
        kinds |= member.kinds
        values += member.values
    return _Types(kinds, values)


def _intersection(left: _Types, right: _Types) -> _Types:
    if left.kinds is None or not (left.kinds or left.values):
        return right
    if right.kinds is None or not (right.kinds or right.values):
        return left
    kinds = {kind for kind in left.kinds if _covers(right.kinds, kind)}
    kinds |= {kind for kind in right.kinds if _covers(left.kinds, kind)}
    values = tuple(value for value in left.values if _allowed(value, right))
    values += tuple(value for value in right.values if _allowed(value, left) and value not in values)
    if not kinds and not values:
        return left  # a contradiction: the half that was written first is believed
    return _Types(frozenset(kinds), values)


def _allowed(value: Any, types: _Types) -> bool:
    kind = _kind_of(value)
    if kind is None or types.kinds is None:
        return kind is not None
    return _covers(types.kinds, kind) or any(value == v and type(value) is type(v) for v in types.values)


def type_word(word: str) -> frozenset[str] | None:
    """The JSON types that a type name means, aliases and `list[str]` or `int | None` included; None: unknown."""
    word = word.strip().lower()
    known = _ALIASES.get(word)
    if known is not None:
        return frozenset({known})
    if "|" in word and "[" not in word:
        parts = [type_word(part) for part in word.split("|")]
        return None if None in parts else frozenset(kind for kinds in parts if kinds for kind in kinds)
    head, bracket, rest = word.partition("[" if "[" in word else "<")
    if not bracket:
        return None
    head = head.removeprefix("typing.")
    if head == "optional" and len(rest) < 200:
        inner = type_word(rest[:-1])
        return None if inner is None else inner | {"null"}
    known = _ALIASES.get(head)
    return None if known is None else frozenset({known})


def _list_in(node: Mapping[str, Any], word: str) -> Sequence[Any]:
    found = node.get(word)
    return found if isinstance(found, list | tuple) else ()


def _mapping_in(node: Mapping[str, Any], word: str) -> Mapping[Any, Any]:
    found = node.get(word)
    return found if isinstance(found, Mapping) else {}


class ToolSchema(_Shared):
    """The parameters of one tool.

    Args:
        name: the tool's name.
        parameters: the JSON Schema of its arguments object, or None if it takes none that we know of.
        description: what the tool does, for `ToolSet.definitions()`.
    """

    __slots__ = ("_found", "_patterns", "_properties", "description", "name", "parameters")

    def __init__(
        self, name: str, parameters: Mapping[str, Any] | None = None, description: str | None = None
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.description = description
        self._properties: dict[str, list[Any]] | None = None
        self._patterns: list[tuple[Any, Any]] | None = None
        self._found: dict[tuple[str, ...], tuple[list[Any], ParamSchema | None]] = {}

    # -- what the readers ask ---------------------------------------------------------------------------------

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The keys that the schema knows, in its order."""
        return tuple(self._members())

    @property
    def only_required(self) -> str | None:
        """The tool's only required parameter, or None if it has none or several."""
        required = self.required
        return required[0] if len(required) == 1 else None

    @property
    def required(self) -> tuple[str, ...]:
        """The keys that must be given."""
        found: dict[str, None] = {}
        for node in self._layers(conditional=False):
            found.update((name, None) for name in _list_in(node, "required") if isinstance(name, str))
        if not found:  # draft 3, and a common slip: `"required": true` inside the property
            for key, schemas in self._members().items():
                if any(isinstance(s, Mapping) and s.get("required") is True for s in schemas):
                    found[key] = None
        return tuple(found)

    def param(self, key: str) -> ParamSchema | None:
        """The types of the value of `key`; None if the schema does not know the key or says nothing of its type."""
        return self.at((key,))

    def at(self, path: tuple[str, ...]) -> ParamSchema | None:
        """The types of a nested member; None if the schema does not know it or says nothing of its type.

        Args:
            path: the keys that lead to it from the arguments object. Where an array stands, any key leads to its items.
        """
        known = self._found.get(path)
        if known is not None:
            return known[1]
        schemas: list[Any] | None = None  # None: nothing but the arguments
        param = None
        for end in range(1, len(path) + 1):
            known = self._found.get(path[:end])
            if known is None:
                known = self._look_up(path[end - 1], schemas)
                # Models invent keys without end; only so many are remembered.
                if len(self._found) < _MAX_CACHE or (end == 1 and path[0] in self._members()):
                    self._found[path[:end]] = known
            schemas, param = known
        return param

    def _look_up(self, key: str, above: list[Any] | None) -> tuple[list[Any], ParamSchema | None]:
        """The schemas that speak of a member of what `above` describe (None: the arguments), and what they fold to."""
        if above is None:
            schemas = self._members().get(key) or self._by_pattern(key)
        else:
            schemas = self._member_of(above, key)
        folded = _union(_Folding(self.resolve).fold(schema) for schema in schemas) if schemas else _ANY
        return schemas, _compile(folded)

    def _member_of(self, schemas: list[Any], key: str) -> list[Any]:
        """The schemas of a member of what `schemas` describe: a property, else an array's items."""
        layers = self._layers(schemas)
        found = [p[key] for p in (_mapping_in(node, "properties") for node in layers) if key in p]
        if found:
            return found
        for node in layers:
            for word in ("items", "prefixItems"):
                items = node.get(word)
                found.extend(items if isinstance(items, list | tuple) else [] if items is None else [items])
        return found or self._by_pattern(key, layers)

    # -- the shape of the arguments object ----------------------------------------------------------------------

    def _members(self) -> dict[str, list[Any]]:
        """The keys of the arguments object with the schemas that speak of each."""
        if self._properties is None:
            found: dict[str, list[Any]] = {}
            for node in self._layers():
                for key, schema in _mapping_in(node, "properties").items():
                    found.setdefault(str(key), []).append(schema)
            root = self.parameters
            if not found and isinstance(root, Mapping) and _is_bare_properties(root):
                found = {str(key): [schema] for key, schema in root.items()}
            self._properties = found
        return self._properties

    def _layers(
        self, roots: Iterable[Any] | None = None, *, conditional: bool = True
    ) -> list[Mapping[str, Any]]:
        """The schemas that describe the arguments object (or what `roots` describe): themselves, and what they refer to
        or are composed of."""
        found: list[Mapping[str, Any]] = []
        seen: set[int] = set()
        todo: list[Any] = [self.parameters] if roots is None else list(roots)[::-1]
        while todo:
            node = todo.pop()
            if not isinstance(node, Mapping) or id(node) in seen:
                continue
            seen.add(id(node))
            found.append(node)
            ref = node.get("$ref")
            below: list[Any] = [self.resolve(ref)] if isinstance(ref, str) else []
            below += _list_in(node, "allOf")
            if conditional:
                below += [*_list_in(node, "anyOf"), *_list_in(node, "oneOf")]
                below += [node.get(word) for word in ("if", "then", "else")]
                below += _mapping_in(node, "dependentSchemas").values()
            todo.extend(reversed(below))
        return found

    def _by_pattern(self, key: str, layers: list[Mapping[str, Any]] | None = None) -> list[Any]:
        """The schemas of `patternProperties` that match, else that of `additionalProperties`."""
        if layers is not None:
            patterns = _compile_patterns(layers)
        elif self._patterns is None:
            patterns = self._patterns = _compile_patterns(self._layers())
        else:
            patterns = self._patterns
        found = []
        if len(key) <= _MAX_KEY:
            for pair in list(patterns):
                pattern, schema = pair
                try:
                    if pattern.search(key, timeout=0.02):
                        found.append(schema)
                except TimeoutError:
                    # A pattern that backtracks without end is a pattern that cannot be asked.
                    patterns.remove(pair)
        if found:
            return found
        for node in self._layers() if layers is None else layers:
            for word in ("additionalProperties", "unevaluatedProperties"):
                if isinstance(node.get(word), Mapping):
                    return [node[word]]
        return []

    # -- folding --------------------------------------------------------------------------------------------------

    def resolve(self, ref: str) -> Any:
        """What a reference points to within this tool's schema; None if nowhere."""
        root = self.parameters
        if not isinstance(root, Mapping):
            return None
        _, hash_mark, pointer = ref.partition("#")
        if not hash_mark:
            pointer = "/" + ref
        if not pointer:
            return root
        if pointer.startswith("/"):
            node: Any = root
            for part in unquote(pointer[1:]).split("/"):
                node = _part_of(node, part.replace("~1", "/").replace("~0", "~"))
            if node is not None:
                return node
        # "#name" anchors, and references into a document from which the definitions were lifted
        name = pointer.rpartition("/")[2]
        for word in ("$defs", "definitions"):
            definitions = _mapping_in(root, word)
            if name in definitions:
                return definitions[name]
            for schema in definitions.values():
                if isinstance(schema, Mapping) and schema.get("$anchor") == name:
                    return schema
        return None

    # -- a value ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"ToolSchema({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolSchema) and (self.name, self.parameters, self.description) == (
            other.name,
            other.parameters,
            other.description,
        )

    __hash__ = None  # type: ignore[assignment]  # holds a dict

    def __reduce__(self) -> tuple[Any, ...]:
        return (ToolSchema, (self.name, self.parameters, self.description))


class _Folding:
    """The folding of one schema; `resolve` follows a reference."""

    __slots__ = ("depth", "folded", "open", "resolve")

    def __init__(self, resolve: Callable[[str], Any]) -> None:
        self.resolve = resolve
        self.depth = 0
        self.open: set[str] = set()  # the references that are being followed
        self.folded: dict[str, _Types] = {}  # what others have come to

    def fold(self, node: Any) -> _Types:
        if isinstance(node, str):  # {"city": "string"}
            return _Types(type_word(node))
        if not isinstance(node, Mapping) or self.depth > _MAX_NESTING:
            return _ANY
        self.depth += 1
        result = reduce(_intersection, self._parts(node))
        self.depth -= 1
        if result.kinds is None:
            for word, kind in _HINTS.items():
                if word in node and not (word == "required" and isinstance(node[word], bool)):
                    result = _Types(frozenset({kind}))
                    break
        if result.kinds is not None and (node.get("nullable") is True or node.get("x-nullable") is True):
            result = _Types(result.kinds | {"null"}, result.values)
        return result

    def _parts(self, node: Mapping[str, Any]) -> Iterable[_Types]:
        """What the keywords say, each for itself."""
        yield self._named_types(node.get("type"))
        values = [node["const"]] if "const" in node else _list_in(node, "enum")
        known = tuple(value for value in values if _kind_of(value) is not None)
        if known:
            yield _Types(frozenset(), known)
        ref = node.get("$ref", node.get("$dynamicRef"))
        if isinstance(ref, str):
            yield self._fold_ref(ref)
        for word in ("anyOf", "oneOf", "allOf"):
            folded = [self.fold(member) for member in _list_in(node, word)]
            if folded:
                yield from folded if word == "allOf" else [_union(folded)]

    def _fold_ref(self, ref: str) -> _Types:
        if ref in self.open:
            return _NOTHING  # led back to itself: adds nothing to the union that it stands in
        if ref not in self.folded:
            target = self.resolve(ref)
            self.open.add(ref)
            self.folded[ref] = _ANY if target is None else self.fold(target)
            self.open.discard(ref)
        return self.folded[ref]

    def _named_types(self, names: Any) -> _Types:
        if isinstance(names, list | tuple) and names and self.depth <= _MAX_NESTING:
            self.depth += 1
            result = _union([self._named_types(name) for name in names[:50]])
            self.depth -= 1
            return result
        return self.fold(names)  # a name, or a schema in its place


def _part_of(node: Any, part: str) -> Any:
    """A member or an element of a part of a schema; None if it has none of that name."""
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, list | tuple) and part.isascii() and part.isdigit() and int(part[:9]) < len(node):
        return node[int(part[:9])]
    return None


def _is_bare_properties(root: Mapping[str, Any]) -> bool:
    """`{"city": {"type": "string"}}`: the properties themselves, where their object's schema was expected."""
    if not root or isinstance(root.get("type"), str | list):
        return False
    return all(isinstance(s, Mapping) and not str(key).startswith("$") for key, s in root.items())


def _compile_patterns(layers: list[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for node in layers:
        patterns = _mapping_in(node, "patternProperties")
        if patterns:
            import regex
        for pattern, schema in patterns.items():
            try:
                found.append((regex.compile(str(pattern)), schema))
            except regex.error:
                continue  # not our dialect of patterns: says nothing
    return found


def _compile(types: _Types) -> ParamSchema | None:
    if types.kinds is None:
        return None
    kinds = set(types.kinds)
    strings = [value for value in types.values if isinstance(value, str)]
    literals: dict[str, str] = {}
    for value in types.values:
        kind = _kind_of(value)
        if kind is None:
            continue
        if "string" not in types.kinds or kind not in ("boolean", "integer", "number"):
            kinds.add(kind)
        elif not _covers(types.kinds, kind):
            # A free string beside enumerated scalars: only those scalars are not strings.
            spelled = [json.dumps(value)]
            if isinstance(value, bool):
                spelled.append(str(value))
            elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
                spelled.append(str(int(value)))
            literals.update((text, spelled[0]) for text in spelled)
    if not kinds and not literals:
        return None
    return ParamSchema(kinds, literals.items(), strings)
