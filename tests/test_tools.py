"""Tool definitions of every kind become one ToolSet; what is wrong with one is said with its place."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from hamr_parsers.errors import InvalidToolsError
from hamr_parsers.tools import ToolSet

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA},
}


class Search(BaseModel):
    """Search the web."""

    query: str
    limit: int | None = None


@dataclass
class Move:
    x: int
    y: float = 0.0


def get_weather(
    city: Annotated[str, Field(description="where")],
    days: int = 3,
    *,
    unit: Literal["c", "f"] | None = None,
    tags: list[str] = [],  # noqa: B006
    anything=None,  # type: ignore[no-untyped-def]
) -> str:
    """The weather."""
    return ""


class Caller:
    """Calls somebody."""

    def __call__(self, number: str) -> None: ...

    def method(self, self_made: bool) -> None: ...


@pytest.mark.parametrize(
    "definition",
    [
        OPENAI,
        {"function": OPENAI["function"]},
        {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True},
        {"name": "get_weather", "parameters": SCHEMA},
        {"name": "get_weather", "input_schema": SCHEMA},
        {"name": "get_weather", "inputSchema": SCHEMA, "annotations": {}},
        {"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}},
        {"title": "get_weather", **SCHEMA},
        SimpleNamespace(name="get_weather", inputSchema=SCHEMA),
        SimpleNamespace(name="get_weather", description=None, input_schema=SCHEMA),
        SimpleNamespace(model_dump=lambda: OPENAI),
    ],
)
def test_every_dialect_of_definition(definition: Any) -> None:
    tools = ToolSet([definition])
    assert tools.names == {"get_weather"}
    tool = tools.tool("get_weather")
    assert tool is not None
    assert tool.parameter_names == ("city",)
    assert tool.only_required == "city"
    param = tool.param("city")
    assert param is not None
    assert param.only_string
    assert tool.param("other") is None


def test_models_dataclasses_and_callables() -> None:
    tools = ToolSet(
        [Search, Move, get_weather, Caller(), Caller().method, functools.partial(get_weather, days=1)]
    )
    assert list(tools) == ["Search", "Move", "Caller", "method", "get_weather"]
    search, move, weather = (tools.tool(n) for n in ("Search", "Move", "get_weather"))
    assert search is not None
    assert move is not None
    assert weather is not None
    assert search.description == "Search the web."
    assert search.only_required == "query"
    assert search.param("limit").types == ("null", "integer")  # type: ignore[union-attr]
    assert move.description is None
    assert move.param("y").types == ("number",)  # type: ignore[union-attr]
    assert weather.description == "The weather."
    assert weather.only_required == "city"
    assert weather.param("city").only_string  # type: ignore[union-attr]
    assert weather.param("days").types == ("integer",)  # type: ignore[union-attr]
    assert weather.param("unit").types == ("null", "string")  # type: ignore[union-attr]
    assert weather.param("tags").types == ("array",)  # type: ignore[union-attr]
    assert weather.param("anything") is None
    assert tools.tool("method").parameter_names == ("self_made",)  # type: ignore[union-attr]
    json.dumps(tools.definitions())


def test_mixed_lists_nested_models_and_single_definitions() -> None:
    class Outer(BaseModel):
        inner: Search
        maybe: Search | None = None

    tools = ToolSet([Outer, OPENAI, {"type": "web_search"}, {"type": "mcp", "server_label": "x"}])
    assert list(tools) == ["Outer", "get_weather"]
    outer = tools.tool("Outer")
    assert outer is not None
    assert outer.param("inner").types == ("object",)  # type: ignore[union-attr]
    assert outer.param("maybe").types == ("null", "object")  # type: ignore[union-attr]
    assert len(ToolSet(OPENAI)) == len(ToolSet(Search)) == len(ToolSet(get_weather)) == 1
    assert list(ToolSet({"tools": [OPENAI], "model": "m"})) == ["get_weather"]
    assert list(ToolSet(t for t in [OPENAI])) == ["get_weather"]


def test_of_keeps_what_is_none_or_a_tool_set() -> None:
    tools = ToolSet([OPENAI])
    assert ToolSet.of(None) is None
    assert ToolSet.of(tools) is tools
    assert ToolSet.of([OPENAI]) == tools
    assert ToolSet(tools) == tools
    empty = ToolSet.of([])
    assert empty is not None
    assert not empty.declared("get_weather")


def test_a_set_says_what_is_declared() -> None:
    tools = ToolSet([OPENAI, {"name": "write_file", "parameters": None}, {"name": "now"}])
    assert tools.declared("now")
    assert "now" in tools
    assert not tools.declared("Now")
    assert tools.tool("never") is None
    assert tools.tool("now").parameter_names == ()  # type: ignore[union-attr]
    for near in (
        "get_wether",
        "Get_Weather",
        "functions.get_weather",
        "default_api:get_weather",
        "getWeather",
    ):
        assert tools.nearest(near) == "get_weather"
    for meant in (
        "get_weather",
        "functions.get_weather",
        "default_api:get_weather",
        "a.b.get_weather",
        "get_weather" * 2,
    ):
        assert tools.meant(meant) == "get_weather"
    for other in ("get_weather.now.x", "xget_weather", "get_weather" * 3, "", ".", "." * 100_000):
        assert tools.meant(other) is None
    assert tools.nearest("zzzzzzzz") is None
    assert tools.nearest("x" * 100_000) is None
    assert repr(tools) == "ToolSet([get_weather, write_file, now])"


def test_of_two_tools_with_one_name_the_last_counts() -> None:
    other = {"name": "get_weather", "parameters": {"properties": {"place": {}}}}
    tools = ToolSet([OPENAI, {"name": "now"}, other])
    assert list(tools) == ["now", "get_weather"]
    assert tools.tool("get_weather").parameter_names == ("place",)  # type: ignore[union-attr]


def test_it_is_a_value() -> None:
    tools = ToolSet([OPENAI, Search, get_weather])
    again = pickle.loads(pickle.dumps(tools))
    assert again == tools
    assert again.names == tools.names
    assert copy.copy(tools) is copy.deepcopy(tools) is tools
    assert ToolSet(tools.definitions()) == tools
    assert tools.definitions()[0]["function"]["name"] == "Search"
    assert tools != ToolSet([OPENAI])
    assert tools != 5


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ("[]", ["tools:", "list", "str"]),
        (b"[]", ["tools:", "bytes"]),
        (5, ["tools:", "list", "int"]),
        ([OPENAI, 5], ["tools[1]", "int"]),
        ([OPENAI, None], ["tools[1]", "NoneType"]),
        (["get_weather"], ["tools[0]", "str"]),
        ([{}], ["tools[0]", "name", "missing"]),
        ([{"type": "function"}], ["tools[0]", "function", "missing"]),
        ([{"type": "object", "properties": {}}], ["tools[0]", "name"]),
        ([{"type": "function", "function": 3}], ["tools[0]", "function", "int"]),
        ([{"type": "function", "function": {"parameters": {}}}], ["tools[0]", "function.name", "missing"]),
        ([{"name": ""}], ["tools[0]", "name", "''"]),
        ([{"name": 7}], ["tools[0]", "name", "7"]),
        ([{"name": "f", "parameters": [1]}], ["tools[0]", "'f'", "parameters", "list"]),
        ([{"name": "f", "input_schema": "x"}], ["tools[0]", "'f'", "input_schema", "str"]),
        (
            [{"function": {"name": "f", "parameters": {"properties": []}}}],
            ["'f'", "function.parameters.properties"],
        ),
        ([{"name": "f", "parameters": {"properties": {"a": 1}}}], ["'f'", "parameters.properties.a", "int"]),
        ([{"name": "f", "parameters": {"required": "a"}}], ["'f'", "parameters.required", "str"]),
        ([lambda x: x], ["tools[0]", "name"]),
        ([int], ["tools[0]", "'int'"]),
        ([max], ["tools[0]", "'max'", "signature"]),
    ],
)
def test_a_bad_definition_is_named_with_its_field(tools: Any, said: list[str]) -> None:
    with pytest.raises(InvalidToolsError) as caught:
        ToolSet(tools)
    for word in said:
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_model_without_schema_is_named() -> None:
    class Odd(BaseModel, arbitrary_types_allowed=True):
        thing: Caller

    with pytest.raises(InvalidToolsError, match=r"tools\[0\] \('Odd'\)"):
        ToolSet([Odd])


def test_annotations_that_are_no_json_are_any_value() -> None:
    def act(thing: Caller, missing: NoSuchName, plain: int) -> None:  # type: ignore[name-defined] # noqa: F821
        """Act."""

    tool = ToolSet([act]).tool("act")
    assert tool is not None
    assert tool.param("thing") is None
    assert tool.parameter_names == ("thing", "missing", "plain")


def test_many_tools_cost_nothing_until_they_are_asked() -> None:
    class Explosive(dict):  # type: ignore[type-arg]
        def values(self) -> Any:
            raise AssertionError("the schema was compiled")

    properties = Explosive(a={"anyOf": [{"type": "string"}]})
    tools = ToolSet({"name": f"t{i}", "parameters": {"properties": properties}} for i in range(200))
    assert len(tools) == 200


def test_pydantic_is_not_imported_for_plain_definitions() -> None:
    code = (
        "import sys\n"
        "from hamr_parsers.tools import ToolSet\n"
        "def f(a: str, b: int = 1): ...\n"
        "ToolSet([{'name': 'x', 'input_schema': {}}, f])\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
