"""Where scenarios come from: the set that ships with the package, and files of transcripts and case records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import HamrParsersError, RenderError
from ...render import render
from ...transcripts import Transcript, TranscriptError, decode_text, detect, read_transcripts
from .scenario import Scenario, Truth, scenario_of_record

__all__ = ["embedded_scenarios", "read_scenarios"]

_SLUG = re.compile(r"[^\w.:/-]+")


def embedded_scenarios() -> list[Scenario]:
    """The scenarios that ship with the package."""
    from ...transcripts.cases import read_records

    text = files(__package__).joinpath("scenarios.jsonl").read_text(encoding="utf-8")
    return [scenario_of_record(record) for record in read_records(text, "scenarios.jsonl")]


def read_scenarios(paths: Iterable[str | Path]) -> list[Scenario]:
    """Scenarios of files and folders: whatever `read_transcripts` reads, one scenario for each answer.

    Folders are searched for `*.jsonl`, `*.json`, `*.sse` and `*.txt`. Ids are made unique.

    Raises:
        TranscriptError: a file cannot be read, or a folder holds none.
    """
    found: list[Scenario] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for end in ("jsonl", "json", "sse", "txt") for p in path.rglob(f"*.{end}")]
            if not inside:
                raise TranscriptError(str(path), "no *.jsonl, *.json, *.sse or *.txt file in it")
            for file in sorted(inside):
                try:
                    found.extend(_read(file))
                except TranscriptError:
                    continue  # a folder may hold other things: tools.json, notes
            continue
        found.extend(_read(path))
    seen: dict[str, int] = {}
    unique = []
    for scenario in found:
        count = seen[scenario.id] = seen.get(scenario.id, 0) + 1
        unique.append(scenario if count == 1 else replace(scenario, id=f"{scenario.id}-{count}"))
    if not unique:
        raise TranscriptError(", ".join(map(str, paths)), "no transcript or case record in it")
    return unique


def _read(path: Path) -> list[Scenario]:
    from ...transcripts.cases import read_records

    try:
        data = path.read_bytes()
    except OSError as error:
        raise TranscriptError(str(path), error.strerror or str(error)) from None
    text = decode_text(data, str(path))
    kind = detect(text)
    if kind == "cases":
        return [s for r in read_records(text, str(path)) if (s := _usable(scenario_of_record(r)))]
    raw = data if kind == "sse" else None
    found = []
    for transcript in read_transcripts(data, str(path), kind):
        scenario = _of_transcript(transcript, path, raw)
        if scenario is not None:
            found.append(scenario)
    return found


def _usable(scenario: Scenario) -> Scenario | None:
    """The scenario, unless its family is none of ours (corpora from elsewhere have others)."""
    try:
        _ = scenario.family
    except HamrParsersError:
        return None
    return scenario


def _of_transcript(transcript: Transcript, path: Path, raw: bytes | None) -> Scenario | None:
    """A captured answer. What the gateway had taken out of the text (reasoning, calls) is put back into it, as the
    model's family writes it; None if it says nothing."""
    name = _SLUG.sub("-", transcript.model or path.stem)
    if transcript.answer or transcript.choice:
        name += f":{transcript.answer}.{transcript.choice}"
    content = "".join(text for channel, text in transcript.pieces if channel == "content")
    reasoning = "".join(text for channel, text in transcript.pieces if channel == "reasoning")
    scenario = Scenario(
        name,
        content,
        transcript.parser,
        transcript.model,
        transcript.tools,
        False if reasoning else transcript.starts_in_reasoning,
        "length" if transcript.finish_reason == "length" else "stop",
        note=f"captured in {path.name}",
        raw=raw if not transcript.answer else None,
    )
    functions = [call["function"] for call in transcript.native_tool_calls if "function" in call]
    calls = [(function["name"], function["arguments"]) for function in functions if function.get("name")]
    if calls:
        return _with_calls(scenario, content, reasoning, calls)
    if reasoning:
        message = {"role": "assistant", "content": None, "reasoning_content": reasoning}
        try:
            opened = render(message, parser=scenario.family.id, in_reasoning=False)
        except RenderError:
            opened = f"<think>\n{reasoning}\n</think>\n\n"
        scenario = replace(scenario, text=opened + content)
    return scenario if scenario.text else None


def _with_calls(scenario: Scenario, content: str, reasoning: str, calls: list[tuple[str, str]]) -> Scenario:
    """The scenario of an answer whose calls are known; its truth is what was captured."""
    told: list[tuple[str, Any]] = []
    for name, text in calls:
        try:
            value = json.loads(text or "{}")
        except ValueError:
            value = None
        told.append((name, value if isinstance(value, dict) else text))
    cut = any(isinstance(arguments, str) for _, arguments in told)
    truth = Truth(content or None, reasoning or None, tuple(told), "length" if cut else "tool_calls")
    tools = scenario.tools or _tools_of(told)
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    message["tool_calls"] = [
        {"id": f"call{n}", "type": "function", "function": {"name": name, "arguments": text}}
        for n, (name, text) in enumerate(calls)
    ]
    try:
        text = render(message, parser=scenario.family.id, tools=tools, in_reasoning=False, ids="make")
    except RenderError:
        text = content  # the calls are left for a gateway that parses them
    return replace(scenario, text=text, tools=tools, expected=truth, finish="length" if cut else "stop")


def _tools_of(calls: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Definitions of the tools that are called, as far as the calls tell them."""
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    known: dict[str, dict[str, Any]] = {}
    for name, arguments in calls:
        properties = known.setdefault(name, {})
        for key, value in arguments.items() if isinstance(arguments, dict) else ():
            kind = kinds.get(type(value))
            properties[key] = {"type": kind} if kind else {}
    return [
        {
            "type": "function",
            "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
        }
        for name, properties in known.items()
    ]
