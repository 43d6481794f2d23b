"""`hamr-parse login`: a gateway into models.json, by questions or by options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import gateway as gw
from . import options as opt
from .console import command, complain, visible

if TYPE_CHECKING:
    from ..client import GatewayModel
    from ..client.config import Preset
    from ..client.connection import Connection

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse login`

`hamr-parse login --preset relay`

`hamr-parse login --preset relay --base-url https://relay.example.com/v1 --api-key '$RELAY_API_KEY' --name work
--header 'CF-Access-Client-Id=$CF_ACCESS_CLIENT_ID' --header 'CF-Access-Client-Secret=$CF_ACCESS_CLIENT_SECRET'`

On a terminal it asks for what the options leave open. The gateway is asked for its models, which are added to
the provider; what is listed already stays as it is. If no gateway answers, nothing is written; `--offline` writes
without asking it. In the file, `$NAME` is an environment variable and `$$` a dollar sign.

Exit codes: **2** usage or configuration, **3** no gateway answers, **4** it refuses the key, **5** it has no such
model, **6** it answers with an error, **130** stopped at a question.
"""

MOST_MODELS = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("login", epilog=EPILOG)(command(login))


def login(
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="relay, lmstudio, llamacpp, ollama, vllm or custom.",
            rich_help_panel=gw.PANEL,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The gateway's base URL. [default: the preset's]",
            show_default=False,
            rich_help_panel=gw.PANEL,
        ),
    ] = None,
    api_key: gw.ApiKey = None,
    header: gw.Header = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the provider is called. [default: the preset's name]",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="List only this model; can be given more than once. [default: all that are served]",
            show_default=False,
        ),
    ] = None,
    parser: opt.ParserName = None,
    offline: Annotated[bool, typer.Option("--offline", help="Write without asking the gateway.")] = False,
    models_json: gw.ModelsJson = None,
    allow_commands: gw.AllowCommands = False,
) -> int:
    """Add a gateway to models.json, with the models that it serves."""
    from ..client.config import find_preset
    from ..client.config.load import check_base_url, check_header_name, default_models_json
    from ..client.config.models_json import read_models_json
    from ..client.config.presets import PRESETS
    from ..client.config.write import put_provider
    from ..client.errors import ClientError, ConfigurationError
    from ..families.registry import get_family

    asks = sys.stdin.isatty() and sys.stderr.isatty()
    chosen: Preset | None = None
    if preset is not None:
        chosen = find_preset(preset)
        if chosen is None:
            raise typer.BadParameter(f"one of {', '.join(p.id for p in PRESETS)}", param_hint="--preset")
    elif base_url is None:
        if not asks:
            raise typer.BadParameter(
                "give --preset or --base-url (on a terminal, login asks for them)", param_hint="--preset"
            )
        chosen = _ask_preset()
    asking = asks and (preset is None and base_url is None)
    url = base_url or (chosen.base_url if chosen is not None else None)
    if url is None or asking:
        if not asks:
            raise typer.BadParameter("a custom gateway needs one", param_hint="--base-url")
        url = _ask("Base URL", url)
    url = check_base_url(url)
    if asking and api_key is None:
        api_key = _ask_key(chosen)
    if api_key is not None:
        gw.template_of(api_key, "--api-key")
    headers = gw.parse_headers(header)
    for header_name, value in headers.items():
        gw.template_of(value, f"--header {header_name}")
        try:
            check_header_name(header_name)
        except ConfigurationError as error:
            raise ConfigurationError(error.reason, key=f"--header {header_name}") from None
    if parser is not None:
        get_family(parser)
    default_name = chosen.id if chosen is not None and chosen.id != "custom" else "custom"
    provider = (name or (_ask("Name", default_name) if asking else default_name)).strip()
    if not provider:
        raise ConfigurationError("--name must not be empty")
    path = models_json or default_models_json()
    # A file that cannot be used is told before the gateway is asked anything.
    read = read_models_json(path)
    old = read[1].get("providers", {}).get(provider, {}) if read is not None else {}
    # What stands there is kept: only a provider without a key gets the preset's word.
    key = api_key or old.get("apiKey") or (chosen.api_key if chosen is not None else None)
    headers = {**(old.get("headers") or {}), **headers}

    served: list[GatewayModel] = []
    if not offline:
        connection = gw.connection_of(
            base_url=url,
            api_key=key,
            headers=[f"{k}={v}" for k, v in headers.items()],
            parser=parser,
            allow_commands=allow_commands,
        )
        try:
            served = _discover(connection, model or [])
        except ClientError as error:
            if not (asking and _write_anyway(error)):
                complain(f"{error}; nothing was written (--offline writes without asking the gateway)")
                return error.exit_code
    values: dict[str, Any] = {"baseUrl": url, "api": "openai-completions"}
    if key is not None:
        values["apiKey"] = key
    if parser is not None:
        values["tool_call_parser"] = parser
    if headers:
        values["headers"] = headers
    entries = [_entry(m) for m in served[:MOST_MODELS]]
    if offline:
        entries = [{"id": id_} for id_ in model or ()]
    written = put_provider(path, provider, values, entries)
    _tell(written, provider, url, key, served, entries)
    return 0


def _discover(connection: Connection, wanted: list[str]) -> list[GatewayModel]:
    from ..client import ChatClient

    with ChatClient(connection=connection) as client:
        served = client.models()
    if not wanted:
        return served
    ids = [connection.choose(name, (m.served for m in served)).id for name in wanted]
    return [model for model in served if model.id in ids]


def _entry(model: GatewayModel) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": model.id}
    if model.served.name:
        entry["name"] = model.served.name
    if model.served.context_window is not None:
        entry["contextWindow"] = model.served.context_window
    if model.served.input:
        entry["input"] = list(model.served.input)
    return entry


def _tell(
    written: Any, provider: str, url: str, key: str | None, served: list[GatewayModel], entries: list[Any]
) -> None:
    from ..client.config import load_configuration
    from ..client.config.source import shown_path
    from ..client.errors import ClientError, ProviderError

    what = "added" if written.new else "updated"
    typer.echo(visible(f"{shown_path(written.path)}: {what} provider {provider!r}, {url}"))
    if key is not None:
        template = gw.template_of(key, "--api-key")
        typer.echo(f"  key: {template.shown()}")
        if not template.variables and not template.is_command and key not in ("not-needed", "ollama"):
            complain("the key stands in the file as it is (readable by you alone); `$NAME` would keep it out")
        elif template.state == "missing":
            complain(f"{template.shown()}: set it before the gateway is used")
    for entry in entries:
        state = "" if entry["id"] in written.added else " (was listed, unchanged)"
        parser = next((m.parser for m in served if m.id == entry["id"]), None)
        typer.echo(visible(f"  model: {entry['id']}{f', read as {parser}' if parser else ''}{state}"))
    if len(served) > MOST_MODELS:
        complain(f"{len(served) - MOST_MODELS} more models are served and not listed; --model ID lists one")
    if written.backup is not None:
        complain(
            f"the file had comments or loose commas, which JSON has not; a copy is {shown_path(written.backup)}"
        )
    try:
        used = load_configuration(models_json=written.path).provider().name
    except ProviderError:
        used = None
    except ClientError as error:  # another file cannot be used
        complain(str(error))
        return
    if used != provider:
        complain(
            f"in use is {used!r}: name the new one with --provider {provider}"
            if used
            else f"several providers are configured: name this one with --provider {provider}"
            + f', or set `[active] provider = "{provider}"` in ~/.config/hamr/config.toml'
        )


# --- questions ----------------------------------------------------------------------------------------------


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and Ctrl-D at a question end the command with 130, as an interrupt ends the others."""
    try:
        yield
    except typer.Abort:
        typer.echo(err=True)
        complain("stopped; nothing was written")
        raise typer.Exit(130) from None


def _ask(question: str, default: str | None = None, hide: bool = False) -> str:
    with _stoppable():
        answer = typer.prompt(
            question, default=default or "", show_default=bool(default), hide_input=hide, err=True
        )
    return str(answer).strip()


def _ask_preset() -> Preset:
    from ..client.config import find_preset
    from ..client.config.presets import PRESETS

    for number, preset in enumerate(PRESETS, 1):
        typer.echo(f"  {number}  {preset.title:<10}  {preset.base_url or ''}", err=True)
    while True:
        answer = _ask("Which gateway", "1")
        if answer.isdecimal() and 1 <= int(answer) <= len(PRESETS):
            return PRESETS[int(answer) - 1]
        found = find_preset(answer) if answer else None
        if found is not None:
            return found
        typer.echo(f"A number from 1 to {len(PRESETS)}, or a name.", err=True)


def _ask_key(preset: Preset | None) -> str | None:
    hint = preset.hint if preset is not None else "none"
    return _ask(f"API key, or $NAME of a variable that holds it ({hint}; hidden)", hide=True) or None


def _write_anyway(error: Exception) -> bool:
    complain(str(error))
    with _stoppable():
        return typer.confirm("Write it anyway?", default=False, err=True)
