"""Tool definitions of every kind, read once into a `ToolSet`: names, and schemas that are compiled when asked for.

Theory. A definition comes as a dict in one of several dialects (OpenAI chat and Responses, Anthropic, MCP, Bedrock),
as an object that holds the same fields (SDK objects, MCP and agent frameworks' tools), as a pydantic model or
dataclass (the arguments), or as an annotated callable. All are reduced to (name, description, JSON Schema). What is
wrong with a definition is said at once, with the entry and the field; what a schema means is worked out per tool,
when a parser first asks about it, so that hundreds of tools cost nothing.

A ToolSet is a value: it compares by its definitions, pickles as them, and a copy of it is itself. pydantic is only
touched for things that need it, never when this module is imported.
"""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .arguments.schema import ToolSchema
from .errors import InvalidToolsError

__all__ = ["ToolSet"]

_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema", "params_json_schema", "args_schema")
_SCHEMA_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_MAX_UNWRAP = 8
_PREFIX_END = re.compile(r"[.:/]")


class ToolSet:
    """The tools that a model may call, compiled once; every `tools=` takes one.

    Args:
        tools: an iterable, in any mixture, of OpenAI definitions (`{"type": "function", "function": {...}}`), flat
            Responses ones, Anthropic (`input_schema`), MCP (`inputSchema`), pydantic models and dataclasses,
            annotated callables, and objects that carry such fields; or one of them alone; or another ToolSet. Built-in
            tools of the Responses API, which have no name, are passed over. Of two with one name the last counts.
            An empty iterable declares that there are no tools, which is not the same as not knowing (`None`).

    Raises:
        InvalidToolsError: an entry is none of these; the message names the entry and the field.
    """

    __slots__ = ("_tools", "names")

    names: frozenset[str]

    def __init__(self, tools: Iterable[Any] | ToolSet) -> None:
        self._tools: dict[str, ToolSchema] = {}
        if isinstance(tools, ToolSet):
            self._tools = tools._tools
        else:
            for index, entry in enumerate(_entries(tools)):
                schema = _read(entry, f"tools[{index}]")
                if schema is not None:
                    self._tools.pop(schema.name, None)
                    self._tools[schema.name] = schema
        self.names = frozenset(self._tools)

    @classmethod
    def of(cls, tools: Any) -> ToolSet | None:
        """`tools` as a ToolSet: None stays None (not known), a ToolSet is returned as it is.

        Raises:
            InvalidToolsError: as the constructor.
        """
        return tools if tools is None or isinstance(tools, ToolSet) else cls(tools)

    def declared(self, name: str) -> bool:
        """Whether a tool has exactly this name."""
        return name in self._tools

    def tool(self, name: str) -> ToolSchema | None:
        """The tool of this name, or None."""
        return self._tools.get(name)

    def meant(self, name: str) -> str | None:
        """The declared tool that a name means: itself, or what stands behind a prefix that the model put before it
        (`functions.f`, `default_api:f`, `f.f`), or half of what it wrote twice (`ff`); None if none is."""
        tools = self._tools
        if name in tools:
            return name
        for match in _PREFIX_END.finditer(name[:512]):
            if name[match.end() :] in tools:
                return name[match.end() :]
        half = name[: len(name) // 2]
        return half if half + half == name and half in tools else None

    def nearest(self, name: str) -> str | None:
        """The declared name that is most like `name`, or None if none is: what an undeclared name may have meant."""
        name = name[:256]
        lowered = {known.lower(): known for known in sorted(self._tools)}
        # "functions.get_weather", "default_api:get_weather", "Get_Weather"
        for candidate in (name, *(name.rpartition(mark)[2] for mark in ".:/")):
            if candidate.lower() in lowered:
                return lowered[candidate.lower()]
        close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
        return lowered[close[0]] if close else None

    def definitions(self) -> list[dict[str, Any]]:
        """The tools as OpenAI chat definitions, in their order."""
        found = []
        for schema in self._tools.values():
            function: dict[str, Any] = {"name": schema.name}
            if schema.description is not None:
                function["description"] = schema.description
            parameters = schema.parameters
            function["parameters"] = (
                {"type": "object", "properties": {}} if parameters is None else dict(parameters)
            )
            found.append({"type": "function", "function": function})
        return found

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolSet) and self._tools == other._tools

    __hash__ = None  # type: ignore[assignment]  # holds dicts

    def __repr__(self) -> str:
        shown = ", ".join(list(self._tools)[:8]) + (", ..." if len(self._tools) > 8 else "")
        return f"ToolSet([{shown}])"

    def __copy__(self) -> ToolSet:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolSet:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (tuple(self._tools.values()),))


def _rebuild(schemas: tuple[ToolSchema, ...]) -> ToolSet:
    tools = ToolSet(())
    tools._tools = {schema.name: schema for schema in schemas}
    tools.names = frozenset(tools._tools)
    return tools


# -- telling the kinds apart ------------------------------------------------------------------------------------


def _entries(tools: Any) -> Iterable[Any]:
    """The entries of what was given as `tools`; a single definition is a list of one."""
    if isinstance(tools, Mapping):
        inner = tools.get("tools")
        if isinstance(inner, list | tuple) and "name" not in tools:  # a request body, an MCP result
            return inner
        return [tools]
    if isinstance(tools, str | bytes | bytearray):
        raise InvalidToolsError(
            f"tools: expected a list of tool definitions, got {type(tools).__name__} (JSON text? decode it first)"
        )
    if isinstance(tools, type) or inspect.isroutine(tools):
        return [tools]
    try:
        # pydantic models iterate over their fields: they are one definition, not many
        return [tools] if hasattr(tools, "model_dump") else list(tools)
    except TypeError:
        if callable(tools) or _has_schema(tools):
            return [tools]
        raise InvalidToolsError(
            f"tools: expected a list of tool definitions, got {type(tools).__name__}"
        ) from None


def _read(entry: Any, where: str) -> ToolSchema | None:
    """One entry of any kind; None if it is a built-in tool without a name."""
    if isinstance(entry, ToolSchema):
        return entry
    if isinstance(entry, Mapping):
        return _read_mapping(entry, where)
    if isinstance(entry, type):
        return _read_class(entry, where)
    if inspect.isroutine(entry):
        return _read_callable(entry, where)
    if isinstance(getattr(entry, "name", None), str) and _has_schema(entry):
        return _read_object(entry, where)
    for method in ("model_dump", "to_dict", "dict"):
        dump = getattr(entry, method, None)
        if callable(dump):
            dumped = dump()
            if isinstance(dumped, Mapping):
                return _read_mapping(dumped, where)
    if callable(entry):
        return _read_callable(entry, where)
    raise InvalidToolsError(
        f"{where}: expected a tool definition (a dict, a pydantic model or an annotated callable), "
        f"got {type(entry).__name__}"
    )


def _has_schema(entry: Any) -> bool:
    return any(getattr(entry, key, None) is not None for key in _SCHEMA_KEYS)


def _read_object(entry: Any, where: str) -> ToolSchema:
    """An object with a name and a schema under one of the usual attributes."""
    fields = {"name": entry.name, "description": getattr(entry, "description", None)}
    for key in _SCHEMA_KEYS:
        value = getattr(entry, key, None)
        if value is not None:
            if isinstance(value, type):  # an arguments model
                value = _class_schema(value, f"{where} ({entry.name!r})")
            elif callable(getattr(value, "model_dump", None)):
                value = value.model_dump()
            fields["parameters"] = value
            break
    return _make(fields, where, "")


def _read_mapping(entry: Mapping[str, Any], where: str) -> ToolSchema | None:
    kind = entry.get("type")
    for key in ("function", "custom", "toolSpec"):
        if key not in entry or (key == "function" and isinstance(entry["function"], str) and "name" in entry):
            continue
        inner = entry[key]
        if not isinstance(inner, Mapping):
            raise InvalidToolsError(
                f"{where}: {key}: expected an object with a name, got {type(inner).__name__}"
            )
        return _make(inner, where, f"{key}.")
    if "name" in entry:
        return _make(entry, where, "")
    if isinstance(entry.get("title"), str) and ("properties" in entry or kind == "object"):
        # the JSON Schema of an arguments model
        return _make({**_described(entry), "name": entry["title"], "parameters": entry}, where, "")
    if isinstance(kind, str) and kind != "function" and kind not in _SCHEMA_TYPES:
        return None  # web_search, code_interpreter, mcp, ...: run by the server, never parsed here
    missing = "function" if kind == "function" else "name"
    raise InvalidToolsError(f"{where}: {missing}: missing; expected a tool definition with a name")


def _described(entry: Mapping[str, Any]) -> dict[str, Any]:
    description = entry.get("description")
    return {"description": description} if isinstance(description, str) else {}


def _make(fields: Mapping[str, Any], where: str, prefix: str) -> ToolSchema:
    """A ToolSchema of a dict with a name and a schema; `prefix` is the path to that dict within the entry."""
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        shown = "missing" if name is None else f"got {name!r:.60}"
        raise InvalidToolsError(f"{where}: {prefix}name: {shown}; expected a non-empty string")
    where = f"{where} ({name!r:.80})"
    parameters: Any = None
    for key in _SCHEMA_KEYS:
        if fields.get(key) is not None:
            parameters = fields[key]
            prefix += key
            break
    if (
        isinstance(parameters, Mapping)
        and set(parameters) == {"json"}
        and isinstance(parameters["json"], Mapping)
    ):
        parameters = parameters["json"]  # Bedrock
    if parameters is not None:
        if isinstance(parameters, type):
            parameters = _class_schema(parameters, where)
        _check_schema(parameters, where, prefix)
    description = fields.get("description")
    return ToolSchema(name, parameters, description if isinstance(description, str) else None)


def _check_schema(schema: Any, where: str, path: str) -> None:
    """Only what would make the whole schema useless is an error; unknown keywords and types are not."""
    if not isinstance(schema, Mapping):
        raise InvalidToolsError(
            f"{where}: {path}: expected a JSON Schema object, got {type(schema).__name__}"
        )
    properties = schema.get("properties")
    if properties is not None:
        if not isinstance(properties, Mapping):
            raise InvalidToolsError(
                f"{where}: {path}.properties: expected an object of parameter schemas, "
                f"got {type(properties).__name__}"
            )
        for key, value in properties.items():
            if not isinstance(value, Mapping | bool | str):
                raise InvalidToolsError(
                    f"{where}: {path}.properties.{key}: expected a JSON Schema, got {type(value).__name__}"
                )
    required = schema.get("required")
    if required is not None and not isinstance(required, list | tuple | bool | Mapping):
        raise InvalidToolsError(
            f"{where}: {path}.required: expected a list of parameter names, got {type(required).__name__}"
        )


# -- classes and callables ----------------------------------------------------------------------------------------


def _read_class(cls: type, where: str) -> ToolSchema:
    where = f"{where} ({cls.__name__!r})"
    schema = _class_schema(cls, where)
    doc = cls.__dict__.get("__doc__")
    # dataclasses without a docstring get their signature as one
    description = inspect.cleandoc(doc) if doc and not doc.startswith(f"{cls.__name__}(") else None
    return ToolSchema(cls.__name__, schema, description)


def _class_schema(cls: type, where: str) -> Mapping[str, Any]:
    """The JSON Schema of the arguments that a pydantic model, a dataclass or a TypedDict describes."""
    own = getattr(cls, "model_json_schema", None)
    try:
        if callable(own):
            schema = own()
        elif hasattr(cls, "__dataclass_fields__") or hasattr(cls, "__total__"):
            from pydantic import TypeAdapter

            schema = TypeAdapter(cls).json_schema()
        else:
            raise InvalidToolsError(
                f"{where}: expected a pydantic model, a dataclass or an annotated callable, got class {cls.__name__}"
            )
    except InvalidToolsError:
        raise
    except Exception as error:
        raise InvalidToolsError(f"{where}: no JSON Schema can be made of it: {_first_line(error)}") from error
    if not isinstance(schema, Mapping):
        raise InvalidToolsError(f"{where}: model_json_schema(): expected a dict, got {type(schema).__name__}")
    return schema


def _read_callable(function: Callable[..., Any], where: str) -> ToolSchema:
    bare: Any = function
    for _ in range(_MAX_UNWRAP):  # functools.partial has no name of its own
        if getattr(bare, "__name__", None) or not hasattr(bare, "func"):
            break
        bare = bare.func
    name = getattr(bare, "__name__", None) or type(bare).__name__
    if not name.isidentifier():
        raise InvalidToolsError(f"{where}: name: a callable needs a name of its own, got {name!r}")
    where = f"{where} ({name!r})"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise InvalidToolsError(f"{where}: signature: this callable does not tell its parameters") from None
    doc = inspect.getdoc(bare) if inspect.isroutine(bare) else inspect.cleandoc(type(bare).__doc__ or "")
    hints = _hints(bare)
    fields: dict[str, tuple[Any, Any]] = {}
    extra: Any = None
    for key, parameter in signature.parameters.items():
        annotation = hints.get(key, parameter.annotation)
        if annotation is parameter.empty or isinstance(annotation, str):
            annotation = Any
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = annotation
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            fields[key] = (annotation, parameter.default)
    return ToolSchema(name, _signature_schema(fields, extra), doc or None)


def _hints(function: Any) -> dict[str, Any]:
    """The annotations, resolved where they can be."""
    import typing

    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        return {}  # a name that only exists for the type checker: the signature's own annotations must do


_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    list: {"type": "array"},
    dict: {"type": "object"},
    Any: {},
}


def _signature_schema(fields: dict[str, tuple[Any, Any]], extra: Any) -> dict[str, Any]:
    """The JSON Schema of a signature; pydantic is asked only about annotations that are not plain types."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    required: list[str] = []
    for key, (annotation, default) in fields.items():
        properties[key] = schema = dict(_annotation_schema(annotation, definitions))
        if default is inspect.Parameter.empty:
            required.append(key)
        elif default is None or isinstance(default, str | int | float | bool):
            schema.setdefault("default", default)
    schema = {"type": "object", "properties": properties, "required": required}
    if extra is not None and extra is not Any:
        schema["additionalProperties"] = _annotation_schema(extra, definitions)
    if definitions:
        schema["$defs"] = definitions
    return schema


def _annotation_schema(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    try:
        plain = _PLAIN.get(annotation)
    except TypeError:  # unhashable metadata
        plain = None
    if plain is not None:
        return plain
    if annotation is None:
        return {"type": "null"}
    from pydantic import TypeAdapter

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # defaults that are not JSON
            schema = TypeAdapter(annotation).json_schema()
    except Exception:
        return {}  # not a thing that JSON can say: any value
    for name, definition in schema.pop("$defs", {}).items():
        definitions.setdefault(name, definition)
    return schema


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
