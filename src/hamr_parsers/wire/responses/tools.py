"""Tools of the Responses API as functions of the chat API, and calls of those as items again.

- A function stays one; `strict` only where it is set.
- A custom tool, whose input is free text (Codex's `apply_patch`), is a function of one string, `input`; its grammar is
  told in the description. A call of it becomes a `custom_tool_call` again.
- A namespace's tools (Codex's MCP servers) are functions named `NAMESPACE__NAME`; a call of one is named apart again.
- Tools that run on OpenAI's servers, or whose definition only OpenAI's models know, are left out with a remark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..adapter.errors import BadRequestError, expect
from ..adapter.history import read_object

__all__ = ["ToolNames", "chat_name", "read_tool_choice", "read_tools", "tool_lists"]

_INPUT = "input"
_KINDS = ("function", "custom", "namespace")


class _Tool(NamedTuple):
    kind: str
    name: str
    namespace: str | None


class ToolNames:
    """Which tool of a Responses request a chat function's name means.

    Args:
        request: the body of the Responses request; what is wrong in it is passed over.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._tools: dict[str, _Tool] = {}
        given = [tool for _, tools in tool_lists(request) if isinstance(tools, list) for tool in tools]
        for tool in given:
            inner = (
                tool.get("tools") if isinstance(tool, Mapping) and tool.get("type") == "namespace" else None
            )
            space = tool.get("name") if inner is not None else None
            for one in inner if isinstance(inner, list) else (tool,):
                if isinstance(one, Mapping) and isinstance(one.get("name"), str):
                    kind = "custom" if one.get("type") == "custom" else "function"
                    self._tools[chat_name(one["name"], space)] = _Tool(kind, one["name"], space)

    def is_custom(self, name: str) -> bool:
        """Whether this function stands for a custom tool."""
        tool = self._tools.get(name)
        return tool is not None and tool.kind == "custom"

    def named(self, name: str) -> dict[str, str]:
        """The fields that name the tool in an item."""
        tool = self._tools.get(name)
        if tool is None or tool.namespace is None:
            return {"name": name}
        return {"name": tool.name, "namespace": tool.namespace}


def chat_name(name: str, namespace: object) -> str:
    """The function's name in the chat API."""
    if not isinstance(namespace, str) or not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def custom_arguments(text: str) -> str:
    """The arguments of the function that stands for a custom tool."""
    return json.dumps({_INPUT: text}, ensure_ascii=False)


def custom_input(arguments: dict[str, Any]) -> str:
    """The input of a custom tool, from the function's arguments; a model that names the string otherwise is heard."""
    value = arguments.get(_INPUT)
    if value is None and len(arguments) == 1:
        value = next(iter(arguments.values()))
    return value if isinstance(value, str) else json.dumps(arguments, ensure_ascii=False)


def tool_lists(request: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The lists of tools in a request, with their fields: its `tools`, and those that items add to them."""
    yield "tools", request.get("tools")
    items = request.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping) and item.get("type") == "additional_tools":
            yield f"input[{index}].tools", item.get("tools")


def read_tools(tools: object, field: str, remarks: list[str]) -> list[dict[str, Any]]:
    """A list of tools for the chat API.

    Raises:
        BadRequestError: an entry is no tool; the field is named.
    """
    if tools is None:
        return []
    out: list[dict[str, Any]] = []
    for index, entry in enumerate(expect(tools, list, field, "a list of tools")):
        out += _read(entry, f"{field}[{index}]", None, remarks)
    return out


def _read(entry: object, field: str, namespace: str | None, remarks: list[str]) -> Iterator[dict[str, Any]]:
    tool = read_object(entry, field)
    kind = expect(tool.get("type"), str, f"{field}.type", "the tool's type")
    if kind not in _KINDS:
        remarks.append(f"{field}: {kind} runs on OpenAI's servers only; left out")
        return
    name = expect(tool.get("name"), str, f"{field}.name", "the tool's name")
    if kind == "namespace":
        for index, inner in enumerate(expect(tool.get("tools"), list, f"{field}.tools", "a list of tools")):
            yield from _read(inner, f"{field}.tools[{index}]", name, remarks)
        return
    function: dict[str, Any] = {"name": chat_name(name, namespace)}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    if kind == "custom":
        function["description"] = _described(tool)
        text = {"type": "string", "description": "The whole input of the tool, as plain text."}
        function["parameters"] = {"type": "object", "properties": {_INPUT: text}, "required": [_INPUT]}
    else:
        parameters = tool.get("parameters")
        if parameters is not None:
            function["parameters"] = read_object(parameters, f"{field}.parameters")
        if tool.get("strict") is True:
            function["strict"] = True
    yield {"type": "function", "function": function}


def _described(tool: Mapping[str, Any]) -> str:
    told = tool.get("description") or ""
    grammar = tool.get("format")
    if isinstance(grammar, Mapping) and isinstance(grammar.get("definition"), str):
        told += f"\n\nThe input follows this {grammar.get('syntax') or ''} grammar:\n{grammar['definition']}"
    return str(told).strip()


def read_tool_choice(choice: object, tools: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """The `tool_choice` for the chat API, and the tools that it leaves.

    Raises:
        BadRequestError: it is none, or asks for a tool that is not there.
    """
    field = "tool_choice"
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise BadRequestError(field, f"must be none, auto, required or a tool, not {choice!r}")
        if choice == "required" and not tools:
            raise BadRequestError(
                field, "asks for a call, but the request has no tool that can be called here"
            )
        return choice, tools
    chosen = read_object(choice, field)
    if chosen.get("type") == "allowed_tools":
        mode = chosen.get("mode")
        if mode not in ("auto", "required"):
            raise BadRequestError(f"{field}.mode", "must be auto or required")
        allowed = expect(chosen.get("tools"), list, f"{field}.tools", "a list of tools")
        names = {chat_name(tool["name"], tool.get("namespace")) for tool in allowed if _is_named(tool)}
        left = [tool for tool in tools if tool["function"]["name"] in names]
        return read_tool_choice(mode, left)
    if chosen.get("type") not in ("function", "custom"):
        raise BadRequestError(field, f"asks for {chosen.get('type')!r}, which runs on OpenAI's servers only")
    name = chat_name(
        expect(chosen.get("name"), str, f"{field}.name", "the tool's name"), chosen.get("namespace")
    )
    if all(tool["function"]["name"] != name for tool in tools):
        raise BadRequestError(f"{field}.name", f"the request has no tool {name!r}")
    return {"type": "function", "function": {"name": name}}, tools


def _is_named(tool: object) -> bool:
    return isinstance(tool, Mapping) and isinstance(tool.get("name"), str)
