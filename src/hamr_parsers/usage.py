"""How a family is chosen in practice: the line to write, for us and for each server.

Theory. Whoever knows the family wants to know next what to type. All that differs between families is in their
entries (`aliases`, `reasoning_parsers`); how each tool takes such a name is said here, once.
"""

from __future__ import annotations

from typing import NamedTuple

from .families.entry import Family

__all__ = ["PEER_TITLES", "Usage", "usage"]

#: The tools by the keys that entries use, as people call them.
PEER_TITLES = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "llamacpp": "llama.cpp",
    "smg": "smg",
    "mlx": "mlx-lm",
    "transformers": "transformers",
    "hamr": "Hamr",
    "other": "others",
}


class Usage(NamedTuple):
    """What to write for a tool. `line` is None where the tool has no parser for the family; `note` says more."""

    tool: str
    line: str | None
    note: str = ""


def usage(family: Family) -> list[Usage]:
    """The lines that choose a family: in this package first, then in the servers' command lines."""
    id_ = family.id
    lines = [
        Usage("hamr-parse", f"hamr-parse parse --parser {id_} FILE"),
        Usage("Python", f'hp.parse(text, parser="{id_}")'),
        Usage(
            "configuration",
            f'tool_call_parser = "{id_}"',
            "in Hamr's TOML or models.json, of a provider or a model",
        ),
    ]
    if family.kind not in ("grammar", "response_template"):
        return lines
    lines += [
        _server(family, "vllm", "vllm serve MODEL --enable-auto-tool-choice --tool-call-parser"),
        _server(family, "sglang", "python -m sglang.launch_server --model-path MODEL --tool-call-parser"),
        Usage(
            "llama.cpp",
            "llama-server --jinja -m MODEL.gguf",
            "it reads the format off the chat template; calls that it does not know stay text, for us to read",
        ),
    ]
    names = family.aliases.get("mlx")
    if names:
        lines.append(
            Usage(
                "mlx-lm",
                "mlx_lm.server --model MODEL",
                f"its parser is {names[0]}, chosen by the chat template",
            )
        )
    return lines


def _server(family: Family, peer: str, command: str) -> Usage:
    title = PEER_TITLES[peer]
    names = family.aliases.get(peer)
    if not names:
        return Usage(title, None, "no parser of its own for this family: its calls stay text, for us to read")
    name = family.id if family.id in names else names[0]
    reasoning = family.reasoning_parsers.get(peer)
    line = f"{command} {name}" + (f" --reasoning-parser {reasoning}" if reasoning else "")
    others = ", ".join(other for other in names if other != name)
    return Usage(title, line, f"also {others}" if others else "")
