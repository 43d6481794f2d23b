"""Options of the commands that talk to a gateway, and how they become a connection.

`models`, `config`, `doctor`, `chat` and `serve` take the same ones, in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import complain

if TYPE_CHECKING:
    from ..client.config import Template
    from ..client.connection import Connection

__all__ = ["connection_of", "parse_headers", "template_of", "warn"]

PANEL = "Which gateway"

ProviderName = Annotated[
    str | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="NAME",
        help="A configured provider, or a preset: relay, lmstudio, llamacpp, ollama, vllm."
        " [default: the active one]",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A gateway's base URL, as in http://127.0.0.1:1234/v1; without --provider, no file is read.",
        rich_help_panel=PANEL,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Its key: `$NAME` (quoted) for an environment variable, or the key itself.",
        rich_help_panel=PANEL,
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A header for every request; the value may hold `$NAME`. Can be given more than once.",
        rich_help_panel=PANEL,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file to read instead of ~/.config/hamr/config.toml and .hamr.toml.",
        rich_help_panel=PANEL,
    ),
]
ModelsJson = Annotated[
    Path | None,
    typer.Option(
        "--models-json",
        metavar="FILE",
        help="File to read instead of ~/.hamr/agent/models.json.",
        rich_help_panel=PANEL,
    ),
]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands",
        help="Run configured values that are commands (`!...`).",
        rich_help_panel=PANEL,
    ),
]


def template_of(value: str, option: str) -> Template:
    """An option's value, which may name variables.

    Raises:
        ConfigurationError: it names none where it should.
    """
    from ..client.config import Source, Template

    template = Template(value, Source("option", option, key=option))
    template.check()
    return template


def parse_headers(headers: Iterable[str] | None) -> dict[str, str]:
    """`NAME=VALUE` (or `NAME: VALUE`, as curl has it) of each header.

    Raises:
        typer.BadParameter: one is neither.
    """
    found: dict[str, str] = {}
    for header in headers or ():
        marks = [at for mark in "=:" if (at := header.find(mark)) > 0]
        name, value = (header[: min(marks)].strip(), header[min(marks) + 1 :].strip()) if marks else ("", "")
        if not name or not all(c.isalnum() or c in "-_" for c in name) or not value:
            # not the header itself: it may be a secret
            raise typer.BadParameter("give NAME=VALUE", param_hint="--header")
        found[name] = value
    return found


def connection_of(
    *,
    provider: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    headers: Iterable[str] | None = None,
    model: str | None = None,
    parser: str | None = None,
    config: Path | None = None,
    models_json: Path | None = None,
    allow_commands: bool = False,
) -> Connection:
    """The connection that the options mean.

    Raises:
        ConfigurationError, UnknownParserError: an option or a file cannot be used.
    """
    from ..client.connection import connect

    return connect(
        provider=provider,
        base_url=base_url,
        api_key=template_of(api_key, "--api-key") if api_key else None,
        headers={k: template_of(v, f"--header {k}") for k, v in parse_headers(headers).items()},
        model=model,
        tool_call_parser=parser,
        config=config,
        models_json=models_json,
        allow_commands=allow_commands,
    )


def warn(connection: Connection) -> None:
    """Tell what is odd about the files, a line each on standard error."""
    for warning in connection.warnings:
        complain(f"warning: {warning}")
