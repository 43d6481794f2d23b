"""Options that several commands share, and how they become arguments of the public API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import InvalidResponseTemplateError, InvalidToolsError
from ..transcripts import TranscriptError, decode_text
from .inputs import read_bytes

if TYPE_CHECKING:
    import hamr_parsers as hp

    from ..transcripts import Transcript

__all__ = ["ParserSetup", "parse_chunk"]


def complete_parser(incomplete: str) -> list[tuple[str, str]]:
    """Shell completion of parser ids, with the families' titles."""
    import hamr_parsers as hp

    return [(f.id, f.title) for f in hp.list_families() if f.id.startswith(incomplete)]


def parse_chunk(value: str | None) -> int | Literal["random"] | None:
    """The value of `--chunk`: a positive number of characters, or `random`."""
    if value is None or value == "random":
        return value  # type: ignore[return-value]
    if value.isascii() and value.isdigit() and int(value) > 0:
        return int(value)
    raise typer.BadParameter("give a number of characters (1 or more) or 'random'", param_hint="--chunk")


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Captured output; `-` is standard input.", show_default=False),
]
ParserName = Annotated[
    str | None,
    typer.Option(
        "--parser",
        metavar="ID",
        help="Family to parse as; any alias. See `hamr-parse parsers`.",
        autocompletion=complete_parser,
        rich_help_panel="Which parser",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Model name to choose the parser by.", rich_help_panel="Which parser"),
]
ChatTemplate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The model's chat template to choose the parser by.",
        rich_help_panel="Which parser",
    ),
]
ResponseTemplate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The checkpoint's `response_template`: tokenizer_config.json, or the template alone.",
        rich_help_panel="Which parser",
    ),
]
Tools = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Tool definitions: a JSON list, or an object with `tools` (a saved request).",
        rich_help_panel="What was asked",
    ),
]
ToolChoice = Annotated[
    str | None,
    typer.Option(
        metavar="CHOICE",
        help="The request's tool_choice: auto, none, required, or a tool's name.",
        rich_help_panel="What was asked",
    ),
]
Prompt = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The rendered prompt; only its tail is looked at.",
        rich_help_panel="What was asked",
    ),
]
Thinking = Annotated[
    bool | None,
    typer.Option(
        "--thinking/--no-thinking",
        help="The prompt had (or had not) opened the reasoning block. [default: told from the rest]",
        show_default=False,
        rich_help_panel="What was asked",
    ),
]
FinishReason = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        help="Why the answer ended: stop, length, tool_calls. [default: what the capture says]",
        show_default=False,
        rich_help_panel="What was asked",
    ),
]
Recovery = Annotated[
    Literal["strict", "declared", "lenient"],
    typer.Option(help="Which doubtful starts are calls.", rich_help_panel="Policies"),
]
CallsInReasoning = Annotated[
    Literal["call", "text"],
    typer.Option(help="What a call inside the reasoning is.", rich_help_panel="Policies"),
]
Input = Annotated[
    Literal["auto", "text", "sse", "jsonl", "response", "cases", "session"],
    typer.Option(help="What the files are. `auto` tells by content.", rich_help_panel="Input and output"),
]
Chunk = Annotated[
    str | None,
    typer.Option(
        metavar="N|random",
        help="Feed pieces of N (or random numbers of) characters.",
        rich_help_panel="Input and output",
    ),
]


def read_text(path: Path) -> str:
    """A side file (prompt, template) as text; `TranscriptError` names it and the reason."""
    return decode_text(read_bytes(str(path)), str(path))


@contextmanager
def naming(response_template: Path | None) -> Iterator[None]:
    """Where a response template is checked: the error names its file."""
    try:
        yield
    except InvalidResponseTemplateError as error:
        raise TranscriptError(str(response_template), str(error)) from None


def read_tools(path: Path) -> hp.ToolSet:
    """Tool definitions from a JSON file.

    Raises:
        TranscriptError: no JSON, or not tool definitions; the reason names the entry and the field.
    """
    import hamr_parsers as hp

    name = str(path)
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TranscriptError(
            name, f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    if isinstance(value, dict) and "tools" in value:
        value = value["tools"]
    elif isinstance(value, dict) and {"function", "name"} & value.keys():
        value = [value]
    if not isinstance(value, list):
        kind = {dict: "an object", str: "a string", type(None): "null"}.get(
            type(value), f"a {type(value).__name__}"
        )
        raise TranscriptError(
            name, f"no tool definitions: expected a JSON list or an object with `tools`, not {kind}"
        )
    try:
        return hp.ToolSet(value)
    except InvalidToolsError as error:
        raise TranscriptError(name, str(error)) from None


@dataclass(slots=True)
class ParserSetup:
    """What the options say about the parser; makes one for each transcript.

    What the options leave open is taken from the transcript: a record's parser, tools and thinking, a
    capture's model. Files are read, and an unknown parser is refused, when the setup is made.
    """

    parser: str | None
    model: str | None
    finish_reason: str | None
    kwargs: dict[str, Any]

    @classmethod
    def of(
        cls,
        parser: str | None,
        model: str | None,
        chat_template: Path | None,
        tools: Path | None,
        tool_choice: str | None,
        prompt: Path | None,
        thinking: bool | None,
        finish_reason: str | None,
        recovery: str,
        calls_in_reasoning: str,
        response_template: Path | None = None,
    ) -> ParserSetup:
        """From the options' values; raises a `HamrParsersError` for the first that cannot be used."""
        import hamr_parsers as hp

        kwargs: dict[str, Any] = {"recovery": recovery, "calls_in_reasoning": calls_in_reasoning}
        if chat_template is not None:
            kwargs["chat_template"] = read_text(chat_template)
        if prompt is not None:
            kwargs["prompt"] = read_text(prompt)
        if tools is not None:
            kwargs["tools"] = read_tools(tools)
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        if thinking is not None:
            kwargs["starts_in_reasoning"] = thinking
        if response_template is not None:
            kwargs["response_template"] = read_text(response_template)
        with naming(response_template):
            hp.resolve_parser(
                parser=parser,
                chat_template=kwargs.get("chat_template"),
                response_template=kwargs.get("response_template"),
            )
        return cls(parser, model, finish_reason, kwargs)

    def start(self, transcript: Transcript) -> tuple[hp.StreamParser, hp.Resolution]:
        """A fresh parser for a transcript, and how it was chosen.

        Raises:
            HamrParsersError: what the transcript itself says (a record's parser or tools) cannot be used.
        """
        import hamr_parsers as hp

        kwargs = dict(self.kwargs)
        told = {"chat_template", "response_template"} & kwargs.keys()
        chosen = self.parser is None and self.model is None and not told
        parser = transcript.parser if chosen and transcript.parser else self.parser
        model = self.model or transcript.model
        if transcript.tools is not None:
            kwargs.setdefault("tools", transcript.tools)
        if transcript.starts_in_reasoning is not None:
            kwargs.setdefault("starts_in_reasoning", transcript.starts_in_reasoning)
        resolution = hp.resolve_parser(
            parser=parser,
            model=model,
            chat_template=kwargs.get("chat_template"),
            response_template=kwargs.get("response_template"),
        )
        return hp.StreamParser(parser=parser, model=model, **kwargs), resolution
