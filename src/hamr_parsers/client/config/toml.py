"""Hamr's TOML: `~/.config/hamr/config.toml`, and the repository's `.hamr.toml`.

Theory. The classes are the file's shape; unknown keys are kept. The older form, one `[provider]`, is read as a
provider of its own (load.py gives it a name).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigurationError
from .compat import Compat
from .files import read_text, validation_error

__all__ = ["ActiveTable", "LegacyTable", "ModelTable", "ProviderTable", "TomlFile", "parse_toml", "read_toml"]

_Name = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class ActiveTable(_Table):
    """`[active]`: what is in use."""

    provider: str | None = None
    model: str | None = None
    thinking: bool | str | None = None


class ModelTable(_Table):
    """`[[providers.NAME.models]]`."""

    id: _Name
    display_name: str | None = None
    context_window: _Count | None = None
    supports_thinking: bool | None = None
    tool_call_parser: str | None = None
    compat: Compat | None = None


class ProviderTable(_Table):
    """`[providers.NAME]`."""

    enabled: bool | None = None
    id: str | None = None
    name: str | None = None
    compatibility: str | None = None
    base_url: str | None = None
    model: str | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    api_key: str | None = Field(default=None, repr=False)
    tool_call_parser: str | None = None
    headers: dict[str, str] | None = Field(default=None, repr=False)
    models: list[ModelTable] | None = None
    compat: Compat | None = None


class LegacyTable(_Table):
    """`[provider]`, the older form."""

    kind: str | None = None
    base_url: str | None = None
    model: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    tool_call_parser: str | None = None


class TomlFile(_Table):
    """The whole file."""

    active: ActiveTable = Field(default_factory=ActiveTable)
    providers: dict[_Name, ProviderTable] = Field(default_factory=dict)
    provider: LegacyTable | None = None


_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def parse_toml(text: str, path: Path) -> TomlFile:
    """The file's shape.

    Raises:
        ConfigurationError: no TOML (line and column), or a wrong value (key).
    """
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = _AT.search(message)
        line, column = (int(at[1]), int(at[2])) if at and at[1] else (text.count("\n") + 1, None)
        raise ConfigurationError(
            f"not TOML: {_AT.sub('', message)}", file=path, line=line, column=column
        ) from None
    except RecursionError:
        raise ConfigurationError("not usable: nested too deeply", file=path) from None
    except ValueError:  # Python reads no integer of more than some 4,300 digits
        raise ConfigurationError("not usable: holds a number of thousands of digits", file=path) from None
    try:
        return TomlFile.model_validate(data)
    except ValidationError as error:
        found = validation_error(error, path)
        if found.key and found.key.endswith("api_key_env") and "pattern" in found.reason:
            found = ConfigurationError(
                "the name of an environment variable is wanted (as in OPENAI_API_KEY), not the key itself",
                file=path,
                key=found.key,
            )
        raise found from None


def read_toml(path: Path) -> TomlFile | None:
    """As `parse_toml`, of a file; None if there is none.

    Raises:
        ConfigurationError: it cannot be read or used.
    """
    text = read_text(path)
    return None if text is None else parse_toml(text, path)
