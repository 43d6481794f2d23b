"""A parameter's JSON Schema is folded into the types that its value may take."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.arguments.schema import ParamSchema, ToolSchema


def types(schema: Any, **root: Any) -> tuple[str, ...] | None:
    found = ToolSchema("f", {"properties": {"x": schema}, **root}).param("x")
    return None if found is None else found.types


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, ("string",)),
        ({"type": "integer"}, ("integer",)),
        ({"type": ["integer", "null"]}, ("null", "integer")),
        ({"type": ["string", "number", "boolean"]}, ("number", "boolean", "string")),
        ({"type": []}, None),
        ({}, None),
        (True, None),
        (None, None),
        ({"description": "x", "default": 5}, None),
        ("string", ("string",)),
        # aliases
        ({"type": "str"}, ("string",)),
        ({"type": "STRING"}, ("string",)),
        ({"type": "int"}, ("integer",)),
        ({"type": "float"}, ("number",)),
        ({"type": "bool"}, ("boolean",)),
        ({"type": "dict"}, ("object",)),
        ({"type": "List[str]"}, ("array",)),
        ({"type": "dict[str, int]"}, ("object",)),
        ({"type": "array<string>"}, ("array",)),
        ({"type": "Optional[int]"}, ("null", "integer")),
        ({"type": "int | None"}, ("null", "integer")),
        ({"type": "typing.List[int]"}, ("array",)),
        ({"type": "any"}, None),
        ({"type": "Widget"}, None),
        ({"type": {"type": "integer"}}, ("integer",)),
        # unions and intersections
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ("null", "integer")),
        ({"oneOf": [{"type": "string"}, {"type": "array"}]}, ("array", "string")),
        ({"anyOf": [{}, {"type": "null"}]}, None),
        (
            {"anyOf": [{"type": "string"}, {"oneOf": [{"type": "object"}, {"type": "boolean"}]}]},
            ("boolean", "object", "string"),
        ),
        ({"allOf": [{"type": "integer"}, {"minimum": 1}]}, ("integer",)),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, ("integer",)),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["string", "integer"]}]}, ("string",)),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, ("object",)),
        ({"type": "object", "anyOf": [{"type": "string"}]}, ("object",)),
        ({"type": "string", "nullable": True}, ("null", "string")),
        ({"nullable": True}, None),
        # enumerations
        ({"enum": ["a", "b"]}, ("string",)),
        ({"enum": ["a", 1]}, ("integer", "string")),
        ({"enum": [1.5, 2]}, ("integer", "number")),
        ({"enum": [None, True]}, ("null", "boolean")),
        ({"enum": []}, None),
        ({"const": "a"}, ("string",)),
        ({"const": {"a": 1}}, ("object",)),
        ({"const": [1]}, ("array",)),
        ({"type": "string", "enum": ["a", None]}, ("string",)),
        ({"type": ["string", "null"], "enum": ["a", None]}, ("null", "string")),
        ({"type": "integer", "enum": ["1", "2"]}, ("integer",)),
        # types that only keywords tell
        ({"properties": {}}, ("object",)),
        ({"additionalProperties": True}, ("object",)),
        ({"items": {"type": "string"}}, ("array",)),
        ({"pattern": "^a"}, ("string",)),
        ({"maximum": 3}, ("number",)),
        ({"required": True}, None),
    ],
)
def test_types(schema: Any, expected: tuple[str, ...] | None) -> None:
    assert types(schema) == expected


DEFS = {
    "Place": {"type": "object"},
    "Days": {"type": "integer"},
    "Either": {"anyOf": [{"$ref": "#/$defs/Place"}, {"$ref": "#/$defs/Days"}]},
    "Loop": {"$ref": "#/$defs/Loop"},
    "Ping": {"anyOf": [{"$ref": "#/$defs/Pong"}, {"type": "string"}]},
    "Pong": {"anyOf": [{"$ref": "#/$defs/Ping"}, {"type": "null"}]},
    "Named": {"$anchor": "here", "type": "boolean"},
    "a/b~c": {"type": "array"},
}


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("#/$defs/Place", ("object",)),
        ("#/$defs/Either", ("integer", "object")),
        ("#/$defs/Loop", None),
        ("#/$defs/Ping", ("null", "string")),
        ("#here", ("boolean",)),
        ("#/$defs/a~1b~0c", ("array",)),
        ("#/%24defs/Days", ("integer",)),
        ("#/components/schemas/Days", ("integer",)),
        ("Days", ("integer",)),
        ("#/$defs/Missing", None),
        ("https://example.org/x.json", None),
        ("#", ("object",)),
        ("#/properties/y", ("number",)),
        ("#/properties/z/anyOf/1", ("null",)),
    ],
)
def test_references(ref: str, expected: tuple[str, ...] | None) -> None:
    root = {
        "type": "object",
        "properties": {
            "x": {"$ref": ref},
            "y": {"type": "number"},
            "z": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "$defs": DEFS,
    }
    found = ToolSchema("f", root).param("x")
    assert (None if found is None else found.types) == expected


def test_a_reference_with_something_beside_it() -> None:
    assert types({"$ref": "#/definitions/A", "nullable": True}, definitions={"A": {"type": "integer"}}) == (
        "null",
        "integer",
    )
    assert types(
        {"allOf": [{"$ref": "#/definitions/A"}], "default": 1}, definitions={"A": {"type": "integer"}}
    ) == ("integer",)


def test_references_that_fan_out_are_folded_once() -> None:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for i in range(1, 60):
        defs[f"d{i}"] = {"anyOf": [{"$ref": f"#/$defs/d{i - 1}"}] * 3}
    assert types({"$ref": "#/$defs/d40"}, **{"$defs": defs}) == ("string",)


def test_depth_is_bounded() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        schema = {"anyOf": [schema]}
    assert types(schema) is None


def test_literals_beside_free_strings() -> None:
    found = ToolSchema("f", {"properties": {"x": {"anyOf": [{"const": False}, {"type": "string"}]}}}).param(
        "x"
    )
    assert found is not None
    assert found.may_be_string
    assert not found.boolean
    assert dict(found.literals) == {"false": "false", "False": "false"}
    found = ToolSchema("f", {"properties": {"x": {"enum": ["1", 2]}}}).param("x")
    assert found is not None
    assert found.strings == {"1"}
    assert found.integer


@pytest.mark.parametrize(
    ("parameters", "names", "required"),
    [
        (None, (), None),
        ({}, (), None),
        ({"type": "object"}, (), None),
        ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, ("a", "b"), "b"),
        ({"properties": {"a": {}, "b": {}}, "required": ["a", "b"]}, ("a", "b"), None),
        ({"properties": {"a": {"required": True}, "b": {}}}, ("a", "b"), "a"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {}}, "required": ["a"]}}}, ("a",), "a"),
        (
            {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}, "required": ["b"]}]},
            ("a", "b"),
            "b",
        ),
        (
            {"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]},
            ("a", "b"),
            None,
        ),
        ({"a": {"type": "string"}, "type": {"type": "integer"}}, ("a", "type"), None),
        ({"properties": {"a": {}}, "then": {"properties": {"b": {}}}}, ("a", "b"), None),
    ],
)
def test_the_arguments_object(parameters: Any, names: tuple[str, ...], required: str | None) -> None:
    tool = ToolSchema("f", parameters)
    assert tool.parameter_names == names
    assert tool.only_required == required


def test_a_key_with_several_schemas_takes_them_all() -> None:
    tool = ToolSchema(
        "f",
        {
            "properties": {"kind": {"type": "string"}},
            "oneOf": [{"properties": {"v": {"type": "integer"}}}, {"properties": {"v": {"type": "string"}}}],
        },
    )
    assert tool.param("v").types == ("integer", "string")  # type: ignore[union-attr]
    assert tool.param("kind").only_string  # type: ignore[union-attr]


def test_unknown_keys() -> None:
    assert ToolSchema("f", {"properties": {}}).param("x") is None
    assert ToolSchema("f", {"additionalProperties": True}).param("x") is None
    tool = ToolSchema(
        "f",
        {
            "properties": {"a": {"type": "string"}},
            "patternProperties": {
                "^n_": {"type": "number"},
                "(": {"type": "null"},
                "^(x+x+)+y$": {"type": "array"},
            },
            "additionalProperties": {"type": "boolean"},
        },
    )
    assert tool.param("a").types == ("string",)  # type: ignore[union-attr]
    assert tool.param("n_1").types == ("number",)  # type: ignore[union-attr]
    assert tool.param("other").types == ("boolean",)  # type: ignore[union-attr]
    assert tool.param("x" * 200).types == ("boolean",)  # type: ignore[union-attr]
    assert tool.param("n_" + "x" * 5000).types == ("boolean",)  # type: ignore[union-attr]
    for i in range(1000):
        assert tool.param(f"k{i}") is not None
    assert len(tool._found) < 300


def test_lists_of_types_within_lists_end() -> None:
    names: list[Any] = ["string"]
    for _ in range(50):
        names = [names]
    assert ToolSchema("f", {"properties": {"x": {"type": names}}}).param("x") == ParamSchema(("string",))
    for _ in range(5000):
        names = [names]
    assert ToolSchema("f", {"properties": {"x": {"type": names}}}).param("x") is None


def test_they_are_values() -> None:
    tool = ToolSchema("f", {"properties": {"x": {"enum": ["1", 2, None]}}}, "does f")
    param = tool.param("x")
    assert param is not None
    assert tool.param("x") is param
    assert copy.deepcopy(param) is copy.copy(param) is param
    again = pickle.loads(pickle.dumps(param))
    assert again == param
    assert hash(again) == hash(param)
    assert again.words == param.words
    assert pickle.loads(pickle.dumps(tool)) == tool
    assert copy.deepcopy(tool) is tool
    assert repr(tool) == "ToolSchema('f')"
    assert "integer" in repr(param)
    assert param != ParamSchema(("string",))


KEYWORDS = st.sampled_from(
    [
        "type",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "enum",
        "const",
        "nullable",
        "properties",
        "items",
        "required",
        "$defs",
        "patternProperties",
        "additionalProperties",
        "if",
        "then",
        "definitions",
        "x",
    ]
)
LEAVES = st.sampled_from(
    ["string", "int", "null", "list[str]", "#", "#/$defs/x", "#/properties/x", 1, 1.5, True, None]
)
ODD = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=25,
)


@given(ODD, ODD)
def test_no_schema_is_too_odd(schema: Any, root: Any) -> None:
    parameters = {"properties": {"x": schema}, **(root if isinstance(root, dict) else {})}
    tool = ToolSchema("f", parameters)
    for key in ("x", "y", *tool.parameter_names):
        found = tool.param(key)
        assert found is None or found.types or found.literals
    assert tool.only_required is None or isinstance(tool.only_required, str)
    json.dumps(parameters)


NESTED = ToolSchema(
    "f",
    {
        "properties": {
            "to": {"$ref": "#/$defs/Address"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": ["array", "null"], "items": {"type": "array", "items": {"type": "integer"}}},
            "either": {
                "anyOf": [{"type": "null"}, {"type": "object", "properties": {"n": {"type": "number"}}}]
            },
            "both": {"allOf": [{"$ref": "#/$defs/Address"}, {"properties": {"floor": {"type": "integer"}}}]},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
            "open": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "coded": {
                "type": "object",
                "patternProperties": {"^n_": {"type": "integer"}, "^s_": {"type": "string"}},
            },
            "tree": {"$ref": "#/$defs/Tree"},
            "plain": {"type": "object"},
            "hinted": {"items": {"properties": {"x": {"type": "integer"}}}},
        },
        "patternProperties": {"^x_": {"type": "object", "properties": {"y": {"type": "integer"}}}},
        "$defs": {
            "Address": {
                "type": "object",
                "properties": {"zip": {"type": "string"}, "lines": {"items": {"type": "string"}}},
            },
            "Tree": {
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                }
            },
        },
    },
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("to", ("object",)),
        ("to zip", ("string",)),
        ("to lines", ("array",)),
        ("to lines item", ("string",)),
        ("to other", None),
        ("tags", ("array",)),
        ("tags item", ("string",)),
        ("tags any", ("string",)),
        ("tags item deeper", None),
        ("rows", ("null", "array")),
        ("rows item", ("array",)),
        ("rows item item", ("integer",)),
        ("either", ("null", "object")),
        ("either n", ("number",)),
        ("both zip", ("string",)),
        ("both floor", ("integer",)),
        ("pair item", ("integer", "string")),
        ("open whatever", ("boolean",)),
        ("coded n_1", ("integer",)),
        ("coded s_1", ("string",)),
        ("coded other", None),
        ("tree value", ("integer",)),
        ("tree children", ("array",)),
        ("tree children item children item value", ("integer",)),
        ("plain x", None),
        ("hinted", ("array",)),
        ("hinted item x", ("integer",)),
        ("x_1 y", ("integer",)),
        ("unknown", None),
        ("unknown x", None),
        ("", None),
    ],
)
def test_nested_members(path: str, expected: tuple[str, ...] | None) -> None:
    keys = tuple(path.split())
    for schema in (NESTED, pickle.loads(pickle.dumps(NESTED))):
        found = schema.at(keys)
        assert (None if found is None else found.types) == expected
        if found is not None:
            assert (found.array, found.object) == ("array" in found.types, "object" in found.types)


def test_nested_members_without_end() -> None:
    schema = ToolSchema("f", NESTED.parameters)
    path = ("tree",) + ("children", "item") * 100
    for end in range(1, len(path) + 1):
        found = schema.at(path[:end])
        assert found is not None
        assert found.array == (end % 2 == 0)
    for key in map(str, range(2000)):
        assert schema.at(("to", key)) is None
    assert schema.at(("to", "zip")) == ParamSchema(("string",))
    assert ToolSchema("f", None).at(("a", "b")) is None
    loop = ToolSchema("f", {"properties": {"a": {"$ref": "#/properties/a"}}})
    assert loop.at(("a", "b")) is None
