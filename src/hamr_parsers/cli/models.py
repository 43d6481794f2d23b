"""`hamr-parse models`: what a gateway serves, and which parser reads each model."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import gateway as gw
from . import options as opt
from .console import command, complain, out
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.text import Text

    from ..client import GatewayModel
    from ..client.connection import Connection

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse models`

`hamr-parse models --provider ollama`

`hamr-parse models --base-url http://127.0.0.1:8000/v1 --format json | jq -r '.models[].id'`

The list is asked of the gateway each time. `*` marks the model that is configured. The order in which a parser is
chosen: the model's `tool_call_parser`, the provider's, the model's name, else `auto`.

Exit codes: **2** configuration, **3** no gateway answers, **4** it refuses the key, **5** it has no such model,
**6** it answers with an error.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models", epilog=EPILOG)(command(models))


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="Only these; one that is not served ends with exit code 5."
        ),
    ] = None,
    provider: gw.ProviderName = None,
    base_url: gw.BaseUrl = None,
    api_key: gw.ApiKey = None,
    header: gw.Header = None,
    config: gw.ConfigFile = None,
    models_json: gw.ModelsJson = None,
    allow_commands: gw.AllowCommands = False,
    parser: opt.ParserName = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print the list.")] = "text",
) -> int:
    """List the models of a gateway, with the parser that each gets and why."""
    connection = gw.connection_of(
        provider=provider,
        base_url=base_url,
        api_key=api_key,
        headers=header,
        parser=parser,
        config=config,
        models_json=models_json,
        allow_commands=allow_commands,
    )
    from ..client import ChatClient

    gw.warn(connection)
    with ChatClient(connection=connection) as client:
        served = client.models()
    found = served
    if names:
        wanted = {connection.choose(_id(connection, name), (m.served for m in served)).id for name in names}
        found = [model for model in served if model.id in wanted]
    _remarks(connection, served)
    active = connection.configured_model()
    if format == "json":
        document = {
            "schema_version": SCHEMA_VERSION,
            "provider": connection.provider.name,
            "base_url": connection.base_url,
            "models": [_entry(model, active is not None and active.value == model.id) for model in found],
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(found, active.value if active is not None else None)
    return 0


def _id(connection: Connection, name: str) -> str:
    return connection.provider.find_model(name) or name


def _remarks(connection: Connection, served: list[GatewayModel]) -> None:
    provider = connection.provider
    ids = [model.id for model in served]
    if not ids:
        complain(f"{connection.base_url} serves no model; load one there")
        return
    for id_ in provider.unknown_overrides(ids):
        source = provider.overrides[id_].source
        complain(f"warning: {source}: the gateway has no model {id_!r}, so it has no effect")
    active = connection.configured_model()
    if active is not None and active.value not in ids:
        complain(f"warning: {active.source}: the gateway has no model {active.value!r}")


def _print(found: list[GatewayModel], active: str | None) -> None:
    from rich.text import Text

    from .console import print_table, visible

    rows: list[list[Text | str]] = []
    for model in found:
        settings = model.settings
        context = model.context_window
        why = Text(visible(settings.resolution.reason))
        for conflict in settings.resolution.conflicts:
            why.append(visible(f"\nbut {conflict}"), "yellow")
        rows.append(
            [
                "*" if model.id == active else "",
                Text(visible(model.id), "bold"),
                visible(model.name) if model.name != model.id else "-",
                str(context) if context is not None else "-",
                Text(model.parser, "bold cyan"),
                str(settings.parser_source),
                why,
            ]
        )
    print_table(out(), ["", "model", "label", "context", "parser", "chosen by", "why"], rows)


def _entry(model: GatewayModel, active: bool) -> dict[str, Any]:
    settings = model.settings
    return {
        "id": model.id,
        "name": model.name,
        "active": active,
        "listed": settings.listed,
        "context_window": model.context_window,
        "max_tokens": settings.max_tokens if "max_tokens" in settings.values else None,
        "reasoning": settings.reasoning,
        "input": settings.input,
        "parser": model.parser,
        "chosen_by": settings.parser_source.to_dict(),
        "reason": settings.resolution.reason,
        "conflicts": list(settings.resolution.conflicts),
    }
