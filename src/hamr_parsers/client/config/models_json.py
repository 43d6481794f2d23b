"""`models.json`: Hamr's file of providers and models (`~/.hamr/agent/models.json`).

Theory. The classes are the file's shape: known keys with their types, everything else kept. Comments (`//`, `/* */`)
and trailing commas are read past, as people write them into such files: they are blanked, so that every place in the
text stays where it was and an error can name its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigurationError
from .compat import Compat
from .files import read_text, validation_error

__all__ = [
    "ModelEntry",
    "ModelsFile",
    "OverrideEntry",
    "ProviderEntry",
    "parse_models_json",
    "read_models_json",
]

_Name = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


_PARSER = AliasChoices("tool_call_parser", "toolCallParser")


class OverrideEntry(_Entry):
    """What `modelOverrides` says of a model."""

    name: str | None = None
    reasoning: bool | None = None
    input: list[str] | None = None
    cost: dict[str, Any] | None = None
    contextWindow: _Count | None = None
    maxTokens: _Count | None = None
    thinkingLevelMap: dict[str, str | None] | None = None
    headers: dict[str, str] | None = None
    compat: Compat | None = None
    tool_call_parser: str | None = Field(default=None, validation_alias=_PARSER)


class ModelEntry(OverrideEntry):
    """One of a provider's `models`."""

    id: _Name
    api: str | None = None


class ProviderEntry(_Entry):
    """One of `providers`."""

    name: str | None = None
    baseUrl: str | None = None
    api: str | None = None
    apiKey: str | None = Field(default=None, repr=False)
    headers: dict[str, str] | None = Field(default=None, repr=False)
    authHeader: bool | None = None
    compat: Compat | None = None
    models: list[ModelEntry] | None = None
    modelOverrides: dict[str, OverrideEntry] | None = None
    tool_call_parser: str | None = Field(default=None, validation_alias=_PARSER)


class ModelsFile(_Entry):
    """The whole file."""

    providers: dict[_Name, ProviderEntry] = Field(default_factory=dict)


_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*|,|[^"/,]+|/', re.S)
_NOT_LINE_END = re.compile(r"[^\n]")


def without_comments(text: str) -> str:
    """The text with comments and trailing commas blanked; every other character stays in its place."""
    out: list[str] = []
    comma: int | None = None  # where the last comma stands, while only blanks and comments came after it
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        token, at = match[0], match.end()
        if token == "/*":
            end = text.find("*/", at)
            end = len(text) if end < 0 else end + 2
            token, at = text[match.start() : end], end
        if token.startswith(("//", "/*")):
            out.append(_NOT_LINE_END.sub(" ", token))
            continue
        if token == ",":
            comma = len(out)
        elif not token.isspace():
            if comma is not None and token.lstrip()[0] in "]}":
                out[comma] = " "
            comma = None
        out.append(token)
    return "".join(out)


def parse_models_json(text: str, path: Path) -> tuple[ModelsFile, dict[str, Any]]:
    """The file's shape, and its JSON as it stands.

    Raises:
        ConfigurationError: no JSON (line and column), or a wrong value (line and key).
    """
    plain = without_comments(text)
    try:
        data = json.loads(plain)
    except json.JSONDecodeError as error:
        what = "is empty; `{}` would do" if not plain.strip() else f"not JSON: {error.msg}"
        raise ConfigurationError(what, file=path, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise ConfigurationError("not usable: nested too deeply", file=path) from None
    except ValueError:  # Python reads no integer of more than some 4,300 digits
        raise ConfigurationError("not usable: holds a number of thousands of digits", file=path) from None
    if not isinstance(data, dict):
        raise ConfigurationError('an object is wanted: {"providers": {...}}', file=path, line=1)
    try:
        return ModelsFile.model_validate(data), data
    except ValidationError as error:
        raise validation_error(error, path, line_of=lambda loc: _line_of(plain, loc)) from None


def read_models_json(path: Path) -> tuple[ModelsFile, dict[str, Any]] | None:
    """As `parse_models_json`, of a file; None if there is none.

    Raises:
        ConfigurationError: it cannot be read or used.
    """
    text = read_text(path)
    return None if text is None else parse_models_json(text, path)


_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def _line_of(text: str, loc: Sequence[str | int]) -> int | None:
    """The line on which the value at `loc` begins, or the innermost of its containers that is there."""
    wanted = list(loc)
    stack: list[list[Any]] = []  # of [is object, key or index, wants a key]
    best: tuple[int, int | None] = (0, None)
    for match in _LEXEME.finditer(text):
        token = match[0]
        top = stack[-1] if stack else None
        if token in "}]":
            stack.pop()
            continue
        if token == ",":
            if top is not None:
                top[1:] = [None, True] if top[0] else [top[1] + 1, False]
            continue
        if token == ":":
            continue
        if top is not None and top[0] and top[2]:
            top[1:] = [json.loads(token), False]
        path = [frame[1] for frame in stack]
        if path == wanted[: len(path)] and len(path) > best[0]:
            best = (len(path), match.start())
        if token in "{[":
            stack.append([token == "{", None if token == "{" else 0, token == "{"])
    return None if best[1] is None else text.count("\n", 0, best[1]) + 1
