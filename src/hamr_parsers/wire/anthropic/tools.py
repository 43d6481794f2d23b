"""Tools of the Messages API as functions of the chat API.

A tool with an `input_schema` is a function. All others are named by a `type` with a date: they run on Anthropic's
servers (`web_search_20250305`), or their definition is known to its models only (`bash_20250124`). They are left out
with a remark, since clients send them along with their own.
"""

from __future__ import annotations

from typing import Any

from ..adapter.errors import BadRequestError, expect
from ..adapter.history import read_object

__all__ = ["read_tool_choice", "read_tools"]


def read_tools(tools: object, remarks: list[str]) -> list[dict[str, Any]]:
    """The `tools` of a request, for the chat API.

    Raises:
        BadRequestError: an entry is no tool; the field is named.
    """
    if tools is None:
        return []
    out: list[dict[str, Any]] = []
    for index, entry in enumerate(expect(tools, list, "tools", "a list of tools")):
        field = f"tools[{index}]"
        tool = read_object(entry, field)
        kind = tool.get("type")
        if kind not in (None, "custom"):
            remarks.append(f"{field}: {kind} is known to Anthropic's servers and models only; left out")
            continue
        function: dict[str, Any] = {"name": expect(tool.get("name"), str, f"{field}.name", "the tool's name")}
        if isinstance(tool.get("description"), str):
            function["description"] = tool["description"]
        function["parameters"] = read_object(tool.get("input_schema"), f"{field}.input_schema")
        if tool.get("strict") is True:
            function["strict"] = True
        out.append({"type": "function", "function": function})
    return out


def read_tool_choice(choice: object, tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields `tool_choice` and `parallel_tool_calls` for the chat API.

    Raises:
        BadRequestError: it is none, or asks for a tool that is not there.
    """
    field = "tool_choice"
    chosen = read_object(choice, field)
    kind = chosen.get("type")
    fields: dict[str, Any] = {}
    if kind in ("auto", "none"):
        fields["tool_choice"] = kind
    elif kind == "any":
        if not tools:
            raise BadRequestError(
                field, "asks for a call, but the request has no tool that can be called here"
            )
        fields["tool_choice"] = "required"
    elif kind == "tool":
        name = expect(chosen.get("name"), str, f"{field}.name", "the tool's name")
        if all(tool["function"]["name"] != name for tool in tools):
            raise BadRequestError(
                f"{field}.name", f"the request has no tool {name!r} that can be called here"
            )
        fields["tool_choice"] = {"type": "function", "function": {"name": name}}
    else:
        raise BadRequestError(f"{field}.type", f"must be auto, any, tool or none, not {kind!r}")
    if chosen.get("disable_parallel_tool_use") is True and kind != "none":
        fields["parallel_tool_calls"] = False
    return fields if tools else {}
