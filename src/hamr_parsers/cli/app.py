"""The command line as a whole: the program's own options, and the commands in the order of the help."""

from __future__ import annotations

from typing import Annotated

import typer

from . import (
    chat,
    check,
    config,
    demo,
    detect,
    doctor,
    events,
    login,
    matrix,
    models,
    parse,
    parsers,
    render,
    replay,
    resolve,
    serve,
)

__all__ = ["app"]

EPILOG = """
Exit codes: **0** done, **1** a check failed (`check`, `parse --strict`, `render`, `matrix --check`), **2** wrong
usage, configuration or unreadable input; and of a gateway **3** none answers, **4** it refuses the key,
**5** it has no such model, **6** it answered with an error.

`-` as a file is standard input. Data goes to standard output, remarks to standard error; NO_COLOR is
honoured.
"""

app = typer.Typer(
    name="hamr-parse",
    help="Any model's raw output in; content, reasoning and OpenAI tool calls out.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        typer.echo(f"hamr-parse {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Any model's raw output in; content, reasoning and OpenAI tool calls out."""


_MODULES = (
    demo, parse, events, detect, check, parsers, resolve, render, matrix, login, models, config, doctor, chat,
    replay, serve,
)  # fmt: skip
for _module in _MODULES:
    _module.register(app)
