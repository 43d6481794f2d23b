"""`hamr-parse replay`: a server that plays captured answers as real gateways send them, with their faults."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import command, out, print_table, visible

if TYPE_CHECKING:
    from ..serve.replay import ReplayGateway

__all__ = ["register"]

EPILOG = """
**Examples**

`hamr-parse replay`

`hamr-parse replay capture.sse --as vllm --calls native --fault no-index,slow=0.2`

`hamr-parse replay fixtures/hermes --cut random --seed 7`

Each answer is a model of the server. A request can ask for other ways than the server's with words after the
model's name (`MODEL+vllm+native+no-index`) or with headers: `x-replay-as`, `x-replay-calls`, `x-replay-cut`,
`x-replay-reasoning`, `x-replay-rate`, `x-replay-fault`. After a tool's result the model says a short answer that
quotes it, so that an agent's loop ends.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(command(replay))


def complete_fault(incomplete: str) -> list[tuple[str, str]]:
    """Shell completion of `--fault`: the last of a list of names."""
    from ..serve.replay import FAULTS

    done, comma, last = incomplete.rpartition(",")
    return [(done + comma + f.name, f.text) for f in FAULTS.values() if f.name.startswith(last)]


def replay(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Captured answers or case records, or folders of them. [default: a set that comes along]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 is any free one.")] = 8099,
    kind: Annotated[
        Literal["relay", "lmstudio", "llamacpp", "ollama", "vllm", "litellm", "transformers"],
        typer.Option("--as", help="Whose habits the server has."),
    ] = "llamacpp",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="NAME,...",
            help="What goes wrong; `--list-faults` lists all.",
            autocompletion=complete_fault,
            show_default=False,
        ),
    ] = None,
    calls: Annotated[
        Literal["text", "native", "both"] | None,
        typer.Option(
            help="Calls left as text, parsed by the server, or both. [default: as the faults need it, else text]",
            show_default=False,
        ),
    ] = None,
    reasoning: Annotated[
        Literal["field", "text"],
        typer.Option(help="Reasoning in the server's own field, or left in the text."),
    ] = "field",
    cut: Annotated[
        Literal["tokens", "characters", "random", "whole"], typer.Option(help="Where the text is cut.")
    ] = "tokens",
    verbatim: Annotated[
        bool, typer.Option("--verbatim", help="Play captured event streams byte for byte.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Chunks a second. [default: as fast as they are read]", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random cuts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line for each request.")] = False,
    list_faults: Annotated[
        bool, typer.Option("--list-faults", help="List the faults, and do nothing else.")
    ] = False,
) -> int:
    """Play answers as a gateway: an OpenAI-compatible server to test clients against."""
    from ..serve.replay import ReplayGateway, read_scenarios

    if list_faults:
        _list()
        return 0

    def log(line: str) -> None:
        print(visible(line), file=sys.stderr, flush=True)  # noqa: T201 - the log is for whoever watches

    gateway = ReplayGateway(
        read_scenarios(paths) if paths else None,
        kind,
        ",".join(fault or ()),
        calls,
        cut,
        rate,
        seed,
        reasoning=reasoning,
        verbatim=verbatim,
        log=None if quiet else log,
    )
    _serve(gateway, host, port)
    return 0


def _serve(gateway: ReplayGateway, host: str, port: int) -> None:
    """Listen until interrupted."""
    import asyncio
    import signal

    async def main() -> None:
        stop = asyncio.Event()
        async with gateway.listening(host, port):
            try:
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, stop.set)
            except NotImplementedError:
                pass  # Windows: the interrupt is an exception there
            _announce(gateway)
            await stop.wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass


def _announce(gateway: ReplayGateway) -> None:
    """Where the server is, and what can be asked of it."""
    from rich.text import Text

    console = out()
    console.print(Text.assemble((gateway.base_url, "bold"), f"  {gateway.kind.title}"), soft_wrap=True)
    shown = list(gateway.scenarios.values())[:SHOWN]
    rows: list[list[Text | str]] = [
        [visible(s.id), visible(" ".join((s.note or s.text[:60]).split()))] for s in shown
    ]
    print_table(console, ["model", "what it says"], rows)
    if len(gateway.scenarios) > SHOWN:
        console.print(f"... and {len(gateway.scenarios) - SHOWN} more (GET /v1/models)")
    console.print("Ctrl-C ends it.")
    sys.stdout.flush()


SHOWN = 30


def _list() -> None:
    from rich.text import Text

    from ..serve.replay import FAULTS

    rows: list[list[Text | str]] = []
    for fault in FAULTS.values():
        name = fault.name if fault.number is None else f"{fault.name}={fault.number:g}"
        rows.append([Text(name, "bold"), fault.text, fault.needs, fault.outcome, fault.row])
    print_table(out(), ["fault", "what happens", "needs", "at best", "seen at"], rows)
