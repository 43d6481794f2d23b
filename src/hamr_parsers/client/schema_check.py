"""Whether the arguments of a call are what the tool's JSON Schema asks for; each fault in a sentence for the model.

Theory. This is no validator for schemas in general: it tells a model what to write differently. So it knows the
keywords that tools use (types, required, enum and const, objects, arrays, unions, references, bounds, patterns)
and passes over the others; what a schema leaves open, or says in a word that is not known, is no fault. A place is
written as a reader of JSON would: `options.tags[2]`.

Of a union the member is explained that the value comes nearest to: the one whose type fits and which finds the
fewest faults; if no type fits, the types of all are named. Work is bounded: a reference that leads back to itself
at one place is not followed twice, and after `_STEPS` parts of the value the rest passes unchecked.
"""

from __future__ import annotations

import difflib
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import regex

from ..arguments.equal import same_value
from ..arguments.schema import ToolSchema, type_word
from ..tools import ToolSet
from .any_call import CallFacts

__all__ = ["check_arguments", "faults"]

_DEPTH = 64
_STEPS = 100_000
_SHOWN = 60  # characters of a value that are repeated
_CHOICES = 12  # values of an enumeration that are named
_ARTICLES = {"integer": "an integer", "object": "an object", "array": "an array", "null": "null"}


def check_arguments(call: Any, tools: Any, *, most: int = 10) -> list[str]:
    """What is wrong with a call, one short sentence each; [] if nothing is.

    Args:
        call: as for `correction_message`.
        tools: the tools that were offered, in any form that `ToolSet` takes.
        most: after that many faults the rest is only counted.

    Raises:
        InvalidToolsError: `tools` holds something that is no tool.
        TypeError: `call` is no call.
    """
    known = ToolSet.of(tools)
    facts = CallFacts.of(call)
    if known is None:
        return []
    tool = known.tool(facts.name)
    if tool is None:
        return [unknown_tool(facts.name, known)]
    mended = facts.mended(tool.only_required or "input")
    found = []
    if mended.cut:
        found.append(f"the arguments were cut off after {facts.written} characters")
    elif mended.notes:
        found.append(f"the arguments were no valid JSON: {mended.notes[0].message}")
    if not mended.cut:
        found += faults(_loads(mended.text), tool, most)
    return found


def unknown_tool(name: str, known: ToolSet) -> str:
    """That there is no such tool, with what may have been meant."""
    if not name:
        return "the call names no tool"
    said = f"there is no tool {_quoted(name)}"
    meant = known.meant(name) or known.nearest(name)
    near = [meant] if meant else []
    near += [n for n in difflib.get_close_matches(name[:256], list(known), n=3, cutoff=0.6) if n not in near]
    if near:
        return f"{said}; did you mean {' or '.join(map(_quoted, near[:3]))}?"
    if not known:
        return f"{said}, and no other: answer without a call"
    names = ", ".join(list(known)[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return f"{said}; the tools are: {names}"


def faults(value: Any, tool: ToolSchema, most: int = 10) -> list[str]:
    """Where `value` is not what `tool` takes."""
    if tool.parameters is None:
        return []
    check = _Check(tool)
    found: list[str] = []
    left = 0
    for fault in check.arguments(value):
        if len(found) < most:
            found.append(fault)
        else:
            left += 1
            if left > 1000:
                break
    if left:
        found.append(f"and {left} more faults" if left <= 1000 else "and many more faults")
    return found


class _Check:
    """The check of one value; `tool` follows references."""

    def __init__(self, tool: ToolSchema) -> None:
        self.tool = tool
        self.steps = 0
        self.open: set[tuple[str, str]] = set()

    def arguments(self, value: Any) -> Iterator[str]:
        tool = self.tool
        parameters = tool.parameters
        if isinstance(parameters, Mapping) and not isinstance(parameters.get("properties"), Mapping):
            names = tool.parameter_names
            if names and set(names) == set(parameters):  # the properties themselves, without their object
                parameters = {"properties": parameters, "required": list(tool.required)}
        yield from self.value(value, parameters, "", 0)

    def value(self, value: Any, schema: Any, where: str, depth: int) -> Iterator[str]:
        """The faults of `value` under `schema`."""
        if schema is False:
            yield f"{_at(where)}: nothing may stand here"
            return
        if isinstance(schema, str):
            schema = {"type": schema}
        self.steps += 1
        if not isinstance(schema, Mapping) or depth > _DEPTH or self.steps > _STEPS:
            return
        if value is None and (schema.get("nullable") is True or schema.get("x-nullable") is True):
            return
        ref = schema.get("$ref", schema.get("$dynamicRef"))
        if isinstance(ref, str) and (ref, where) not in self.open:
            self.open.add((ref, where))
            yield from list(self.value(value, self.tool.resolve(ref), where, depth + 1))
            self.open.discard((ref, where))
        for member in _list(schema, "allOf"):
            yield from self.value(value, member, where, depth + 1)
        for word in ("anyOf", "oneOf"):
            members = _list(schema, word)
            if members:
                yield from self.union(value, members, where, depth)
        kinds = _kinds(schema.get("type"))
        if kinds and not any(_is(value, kind) for kind in kinds):
            yield f"{_at(where)}: expected {_or(_article(kind) for kind in kinds)}, got {_shown(value)}"
            return
        choices = [schema["const"]] if "const" in schema else _list(schema, "enum")
        if choices and not any(same_value(value, choice) for choice in choices):
            yield f"{_at(where)}: expected {_choices(choices)}, got {_shown(value)}"
            return
        if isinstance(value, dict):
            yield from self.object(value, schema, where, depth)
        elif isinstance(value, list):
            yield from self.array(value, schema, where, depth)
        elif isinstance(value, str):
            yield from _text(value, schema, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _number(value, schema, where)

    def union(self, value: Any, members: Sequence[Any], where: str, depth: int) -> Iterator[str]:
        best: list[str] | None = None
        for member in members[:50]:
            found = []
            for fault in self.value(value, member, where, depth + 1):
                found.append(fault)
                if len(found) > 20:
                    break
            if not found:
                return
            fits = self.fits(value, member, 0)
            if fits and (best is None or len(found) < len(best)):
                best = found
        if best is not None:
            yield from best
            return
        asked = [said for member in members[:50] if (said := self.described(member, 0))]
        expected = _or(dict.fromkeys(asked)) or "one of the forms of its schema"
        yield f"{_at(where)}: expected {expected}, got {_shown(value)}"

    def fits(self, value: Any, schema: Any, depth: int) -> bool:
        """Whether the value's type is one that the schema names."""
        self.steps += 1
        if not isinstance(schema, Mapping) or depth > 8 or self.steps > _STEPS:
            return False
        ref = schema.get("$ref")
        if isinstance(ref, str):
            return self.fits(value, self.tool.resolve(ref), depth + 1)
        kinds = _kinds(schema.get("type"))
        if not kinds and isinstance(value, dict) and "properties" in schema:
            return True
        return isinstance(value, dict | list) and any(_is(value, kind) for kind in kinds)

    def described(self, schema: Any, depth: int) -> str:
        """What a member of a union asks for, in a few words."""
        self.steps += 1
        if not isinstance(schema, Mapping) or depth > 8 or self.steps > _STEPS:
            return ""
        ref = schema.get("$ref")
        if isinstance(ref, str):
            return self.described(self.tool.resolve(ref), depth + 1)
        if "const" in schema or schema.get("enum"):
            return _choices([schema["const"]] if "const" in schema else _list(schema, "enum"))
        inner = [*_list(schema, "anyOf"), *_list(schema, "oneOf")]
        if inner:
            return _or(dict.fromkeys(said for m in inner[:50] if (said := self.described(m, depth + 1))))
        return _or(_article(kind) for kind in _kinds(schema.get("type")))

    def object(
        self, value: dict[str, Any], schema: Mapping[str, Any], where: str, depth: int
    ) -> Iterator[str]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in _list(schema, "required") if isinstance(name, str)]
        required += [
            key
            for key, inner in properties.items()
            if isinstance(inner, Mapping) and inner.get("required") is True and key not in required
        ]
        strange = [key for key in value if key not in properties]
        for name in required:
            if name not in value:
                near = difflib.get_close_matches(name, [key[:80] for key in strange], n=1, cutoff=0.6)
                hint = f" (you wrote {_quoted(near[0])})" if near else ""
                yield f"{_at(_join(where, name))}: is required, but missing{hint}"
        for key, inner in value.items():
            if key in properties:
                yield from self.value(inner, properties[key], _join(where, key), depth + 1)
        patterns = schema.get("patternProperties")
        patterns = patterns if isinstance(patterns, Mapping) else {}
        more = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        for key in strange:
            matching = [inner for pattern, inner in patterns.items() if _matches(pattern, key)]
            for inner in matching:
                yield from self.value(value[key], inner, _join(where, key), depth + 1)
            if matching:
                continue
            if more is False:
                near = difflib.get_close_matches(key[:80], [n for n in properties if n not in value], n=1)
                hint = f"; did you mean {_quoted(near[0])}?" if near else ""
                known = ", ".join(list(properties)[:20])
                yield f"{_at(_join(where, key))}: is no argument of this tool{hint}" + (
                    f" (it takes {known})" if known and not near else ""
                )
            elif isinstance(more, Mapping):
                yield from self.value(value[key], more, _join(where, key), depth + 1)
        yield from _bounds(len(value), schema, "minProperties", "maxProperties", "members", where)

    def array(self, value: list[Any], schema: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
        items = schema.get("items")
        first = _list(schema, "prefixItems")
        if isinstance(items, list | tuple):
            first, items = items, schema.get("additionalItems")
        for number, inner in enumerate(value):
            member = first[number] if number < len(first) else items
            yield from self.value(inner, member, f"{where}[{number}]", depth + 1)
        yield from _bounds(len(value), schema, "minItems", "maxItems", "items", where)


def _text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    yield from _bounds(len(value), schema, "minLength", "maxLength", "characters", where)
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not _matches(pattern, value):
        yield f"{_at(where)}: does not match the pattern {pattern[:_SHOWN]}, got {_shown(value)}"


def _number(value: int | float, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    limits: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
        ("minimum", operator.ge, "at least"),
        ("maximum", operator.le, "at most"),
        ("exclusiveMinimum", operator.gt, "more than"),
        ("exclusiveMaximum", operator.lt, "less than"),
    )
    for word, holds, said in limits:
        limit = schema.get(word)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and not holds(value, limit):
            yield f"{_at(where)}: must be {said} {limit}, got {_shown(value)}"


def _bounds(
    size: int, schema: Mapping[str, Any], least: str, most: str, unit: str, where: str
) -> Iterator[str]:
    low, high = schema.get(least), schema.get(most)
    if isinstance(low, int) and size < low:
        yield f"{_at(where)}: needs at least {low} {unit}, got {size}"
    if isinstance(high, int) and size > high:
        yield f"{_at(where)}: may have at most {high} {unit}, got {size}"


def _matches(pattern: Any, text: str) -> bool:
    """Whether a schema's pattern is found in a text; a pattern that cannot be asked counts as found."""
    try:
        return regex.search(pattern, text[:10_000], timeout=0.05) is not None
    except (regex.error, TimeoutError, TypeError):
        return True


def _list(schema: Mapping[str, Any], word: str) -> Sequence[Any]:
    found = schema.get(word)
    return found if isinstance(found, list | tuple) else ()


def _kinds(names: Any) -> list[str]:
    """The JSON types that `type` names, in a fixed order; [] if it names none, or one that is not known."""
    found: dict[str, None] = {}
    for name in names if isinstance(names, list | tuple) else [names]:
        kinds = type_word(name) if isinstance(name, str) else None
        if kinds is None:
            return []
        found.update(dict.fromkeys(sorted(kinds)))
    return list(found)


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "integer":
            whole = isinstance(value, int) or isinstance(value, float) and value.is_integer()
            return whole and not isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # an integer of thousands of digits
        return json.loads(text, parse_int=float)


# -- words ----------------------------------------------------------------------------------------------------------


def _at(where: str) -> str:
    return where or "the arguments"


def _join(where: str, key: str) -> str:
    key = key if len(key) <= _SHOWN else key[:_SHOWN] + "..."
    return f"{where}.{key}" if where else key


def _article(kind: str) -> str:
    return _ARTICLES.get(kind, f"a {kind}")


def _or(words: Any) -> str:
    return " or ".join(words)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict | list) and len(text) > _SHOWN:
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str):
        text = f"the string {text}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _choices(choices: Sequence[Any]) -> str:
    shown = [json.dumps(choice, ensure_ascii=False, default=str) for choice in choices[:_CHOICES]]
    more = f" (and {len(choices) - _CHOICES} more)" if len(choices) > _CHOICES else ""
    return ("one of " if len(choices) > 1 else "") + ", ".join(shown) + more


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= 80 else name[:80] + "...", ensure_ascii=False)
