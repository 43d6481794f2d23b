"""`hamr-parse config`: each value of the configuration, and where it comes from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import gateway as gw
from .console import command, complain, out
from .parse import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from ..client.config import Configuration, ModelSettings, Provider, Source

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse config`

`hamr-parse config --provider relay --model "Qwen3.6 35B"`

`hamr-parse config --format json | jq '.providers[].values.base_url'`

Files, the later over the earlier: `~/.hamr/agent/models.json`, `~/.config/hamr/config.toml`, and `.hamr.toml` of
this directory or its repository. Keys and headers are never shown: only the variables that they name, and whether
these are set. No gateway is asked; `hamr-parse models` does.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config", epilog=EPILOG)(command(config))


def config(
    provider: gw.ProviderName = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show what holds for this model.", rich_help_panel=gw.PANEL),
    ] = None,
    config: gw.ConfigFile = None,
    models_json: gw.ModelsJson = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to print it.")] = "text",
) -> int:
    """Show the configuration: every value, and the file and key that it comes from."""
    from ..client.config import load_configuration
    from ..client.connection import Connection
    from ..client.errors import ProviderError

    found = load_configuration(config=config, models_json=models_json)
    used: Provider | None = None
    problem: ProviderError | None = None
    try:
        used = found.provider(provider, model)
    except ProviderError as error:
        if provider is not None:
            raise
        problem = error
    shown = [used] if provider is not None and used is not None else list(found.providers.values())
    if used is not None and used not in shown:
        shown.append(used)
    sections: list[dict[str, Any]] = []
    for one in shown:
        chosen = Connection(one, found, model if one is used else None).configured_model()
        ids = list(one.models)
        if chosen is not None and chosen.value not in ids and one is used:
            ids.append(chosen.value)
        if model is not None:
            ids = [chosen.value] if chosen is not None and one is used else []
        sections.append(
            {
                "name": one.name,
                "used": one is used,
                "values": dict(_provider_values(one)),
                "models": [
                    {"id": id_, "values": dict(_model_values(one.model(id_), full=model is not None))}
                    for id_ in ids
                ],
            }
        )
    for warning in found.warnings:
        complain(f"warning: {warning}")
    active = dict(_active_values(found))
    if format == "json":
        document = {
            "schema_version": SCHEMA_VERSION,
            "files": [{"what": f.what, "path": str(f.path), "found": f.found} for f in found.files],
            "active": _json_of(active),
            "providers": [
                {
                    **section,
                    "values": _json_of(section["values"]),
                    "models": [{**m, "values": _json_of(m["values"])} for m in section["models"]],
                }
                for section in sections
            ],
            "warnings": found.warnings,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(found, active, sections)
    if problem is not None:
        complain(str(problem))
    return 0


_Values = dict[str, tuple[Any, "Source"]]


def _active_values(found: Configuration) -> Iterator[tuple[str, tuple[Any, Source]]]:
    for name, value in (
        ("provider", found.active_provider),
        ("model", found.active_model),
        ("thinking", found.thinking),
    ):
        if value is not None:
            yield name, (value.value, value.source)


def _provider_values(provider: Provider) -> Iterator[tuple[str, tuple[Any, Source]]]:
    from ..client.config import Source
    from ..client.config.provider import API

    default = Source("default")
    for name, value in (
        ("name", provider.label),
        ("id", provider.id),
        ("enabled", provider.enabled),
        ("base_url", provider.base_url),
    ):
        if value is not None:
            yield name, (value.value, value.source)
    yield "api", (provider.api.value, provider.api.source) if provider.api else (API, default)
    if provider.api_key is not None:
        yield "api_key", (provider.api_key.shown(), provider.api_key.source)
    else:
        yield "api_key", (None, default)
    for header, template in provider.headers.items():
        yield f"headers.{header}", (template.shown(), template.source)
    for name, value in (
        ("auth_header", provider.auth_header),
        ("model", provider.default_model),
        ("tool_call_parser", provider.tool_call_parser),
    ):
        if value is not None:
            yield name, (value.value, value.source)
    said = provider.compat.said()
    for key, source in provider.compat_sources.items():
        yield f"compat.{key}", (said.get(key), source)


def _model_values(model: ModelSettings, full: bool) -> Iterator[tuple[str, tuple[Any, Source]]]:
    from ..client.config import Source

    default = Source("default")
    for name, value in model.values.items():
        if name != "tool_call_parser":
            yield name, (value.value, value.source)
    if full:
        for name in ("context_window", "max_tokens", "input"):
            if name not in model.values:
                yield name, (getattr(model, name), default)
        for header, template in model.headers.items():
            yield f"headers.{header}", (template.shown(), template.source)
    yield "parser", (model.parser, model.parser_source)
    said = model.compat.said()
    for key, source in model.compat_sources.items():
        if full or ".models[" in source.key or ".modelOverrides." in source.key:
            yield f"compat.{key}", (said.get(key), source)


def _json_of(values: _Values) -> dict[str, Any]:
    return {name: {"value": value, "source": source.to_dict()} for name, (value, source) in values.items()}


def _print(found: Configuration, active: _Values, sections: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from ..client.config.source import shown_path
    from .console import print_table, visible

    rows: list[list[Text | str]] = []
    for file in found.files:
        rows.append(["file", file.what, shown_path(file.path), "found" if file.found else "not there"])
    for name, (value, source) in active.items():
        rows.append(["active", name, _text(value), str(source)])
    for section in sections:
        title = f"provider {section['name']}"
        if section["used"]:
            title += " (in use)"
        for name, (value, source) in section["values"].items():
            rows.append([Text(visible(title), "bold"), name, _text(value), str(source)])
        for model in section["models"]:
            head = f"model {model['id']}"
            for name, (value, source) in model["values"].items():
                rows.append([Text(visible(head), "cyan"), name, _text(value), str(source)])
    print_table(
        out(),
        ["of", "key", "value", "comes from"],
        [[cell if isinstance(cell, Text) else visible(str(cell)) for cell in row] for row in rows],
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
