"""`hamr-parse doctor`: is the configuration right, and what does the gateway do to tool calls?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import HamrParsersError
from . import gateway as gw
from . import options as opt
from .console import command, complain, err_is_terminal, out, visible

if TYPE_CHECKING:
    from ..client.config import Configuration
    from ..client.connection import Connection
    from ..client.doctor import Check, Report

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse doctor`

`hamr-parse doctor --full`

`hamr-parse doctor --base-url http://127.0.0.1:8000/v1 --model Qwen3-Coder --format markdown -o report.md`

Local checks always; the gateway is asked with `--full`, or if one is named: its models, a dozen short answers, the
same tool call streamed, not streamed and as text. Each leak, loss and error of shape is named, with its cure.

Marks: ✓ passed, ! warning, ✗ failed, - skipped. What was not tried, or what the model did not do, is `not tested`.
Ctrl-C gives the report so far.

Exit codes: **0** nothing failed, **1** a check failed; of the first failure: **2** configuration, **3** no gateway
answers, **4** it refuses the key, **5** it has no such model, **6** it answers with an error; **130** interrupted.
"""

STYLES = {"passed": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=EPILOG)(command(doctor))


def doctor(
    full: Annotated[bool, typer.Option("--full", help="Ask the gateway, too.")] = False,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model to examine. [default: the configured one]")
    ] = None,
    provider: gw.ProviderName = None,
    base_url: gw.BaseUrl = None,
    api_key: gw.ApiKey = None,
    header: gw.Header = None,
    config: gw.ConfigFile = None,
    models_json: gw.ModelsJson = None,
    allow_commands: gw.AllowCommands = False,
    parser: opt.ParserName = None,
    max_tokens: Annotated[
        int, typer.Option(min=16, help="Most tokens of an answer; models that think need some.")
    ] = 1024,
    timeout: Annotated[
        float,
        typer.Option(min=1, help="Seconds of silence that end an answer; loading a model may take minutes."),
    ] = 600.0,
    tester: Annotated[str, typer.Option(metavar="NAME", help="Who tests, for the report.")] = "not given",
    format: Annotated[
        Literal["text", "markdown", "json"],
        typer.Option(help="How to print the report.", rich_help_panel="Input and output"),
    ] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the report there: Markdown, or JSON by its ending or --format.",
            rich_help_panel="Input and output",
        ),
    ] = None,
) -> int:
    """Look for what is wrong with the configuration and with a gateway's answers, and name the cure."""
    from ..client.doctor import Doctor

    named = base_url is not None or provider is not None
    found = _configuration(
        config, models_json, needed=base_url is None or provider is not None or bool(config)
    )
    connection: Connection | HamrParsersError
    if isinstance(found, HamrParsersError):
        connection = found
    else:
        try:
            connection = gw.connection_of(
                provider=provider,
                base_url=base_url,
                api_key=api_key,
                headers=header,
                model=model,
                parser=parser,
                config=config,
                models_json=models_json,
                allow_commands=allow_commands,
            )
        except HamrParsersError as error:
            connection = error
    visit = Doctor(
        found,
        connection,
        full=full or named,
        model=model,
        max_tokens=max_tokens,
        timeout=timeout,
        tester=tester,
        notice=lambda text: complain(f"{text} ...") if err_is_terminal() else None,
    )
    shown = _Shown() if format == "text" else None
    try:
        for check in visit.run():
            if shown is not None:
                shown.check(check)
            elif err_is_terminal():
                complain(f"{check.mark}: {check.summary}")
    except KeyboardInterrupt:
        visit.interrupted = True
    report = visit.report()
    if shown is not None:
        shown.end(report)
    _write(report, format, output)
    return 130 if visit.interrupted else report.exit_code


def _configuration(
    config: Path | None, models_json: Path | None, *, needed: bool
) -> Configuration | HamrParsersError | None:
    """What the files say, or why they cannot be read; None where no file matters."""
    if not needed:
        return None
    from ..client.config import load_configuration

    try:
        return load_configuration(config=config, models_json=models_json)
    except HamrParsersError as error:
        return error


def _write(report: Report, format: str, output: Path | None) -> None:
    json = format == "json" or (format == "text" and output is not None and output.suffix == ".json")
    text = report.to_json() if json else report.to_markdown()
    if output is None:
        if format != "text":
            sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HamrParsersError(f"{output}: cannot be written: {error.strerror}") from None
    complain(f"the report is in {output}")


class _Shown:
    """Checks on standard output as they are done; a cure that was given before is not repeated."""

    def __init__(self) -> None:
        self.console = out()
        self.group = ""
        self.cures: set[str] = set()
        self.stopped = False

    def check(self, check: Check) -> None:
        from ..client.doctor import MARKS

        if "not-tried" in check.codes:
            if not self.stopped:
                self.stopped = True
                self.line(
                    f"{MARKS[check.mark]} the other probes: {check.summary.rpartition(': ')[2]}", "dim", "  "
                )
            return
        if check.group != self.group:
            if self.group:
                self.line("", "")
            self.group = check.group
            self.line("This machine" if check.group == "local" else "The gateway", "bold")
        self.line(f"{MARKS[check.mark]} {check.summary}", STYLES[check.mark], indent="  ")
        for detail in check.details:
            self.line(detail, "dim", indent="      ")
        for cure in check.cures:
            if cure not in self.cures:
                self.cures.add(cure)
                self.line(f"→ {cure}", "cyan", indent="      ")

    def end(self, report: Report) -> None:
        self.line("", "")
        fields = report.fields()
        for name in ("endpoint_compatibility", "native_tool_calls", "text_tool_calls", "reasoning_leakage"):
            if report.model != "not tested":
                self.line(f"{name}: {fields[name]}", "", indent="  ")
        if report.base_url == "not tested":
            self.line(report.caveats[-1], "dim", indent="  ")
        failed = report.counts()["failed"]
        style = "bold red" if failed else "bold yellow" if report.interrupted else "bold green"
        self.line(report.summary, style)

    def line(self, text: str, style: str, indent: str = "") -> None:
        from rich.padding import Padding
        from rich.text import Text

        shown = Text(visible(" ".join(text.split())), style=style)
        if not self.console.is_terminal:
            self.console.out(f"{indent}{shown.plain}".rstrip(), highlight=False)
        else:
            self.console.print(Padding(shown, (0, 0, 0, len(indent))))
