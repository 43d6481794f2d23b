"""`hamr-parse serve`: the normalizing proxy as a command."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options as opt
from .console import command, complain, extra, visible

if TYPE_CHECKING:
    from ..serve.proxy import ProxySettings

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse serve --upstream http://127.0.0.1:8080/v1`

`hamr-parse serve --upstream http://127.0.0.1:8000/v1 --upstream-mode text --parser qwen3_coder`

`hamr-parse serve --upstream https://gw.example.com/v1 --api-key '$KEY' --header 'CF-Access-Client-Id: $ID'`

Then point programs at `http://127.0.0.1:8100/v1` (`OPENAI_BASE_URL`), those of Anthropic's API at
`http://127.0.0.1:8100` (`ANTHROPIC_BASE_URL`).

`/v1/chat/completions`, `/v1/responses` and `/v1/messages` are mended; `/healthz` (`?upstream` asks the upstream too)
and `/metrics` are the proxy's own; every other path goes to the upstream as it is. Ctrl-C lets running answers go on
for a few seconds (`--drain`), a second one does not.
"""

_CURE = "What is mended"
_UP = "Upstream"
_TIMES = "Time and size"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", epilog=EPILOG)(command(serve))


def serve(
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL|NAME",
            help="The gateway's base URL, or a configured provider. [default: the active provider]",
            show_default=False,
            rich_help_panel=_UP,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 8100,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Sent upstream in the place of the clients' own; `'$NAME'` reads the environment.",
            show_default=False,
            rich_help_panel=_UP,
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Sent upstream with each request (`NAME: VALUE`, too); `$NAME` in the value reads the environment.",
            show_default=False,
            rich_help_panel=_UP,
        ),
    ] = None,
    passthrough: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Pass this path on untouched, e.g. `/v1/messages` of an upstream that serves it itself.",
            show_default=False,
            rich_help_panel=_UP,
        ),
    ] = None,
    upstream_mode: Annotated[
        Literal["native", "text"],
        typer.Option(
            help="`text`: ask so that the upstream leaves calls as text, for servers that destroy them.",
            rich_help_panel=_UP,
        ),
    ] = "native",
    parser: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Family to read all answers as. [default: by the model's name]",
            autocompletion=opt.complete_parser,
            show_default=False,
            rich_help_panel=_CURE,
        ),
    ] = None,
    model_parser: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=ID",
            help="Family for the models of this name (`*` and `?` stand for any).",
            show_default=False,
            rich_help_panel=_CURE,
        ),
    ] = None,
    parse_without_tools: Annotated[
        bool,
        typer.Option(
            "--parse-without-tools",
            help="Read calls also in answers to requests without tools.",
            rich_help_panel=_CURE,
        ),
    ] = False,
    reasoning: Annotated[
        Literal["reasoning_content", "reasoning", "both"],
        typer.Option(help="The field that reasoning is given in.", rich_help_panel=_CURE),
    ] = "reasoning_content",
    incomplete: Annotated[
        Literal["cut", "mend", "drop"],
        typer.Option(
            help="A call that was cut: as far as it came, closed (never run it unseen), or left out.",
            rich_help_panel=_CURE,
        ),
    ] = "cut",
    recovery: Annotated[
        Literal["strict", "declared", "lenient"],
        typer.Option(help="Which doubtful starts are calls.", rich_help_panel=_CURE),
    ] = "declared",
    calls_in_reasoning: Annotated[
        Literal["call", "text"],
        typer.Option(help="What a call inside the reasoning is.", rich_help_panel=_CURE),
    ] = "call",
    capture: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the upstream's answers as they came, for `hamr-parse parse`; secrets are removed.",
            show_default=False,
            rich_help_panel="Captures",
        ),
    ] = None,
    captures: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Keep the last N.", rich_help_panel="Captures"),
    ] = 1000,
    capture_size: Annotated[
        int,
        typer.Option(min=1, metavar="MIB", help="Keep so much of each.", rich_help_panel="Captures"),
    ] = 16,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="The upstream's longest silence, before its answer (loading a model) or within it.",
            rich_help_panel=_TIMES,
        ),
    ] = 900,
    connect_timeout: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Until the upstream takes a connection.",
            rich_help_panel=_TIMES,
        ),
    ] = 5,
    keep_alive: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="After so much silence a streaming client gets a comment (and the head); 0: never.",
            rich_help_panel=_TIMES,
        ),
    ] = 15,
    stalled: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Give up a client that takes nothing for so long; 0: never.",
            rich_help_panel=_TIMES,
        ),
    ] = 300,
    drain: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="So long answers may go on after Ctrl-C.", rich_help_panel=_TIMES
        ),
    ] = 5,
    max_request: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Largest request that is read.", rich_help_panel=_TIMES)
    ] = 64,
    max_response: Annotated[
        int,
        typer.Option(min=1, metavar="MIB", help="Largest whole answer that is read.", rich_help_panel=_TIMES),
    ] = 64,
    allow_commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands", help="Run `!command` values of the configuration.", rich_help_panel=_UP
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another name that requests may call this proxy by, e.g. behind a web server; `*` is any.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line for each request.")] = False,
) -> int:
    """Stand between programs and a gateway, and give them right tool calls: the cure for any language."""
    with extra("server"):
        from ..serve.proxy import (
            LOCAL_NAMES,
            Limits,
            Proxy,
            ProxySettings,
            ServeError,
            Target,
            Timeouts,
            bind,
            is_local,
        )
        from ..serve.proxy import serve as run
    from ..wire import Exchange, WireOptions

    place, key, headers, parsers, provider_parser = _provider(upstream, allow_commands)
    wire = WireOptions(
        parser=parser or provider_parser,
        recovery=recovery,
        calls_in_reasoning=calls_in_reasoning,
        reasoning=reasoning,
        incomplete=incomplete,
        parse_without_tools=parse_without_tools,
        upstream=upstream_mode,
    )
    if parser is not None:
        parsers = []  # an option for all models wins over a file's word about one
    parsers = [*_model_parsers(model_parser or ()), *parsers]
    for name in {wire.parser, *(named for _, named in parsers)}:
        Exchange(None, WireOptions(parser=name))  # refuses an unknown one at once
    own = _value(api_key, "--api-key", allow_commands)
    mib = 1024 * 1024
    names = allow_host or []
    settings = ProxySettings(
        target=Target.of(place),
        api_key=own if api_key is not None else key,
        headers={**headers, **_headers(header or (), allow_commands)},
        wire=wire,
        parsers=parsers,
        passed=frozenset("/" + path.strip().lstrip("/") for path in passthrough or ()),
        timeouts=Timeouts(
            connect=connect_timeout, silence=timeout, keep_alive=keep_alive, stalled=stalled, drain=drain
        ),
        limits=Limits(
            request=max_request * mib,
            response=max_response * mib,
            capture=capture_size * mib,
            captures=captures,
        ),
        capture=capture,
        hosts=LOCAL_NAMES | {name.lower() for name in names} if is_local(host) and "*" not in names else None,
    )
    proxy = Proxy(settings)
    sock = bind(host, port)
    address = sock.getsockname()
    if settings.target.url("/v1").rstrip("/") in _own_urls(address):
        sock.close()
        raise ServeError(f"--upstream {settings.target.base} is this proxy itself; choose another --port")
    if not is_local(host):
        complain(
            f"listening on {host}: whoever reaches this machine can use the upstream"
            + (" with your key" if settings.authorization or settings.headers else "")
            + "; 127.0.0.1 keeps it to this machine"
        )
    _log(quiet)
    _announce(settings, address)
    run(proxy, [sock], greet=not quiet)
    return 0


def _own_urls(address: Any) -> set[str]:
    return {f"http://{host}:{address[1]}/v1" for host in ("127.0.0.1", "localhost", "[::1]", str(address[0]))}


def _announce(settings: ProxySettings, address: Any) -> None:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    typer.echo(f"http://{host}:{address[1]}/v1 -> {settings.target.base}")
    if settings.capture is not None:
        typer.echo(f"captures go to {settings.capture}")
    sys.stdout.flush()


def _log(quiet: bool) -> None:
    """The proxy's own lines go to standard error, with what models and clients sent made visible."""

    class Visible(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return visible(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Visible("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("hamr_parsers.serve")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


# -- the upstream: a URL, or a provider of the configuration ------------------------------------------------------


def _provider(
    named: str | None, allow_commands: bool
) -> tuple[str, str | None, dict[str, str], list[tuple[str, str]], str | None]:
    """URL, key, headers, parsers by model, parser of all models."""
    if named is not None and "://" in named:
        return named, None, {}, [], None
    if named is not None and any(c in named for c in ":/"):
        return f"http://{named}", None, {}, [], None
    from ..client.config import load_configuration

    configuration = load_configuration()
    provider = configuration.provider(named)
    assert provider.base_url is not None  # `_usable` saw to it
    key = provider.api_key.resolve(allow_commands=allow_commands) if provider.api_key else None
    headers = {
        name: value.resolve(allow_commands=allow_commands).get_secret_value()
        for name, value in provider.headers.items()
    }
    parsers = [
        (model, found.value)
        for layers in (provider.overrides, provider.models)
        for model, layer in layers.items()
        if (found := layer.values.get("tool_call_parser")) is not None
    ]
    of_all = provider.tool_call_parser
    return (
        provider.base_url.value,
        key.get_secret_value() if key is not None else None,
        headers,
        parsers,
        of_all.value if of_all is not None else None,
    )


def _value(text: str | None, name: str, allow_commands: bool) -> str | None:
    """An option's value, its variables read."""
    if text is None:
        return None
    from ..client.config import Source, Template

    return Template(text, Source("option", name)).resolve(allow_commands=allow_commands).get_secret_value()


def _headers(given: list[str] | tuple[str, ...], allow_commands: bool) -> dict[str, str]:
    from .gateway import parse_headers

    return {
        name: (_value(value, f"--header {name}", allow_commands) or "").strip()
        for name, value in parse_headers(given).items()
    }


def _model_parsers(given: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for text in given:
        model, equals, name = text.rpartition("=")
        if not equals or not model.strip() or not name.strip():
            raise typer.BadParameter(f"give it as MODEL=ID, not {text!r}", param_hint="--model-parser")
        found.append((model.strip(), name.strip()))
    return found
