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
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["ParamSchema", "ToolSchema"]

_ALL = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})

# What people write where JSON Schema wants a type name: Python, SQL, protobuf and OpenAPI habits.
_ALIASES: dict[str, str] = {}
for _type, _words in {
    "string": "string str text char varchar character enum date datetime date-time time uuid uri url email bytes "
    "binary password path pathlib.path",
    "integer": "integer int long short int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 bigint smallint",
    "number": "number num numeric float double decimal real float32 float64",
    "boolean": "boolean bool",
    "null": "null none nonetype nil",
    "object": "object dict dictionary map mapping record struct hash typing.dict",
    "array": "array list tuple set sequence frozenset iterable typing.list",
}.items():
    for _word in _words.split():
        _ALIASES[_word] = _type

# A schema without `type` still shows its type by the keywords that only make sense for one.
_HINTS: dict[str, str] = {
    "properties": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "propertyNames": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "maxItems": "array",
    "uniqueItems": "array",
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}

_MAX_NESTING = 100  # of schemas within schemas that bear on one parameter's type; beyond it they say nothing
_MAX_KEY = 256  # longer keys are not tried against patternProperties
_MAX_CACHE = 256  # unknown keys remembered per tool


class ParamSchema:
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
        "array",
        "boolean",
        "exact",
        "folded_words",
        "integer",
        "literals",
        "may_be_string",
        "null",
        "number",
        "object",
        "only_string",
        "quoted",
        "strings",
        "words",
    )

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
        self.number = "number" in kinds
        self.integer = "integer" in kinds
        self.boolean = "boolean" in kinds
        self.null = "null" in kinds
        self.object = "object" in kinds
        self.array = "array" in kinds
        self.literals = tuple(literals)
        self.strings = frozenset(strings) if self.may_be_string and kinds != {"string"} else frozenset()
        self.quoted = quoted
        self.exact = exact
        self.only_string = kinds == {"string"} and not self.literals
        words = list(self.literals)
        folded: list[tuple[str, str]] = []
        if self.null:
            if self.may_be_string or exact:
                words += [("null", "null"), ("None", "null")]
            else:
                folded += [("null", "null"), ("none", "null")]
        if self.boolean:
            if exact:
                words += [("true", "true"), ("True", "true"), ("false", "false"), ("False", "false")]
            else:
                folded += [("true", "true"), ("false", "false")]
            if not (self.integer or self.number or self.may_be_string):
                words += [("1", "true"), ("0", "false")]
        # Words that stand for a scalar: as written, and in any case. (text, JSON)
        self.words = tuple(words)
        self.folded_words = tuple(folded)

    def words_from(self, text: str) -> list[tuple[str, str]]:
        """The words for scalars that begin with `text`, each with the JSON text that it means."""
        found = [pair for pair in self.words if pair[0].startswith(text)]
        folded = text.lower()
        return found + [pair for pair in self.folded_words if pair[0].startswith(folded)]

    def with_quotes(self) -> ParamSchema:
        """The same, where a string may stand in quotes."""
        if not self.may_be_string:
            return self
        return ParamSchema(self.types, self.literals, self.strings, quoted=True, exact=self.exact)

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON type names that are allowed, in the order in which they are tried."""
        names = ("null", "integer", "number", "boolean", "object", "array")
        found = [name for name in names if getattr(self, name)]
        return (*found, "string") if self.may_be_string else tuple(found)

    def __eq__(self, other: object) -> bool:
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

    def __copy__(self) -> ParamSchema:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ParamSchema:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_param, (self.types, self.literals, tuple(self.strings), self.quoted, self.exact))


def _rebuild_param(
    types: tuple[str, ...],
    literals: tuple[tuple[str, str], ...],
    strings: tuple[str, ...],
    quoted: bool,
    exact: bool,
) -> ParamSchema:
    return ParamSchema(types, literals, strings, quoted=quoted, exact=exact)


class _Types:
    """A folded schema on its way: `kinds` None means anything, `values` the enumerated values beside free types."""

    __slots__ = ("kinds", "values")

    def __init__(self, kinds: frozenset[str] | None, values: tuple[Any, ...] = ()) -> None:
        self.kinds = kinds
        self.values = values


_ANY = _Types(None)
_NOTHING = _Types(frozenset())


def _kind_of(value: Any) -> str | None:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list | tuple):
        return "array"
    return None


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


def _type_word(word: str) -> frozenset[str] | None:
    """The JSON types that a type name means, aliases and `list[str]` or `int | None` included; None: unknown."""
    word = word.strip().lower()
    known = _ALIASES.get(word)
    if known is not None:
        return frozenset({known})
    if "|" in word and "[" not in word:
        found: frozenset[str] = frozenset()
        for part in word.split("|"):
            kinds = _type_word(part) if "|" not in part else None
            if kinds is None:
                return None
            found |= kinds
        return found
    head, bracket, rest = word.partition("[")
    if not bracket:
        head, bracket, rest = word.partition("<")
        if not bracket:
            return None
    head = head.removeprefix("typing.")
    if head == "optional" and len(rest) < 200:
        inner = _type_word(rest[:-1])
        return None if inner is None else inner | {"null"}
    known = _ALIASES.get(head)
    return None if known is None else frozenset({known})


class ToolSchema:
    """The parameters of one tool.

    Args:
        name: the tool's name.
        parameters: the JSON Schema of its arguments object, or None if it takes none that we know of.
        description: what the tool does, for `ToolSet.definitions()`.
    """

    __slots__ = (
        "_below",
        "_cache",
        "_patterns",
        "_properties",
        "_unknown",
        "description",
        "name",
        "parameters",
    )

    def __init__(
        self, name: str, parameters: Mapping[str, Any] | None = None, description: str | None = None
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.description = description
        self._properties: dict[str, list[Any]] | None = None
        self._cache: dict[str, ParamSchema | None] = {}
        self._unknown = 0
        self._patterns: list[tuple[Any, Any]] | None = None
        self._below: dict[tuple[str, ...], tuple[list[Any], ParamSchema | None]] = {}

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
            names = node.get("required")
            if isinstance(names, list | tuple):
                found.update((name, None) for name in names if isinstance(name, str))
        if not found:  # draft 3, and a common slip: `"required": true` inside the property
            for key, schemas in self._members().items():
                if any(isinstance(s, Mapping) and s.get("required") is True for s in schemas):
                    found[key] = None
        return tuple(found)

    def param(self, key: str) -> ParamSchema | None:
        """The types of the value of `key`; None if the schema does not know the key or says nothing of its type."""
        try:
            return self._cache[key]
        except KeyError:
            pass
        schemas = self._members().get(key)
        known = schemas is not None
        if schemas is None:
            schemas = self._by_pattern(key)
        found = _compile(_union(self._fold(s, frozenset(), 0) for s in schemas)) if schemas else None
        if not known:
            # Models invent keys without end; only so many are remembered.
            if self._unknown >= _MAX_CACHE:
                return found
            self._unknown += 1
        self._cache[key] = found
        return found

    def at(self, path: tuple[str, ...]) -> ParamSchema | None:
        """The types of a nested member; None if the schema does not know it or says nothing of its type.

        Args:
            path: the keys that lead to it from the arguments object. Where an array stands, any key leads to its items.
        """
        if len(path) == 1:
            return self.param(path[0])
        return self._at(path)[1]

    def _at(self, path: tuple[str, ...]) -> tuple[list[Any], ParamSchema | None]:
        """The schemas that speak of a member, and what they fold to."""
        known = len(path)
        while known and path[:known] not in self._below:
            known -= 1
        found: tuple[list[Any], ParamSchema | None] = ([self.parameters], None)
        if known:
            found = self._below[path[:known]]
        for end in range(known, len(path)):
            key = path[end]
            schemas = (
                self._member_of(found[0], key) if end else self._members().get(key) or self._by_pattern(key)
            )
            found = (
                schemas,
                _compile(_union(self._fold(s, frozenset(), 0) for s in schemas)) if schemas else None,
            )
            if len(self._below) < _MAX_CACHE:
                self._below[path[: end + 1]] = found
        return found

    def _member_of(self, schemas: list[Any], key: str) -> list[Any]:
        """The schemas of a member of what `schemas` describe: a property, else an array's items."""
        layers = self._layers(schemas)
        found = [p[key] for n in layers if isinstance(p := n.get("properties"), Mapping) and key in p]
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
                properties = node.get("properties")
                if isinstance(properties, Mapping):
                    for key, schema in properties.items():
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
            below: list[Any] = []
            ref = node.get("$ref")
            if isinstance(ref, str):
                below.append(self._resolve(ref))
            for word in ("allOf", "anyOf", "oneOf") if conditional else ("allOf",):
                members = node.get(word)
                if isinstance(members, list | tuple):
                    below.extend(members)
            if conditional:
                below.extend(node.get(word) for word in ("if", "then", "else"))
                dependent = node.get("dependentSchemas")
                if isinstance(dependent, Mapping):
                    below.extend(dependent.values())
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

    def _resolve(self, ref: str) -> Any:
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
                part = part.replace("~1", "/").replace("~0", "~")
                if isinstance(node, Mapping) and part in node:
                    node = node[part]
                elif (
                    isinstance(node, list | tuple)
                    and part.isascii()
                    and part.isdigit()
                    and int(part[:9]) < len(node)
                ):
                    node = node[int(part[:9])]
                else:
                    node = None
                    break
            if node is not None:
                return node
        # "#name" anchors, and references into a document from which the definitions were lifted
        name = pointer.rpartition("/")[2]
        for word in ("$defs", "definitions"):
            definitions = root.get(word)
            if isinstance(definitions, Mapping):
                if name in definitions:
                    return definitions[name]
                for schema in definitions.values():
                    if isinstance(schema, Mapping) and schema.get("$anchor") == name:
                        return schema
        return None

    def _fold(
        self, node: Any, refs: frozenset[str], depth: int, memo: dict[str, _Types] | None = None
    ) -> _Types:
        if isinstance(node, str):  # {"city": "string"}
            return _Types(_type_word(node))
        if not isinstance(node, Mapping) or depth > _MAX_NESTING:
            return _ANY
        if memo is None:
            memo = {}
        result = _ANY
        kinds = self._named_types(node.get("type"), refs, depth, memo)
        if kinds.kinds is not None:
            result = kinds
        enumerated = node.get("enum")
        values: list[Any] | None = None
        if "const" in node:
            values = [node["const"]]
        elif isinstance(enumerated, list | tuple) and enumerated:
            values = list(enumerated)
        if values is not None:
            values = [value for value in values if _kind_of(value) is not None]
            if values:
                result = _intersection(result, _Types(frozenset(), tuple(values)))
        ref = node.get("$ref", node.get("$dynamicRef"))
        if isinstance(ref, str):
            result = _intersection(result, self._fold_ref(ref, refs, depth, memo))
        for word in ("anyOf", "oneOf"):
            members = node.get(word)
            if isinstance(members, list | tuple) and members:
                result = _intersection(
                    result, _union([self._fold(m, refs, depth + 1, memo) for m in members])
                )
        members = node.get("allOf")
        if isinstance(members, list | tuple):
            for member in members:
                result = _intersection(result, self._fold(member, refs, depth + 1, memo))
        if result.kinds is None:
            for word, kind in _HINTS.items():
                if word in node and not (word == "required" and isinstance(node[word], bool)):
                    result = _Types(frozenset({kind}))
                    break
        if result.kinds is not None and (node.get("nullable") is True or node.get("x-nullable") is True):
            result = _Types(result.kinds | {"null"}, result.values)
        return result

    def _fold_ref(self, ref: str, refs: frozenset[str], depth: int, memo: dict[str, _Types]) -> _Types:
        if ref in refs:
            return _NOTHING  # led back to itself: adds nothing to the union that it stands in
        if ref not in memo:
            target = self._resolve(ref)
            memo[ref] = _ANY if target is None else self._fold(target, refs | {ref}, depth + 1, memo)
        return memo[ref]

    def _named_types(self, names: Any, refs: frozenset[str], depth: int, memo: dict[str, _Types]) -> _Types:
        if isinstance(names, str):
            return _Types(_type_word(names))
        if isinstance(names, Mapping):  # {"type": {"type": "string"}}
            return self._fold(names, refs, depth + 1, memo)
        if isinstance(names, list | tuple) and names:
            return _union([self._named_types(name, refs, depth + 1, memo) for name in names[:50]])
        return _ANY

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

    def __copy__(self) -> ToolSchema:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolSchema:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (ToolSchema, (self.name, self.parameters, self.description))


def _is_bare_properties(root: Mapping[str, Any]) -> bool:
    """`{"city": {"type": "string"}}`: the properties themselves, where their object's schema was expected."""
    if not root or isinstance(root.get("type"), str | list):
        return False
    return all(isinstance(s, Mapping) and not str(key).startswith("$") for key, s in root.items())


def _compile_patterns(layers: list[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for node in layers:
        patterns = node.get("patternProperties")
        if isinstance(patterns, Mapping):
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
        if kind is None or _covers(frozenset(kinds), kind):
            continue
        if kind == "string" or "string" not in types.kinds or kind in ("null", "object", "array"):
            continue
        # A free string beside enumerated scalars: only those scalars are not strings.
        spelled = [json.dumps(value)]
        if isinstance(value, bool):
            spelled.append(str(value))
        elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            spelled.append(str(int(value)))
        literals.update((text, spelled[0]) for text in spelled)
    for value in types.values:
        kind = _kind_of(value)
        if kind is None or (kind in ("boolean", "integer", "number") and "string" in types.kinds):
            continue
        kinds.add(kind)
    if not kinds and not literals:
        return None
    return ParamSchema(kinds, literals.items(), strings)
