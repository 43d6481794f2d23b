"""`hamr-parse chat`: talk to a model and see reasoning, content and calls as they come.

Theory. A REPL is a loop over lines: a line that begins with `/` is a command, any other is a message of the user.
What an answer leaves behind goes into one list, the history; before each request `repair_history` makes it one that a
server takes, so that a cancelled answer or a call without a result is no obstacle. Tools are offered and never
run: whoever sits there is the tool, and may answer with `/result`.

Commands are methods named `do_...` in one table; each takes the rest of its line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import HamrParsersError
from . import gateway as gw
from . import options as opt
from .chat_view import View
from .console import command, complain

if TYPE_CHECKING:
    import hamr_parsers as hp

    from ..client import ChatClient, GatewayModel

__all__ = ["register"]

_NO_ANSWER = 6  # as for a gateway that answers with an error

EPILOG = """
**Examples**

`hamr-parse chat`

`hamr-parse chat --base-url http://127.0.0.1:8080/v1 --tools tools.json`

`echo 'Why is the sky blue?' | hamr-parse chat --model qwen3:8b`

Commands in the chat: `/model` lists the gateway's models anew and switches, `/system`, `/tools FILE`, `/result TEXT`
answers a call, `/correct` tells the model what was wrong with one, `/save FILE`, `/clear`, `/help`, `/quit`. A line
that ends with a backslash goes on in the next one. Ctrl-C cancels the running answer, Ctrl-D ends.

In a pipe each line is a message: answers and calls go to standard output, reasoning and remarks to standard error, and
the first error ends it.

Exit codes: **2** configuration, **3** no gateway answers, **4** it refuses the key, **5** it has no such model,
**6** it answers with an error, or, where messages do not come from a terminal, an answer was cut or empty.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat", epilog=EPILOG)(command(chat))


def chat(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model to talk to. [default: the configured one]")
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system message.")] = None,
    tools: opt.Tools = None,
    provider: gw.ProviderName = None,
    base_url: gw.BaseUrl = None,
    api_key: gw.ApiKey = None,
    header: gw.Header = None,
    config: gw.ConfigFile = None,
    models_json: gw.ModelsJson = None,
    allow_commands: gw.AllowCommands = False,
    parser: opt.ParserName = None,
    upstream_mode: Annotated[
        Literal["native", "text"],
        typer.Option(help="`text`: ask the server to leave calls as text, for one that loses them."),
    ] = "native",
    thinking: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="How much to think: off, low, medium, high, ...")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Sampling temperature.")] = None,
) -> int:
    """Talk to a model: its reasoning, its answer and its calls are shown as they come."""
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
    from ..client import ChatClient

    offered = opt.read_tools(tools) if tools is not None else None
    fields = {"max_tokens": max_tokens, "temperature": temperature}
    view = View()
    client = ChatClient(
        connection=connection, upstream=upstream_mode, thinking=thinking, on_notice=view.notice_aside
    )
    with client:
        repl = Repl(client, view, system, offered, {k: v for k, v in fields.items() if v is not None})
        return repl.run()


class Repl:
    """One conversation."""

    def __init__(
        self,
        client: ChatClient,
        view: View,
        system: str | None,
        tools: hp.ToolSet | None,
        fields: dict[str, Any],
    ) -> None:
        self.client = client
        self.view = view
        self.system = system
        self.tools = tools
        self.fields = fields
        self.model: GatewayModel | None = None
        self.history: list[dict[str, Any]] = []
        self.pending: list[hp.ToolCall] = []
        self.interactive = sys.stdin.isatty() and view.rich
        self.failed = False  # an answer was cut or empty
        self.commands: dict[str, tuple[Callable[[str], bool | None], str]] = {
            "model": (self.do_model, "list the gateway's models anew, or switch: /model NAME or NUMBER"),
            "system": (self.do_system, "show or set the system message"),
            "tools": (self.do_tools, "offer the tools of a JSON file; `off`: none"),
            "result": (self.do_result, "answer the call that waits"),
            "correct": (self.do_correct, "tell the model what was wrong with its call"),
            "save": (self.do_save, "write the conversation to a JSON file"),
            "clear": (self.do_clear, "forget the conversation"),
            "help": (self.do_help, "this list"),
            "quit": (self.do_quit, "end; so does Ctrl-D"),
        }

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Read lines until they end. Returns the exit code."""
        self.start()
        for line in self.lines():
            try:
                if self.take(line):
                    break
            except HamrParsersError as error:
                self.view.end_line()
                complain(str(error))
                if not self.interactive:
                    return int(getattr(error, "exit_code", 2))
            except KeyboardInterrupt:
                self.failed = True
                self.view.remark("cancelled")
        # A person sees that an answer was cut; a script only has the exit code.
        return _NO_ANSWER if self.failed and not sys.stdin.isatty() else 0

    def start(self) -> None:
        """Find the model; on a terminal, let the user choose where several are served and none is named.

        Raises:
            ClientError: the gateway cannot be used, or the model cannot be told.
        """
        connection = self.client.connection
        gw.warn(connection)
        served = self.client.models()
        configured = connection.configured_model()
        if configured is None and len(served) > 1 and self.interactive:
            self.list_models(served)
            self.view.remark("choose one: /model NUMBER")
        else:
            name = configured.value if configured is not None else None
            self.use(served, connection.choose(name, (m.served for m in served)).id)
        if self.interactive:
            self.view.remark("/help lists the commands; Ctrl-D ends")

    def lines(self) -> Iterator[str]:
        """The lines of standard input; a backslash at the end joins the next."""
        held = ""
        while True:
            try:
                line = self.read(". " if held else "> ")
            except KeyboardInterrupt:
                held = ""
                self.view.end_line()
                if not self.interactive:
                    raise
                sys.stdout.write("\n")
                continue
            except EOFError:
                if held.strip():
                    yield held
                if self.interactive:
                    sys.stdout.write("\n")
                return
            if line.endswith("\\"):
                held += line[:-1] + "\n"
                continue
            line, held = held + line, ""
            if line.strip():
                yield line

    def read(self, prompt: str) -> str:
        if self.interactive:
            try:
                import readline  # noqa: F401  # editing and history, where it exists
            except ImportError:
                pass
            return input(prompt)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n").rstrip("\r")

    def take(self, line: str) -> bool:
        """One line; True if it is the last."""
        if line.startswith("/") and not line.startswith("//"):
            name, _, rest = line[1:].partition(" ")
            found = self.commands.get({"exit": "quit", "q": "quit", "models": "model"}.get(name, name))
            if found is None:
                import difflib

                near = difflib.get_close_matches(name, self.commands, n=1)
                hint = f"; did you mean /{near[0]}?" if near else "; /help lists them, // begins a message"
                self.view.remark(f"no command /{name}{hint}", "problem")
                return False
            return bool(found[0](rest.strip()))
        self.say({"role": "user", "content": line[1:] if line.startswith("//") else line})
        return False

    # -- an answer -------------------------------------------------------------------------------------------------

    def say(self, message: dict[str, Any]) -> None:
        """Send a message and show the answer. If nothing of one comes, the message is taken back."""
        if self.model is None:
            self.view.remark("choose a model first: /model", "problem")
            return
        before = list(self.history)
        self.history.append(message)
        self.pending.clear()
        try:
            self.answer()
        except BaseException:
            if self.history[-1] is message:
                self.history = before
            raise

    def answer(self) -> None:
        """One request, and its answer as it comes."""
        from ..client.history import repair_history

        model = self.model
        assert model is not None
        messages = repair_history(self.history, parser=model.parser, tools=self.tools)
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        view = self.view
        view.begin()
        with self.client.stream(messages, tools=self.tools, model=model.id, **self.fields) as stream:
            try:
                for event in stream:
                    view.event(event)
            finally:
                view.end()
                self.keep(stream.message)
        said = stream.message
        if stream.finish_reason == "length":
            self.failed = True
            view.remark("the answer was cut", "problem")
        elif not said.tool_calls and not (said.content or "").strip():
            self.failed = True
            only = ": only reasoning came" if said.reasoning else ""
            view.remark(f"the answer was empty{only}", "problem")
        self.judge()

    def keep(self, message: hp.ParsedMessage) -> None:
        """Put an answer, or what came of it, into the history."""
        if message.content or message.tool_calls:
            self.history.append(message.to_openai("drop" if not message.content else "cut"))
            self.pending = list(message.tool_calls)

    def judge(self) -> None:
        """Say what is wrong with the calls, and what can be done."""
        if not self.pending:
            return
        from ..client.schema_check import check_arguments

        for call in self.pending:
            for fault in check_arguments(call, self.tools):
                self.view.remark(f"{call.name}: {fault}", "problem")
        if self.interactive:
            self.view.remark("calls are not run: /result TEXT answers one, /correct says what was wrong")

    # -- commands ----------------------------------------------------------------------------------------------------

    def do_model(self, name: str) -> None:
        served = self.client.models()
        if not name:
            self.list_models(served)
            if not self.interactive:
                return
            name = input("number or name, empty keeps it: ").strip()
            if not name:
                return
        if name.isdigit() and 1 <= int(name) <= len(served):
            name = served[int(name) - 1].id
        connection = self.client.connection
        self.use(
            served,
            connection.choose(connection.provider.find_model(name) or name, (m.served for m in served)).id,
        )

    def use(self, served: list[GatewayModel], id: str) -> None:
        """Talk to this model from now on."""
        self.model = next(model for model in served if model.id == id)
        if self.interactive:
            self.view.remark(f"{id} at {self.client.connection.base_url}, read by {self.model.parser}")

    def list_models(self, served: list[GatewayModel]) -> None:
        rows = [
            [
                str(number),
                "*" if self.model is not None and model.id == self.model.id else "",
                model.id,
                model.name if model.name != model.id else "",
                str(model.context_window or ""),
                model.parser,
            ]
            for number, model in enumerate(served, 1)
        ]
        self.view.table(["#", "", "model", "label", "context", "parser"], rows)

    def do_system(self, text: str) -> None:
        if text:
            self.system = None if text == "off" else text
        self.view.remark(f"system: {self.system}" if self.system else "no system message")

    def do_tools(self, path: str) -> None:
        if path:
            self.tools = None if path == "off" else opt.read_tools(Path(path).expanduser())
        self.view.remark(f"tools: {', '.join(self.tools)}" if self.tools else "no tools are offered")

    def do_result(self, text: str) -> None:
        if not self.pending:
            self.view.remark("no call waits for a result", "problem")
            return
        call = self.pending[0]
        self.send_result({"role": "tool", "tool_call_id": call.id, "content": text})

    def do_correct(self, text: str) -> None:
        if not self.pending:
            self.view.remark("no call waits for a correction", "problem")
            return
        from ..client.correction import correction_message

        message = correction_message(self.pending[0], text or None, tools=self.tools)
        self.view.remark(message["content"])
        self.send_result(message)

    def send_result(self, message: dict[str, Any]) -> None:
        """Answer the first call that waits; when all are answered, the model goes on."""
        rest = self.pending[1:]
        if rest:
            self.history.append(message)
            self.pending = rest
            self.view.remark(f"{len(rest)} more to answer: {rest[0].name}")
            return
        waiting = list(self.pending)
        try:
            self.say(message)
        except BaseException:
            if self.history and self.history[-1].get("tool_calls"):
                self.pending = waiting  # nothing came: the call still waits
            raise

    def do_save(self, path: str) -> None:
        if not path:
            self.view.remark("/save FILE", "problem")
            return
        messages = list(self.history)
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        saved: dict[str, Any] = {"messages": messages}
        if self.model is not None:
            saved = {"model": self.model.id, **saved}
        if self.tools is not None:
            saved["tools"] = self.tools.definitions()
        try:
            text = json.dumps(saved, ensure_ascii=False, indent=2)
            Path(path).expanduser().write_text(text + "\n", encoding="utf-8", errors="replace")
        except OSError as error:
            self.view.remark(f"{path}: cannot be written: {error.strerror}", "problem")
            return
        self.view.remark(f"{len(messages)} messages are in {path}")

    def do_clear(self, _: str) -> None:
        self.history.clear()
        self.pending.clear()
        self.view.remark("the conversation is forgotten")

    def do_help(self, _: str) -> None:
        rows = [[f"/{name}", what] for name, (_, what) in self.commands.items()]
        self.view.table(["command", "does"], rows)

    def do_quit(self, _: str) -> bool:
        return True
