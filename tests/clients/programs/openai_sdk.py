"""The `openai` package itself, major version 3 or 2, whichever is installed: an accumulating loop as OpenAI's
documentation shows it (sync and async), the `.stream()` helper, and whole responses."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

from tests.clients.program import MAX_TURNS, Outcome, Place, Program, Task

Messages = list[Any]


def loop(task: Task, place: Place, outcome: Outcome) -> None:
    from openai import OpenAI

    with OpenAI(**place.sdk()) as client:
        messages: Messages = [{"role": "user", "content": task.question}]
        for _ in range(MAX_TURNS):
            request: dict[str, Any] = {"model": place.model, "messages": messages, "tools": list(task.tools)}
            stream: Any = client.chat.completions.create(**request, stream=True)
            if place.wrap:
                stream = place.wrap(stream, request)
            turn = Turn()
            for chunk in stream:
                turn.take(chunk)
            if not turn.end(messages, outcome):
                return
    raise RuntimeError("the loop does not end")


def async_loop(task: Task, place: Place, outcome: Outcome) -> None:
    async def main() -> None:
        from openai import AsyncOpenAI

        async with AsyncOpenAI(**place.async_sdk()) as client:
            messages: Messages = [{"role": "user", "content": task.question}]
            for _ in range(MAX_TURNS):
                request: dict[str, Any] = {
                    "model": place.model,
                    "messages": messages,
                    "tools": list(task.tools),
                    "stream_options": {"include_usage": True},
                }
                stream: Any = await client.chat.completions.create(**request, stream=True)
                if place.wrap:
                    stream = place.wrap(stream, request)
                turn = Turn()
                async for chunk in stream:
                    turn.take(chunk)
                if not turn.end(messages, outcome):
                    return
        raise RuntimeError("the loop does not end")

    asyncio.run(main())


class Turn:
    """One streamed answer, accumulated as the documentation shows it: by index, arguments appended."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: dict[int, Any] = {}
        self.finish = ""

    def take(self, chunk: Any) -> None:
        if not chunk.choices:  # usage
            return
        choice = chunk.choices[0]
        for call in choice.delta.tool_calls or []:
            if call.index not in self.calls:
                self.calls[call.index] = call
            else:
                self.calls[call.index].function.arguments += call.function.arguments
        if choice.delta.content:
            self.text += choice.delta.content
        if choice.finish_reason:
            self.finish = choice.finish_reason

    def end(self, messages: Messages, outcome: Outcome) -> bool:
        """Run the calls; False when there are none and the text is the answer."""
        outcome.finish.append(self.finish)
        if not self.calls:
            outcome.answer = self.text
            return False
        outcome.said.append(self.text)
        message = {
            "role": "assistant",
            "content": self.text or None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in self.calls.values()
            ],
        }
        messages.append(message)
        for call in self.calls.values():
            result = outcome.run(call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return True


def helper(task: Task, place: Place, outcome: Outcome) -> None:
    from openai import OpenAI

    with OpenAI(**place.sdk()) as client:
        messages: Messages = [{"role": "user", "content": task.question}]
        for _ in range(MAX_TURNS):
            with client.chat.completions.stream(
                model=place.model, messages=messages, tools=list(task.tools)
            ) as stream:
                for _event in stream:
                    pass
                completion = stream.get_final_completion()
            if not take_message(completion, messages, outcome):
                return
    raise RuntimeError("the loop does not end")


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    from openai import OpenAI

    with OpenAI(**place.sdk()) as client:
        messages: Messages = [{"role": "user", "content": task.question}]
        for _ in range(MAX_TURNS):
            request: dict[str, Any] = {"model": place.model, "messages": messages, "tools": list(task.tools)}
            completion: Any = client.chat.completions.create(**request)
            if place.wrap:
                completion = place.wrap(completion, request)
            if not take_message(completion, messages, outcome):
                return
    raise RuntimeError("the loop does not end")


def take_message(completion: Any, messages: Messages, outcome: Outcome) -> bool:
    """Run the calls of a whole answer; False when there are none and the text is the answer."""
    choice = completion.choices[0]
    outcome.finish.append(choice.finish_reason or "")
    message = choice.message
    if not message.tool_calls:
        outcome.answer = message.content or ""
        return False
    outcome.said.append(message.content or "")
    messages.append(message.to_dict())
    for call in message.tool_calls:
        result = outcome.run(call.function.name, call.function.arguments)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return True


def installed() -> str:
    """The major version of `openai` here; "3" where there is none."""
    try:
        return importlib.metadata.version("openai").partition(".")[0]
    except importlib.metadata.PackageNotFoundError:
        return "3"


def programs(major: str) -> tuple[Program, ...]:
    """The programs of one major version."""
    http = "httpx" if major == "2" else "httpx2"
    name = f"openai {major}"
    return (
        Program(f"{name} loop", "openai", True, loop, http, wraps=True),
        Program(f"{name} async loop", "openai", True, async_loop, http, wraps=True),
        Program(f"{name} .stream()", "openai", True, helper, http),
        Program(name, "openai", False, whole, http, wraps=True),
    )
