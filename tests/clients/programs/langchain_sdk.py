"""langchain-openai: `bind_tools`, then `stream` with added chunks or `invoke`; sync streamed, async whole.

`AIMessage.tool_calls` is what its documentation says to run. Of a call that was cut, chunks make a call with the
arguments so far (partial JSON is closed), so a program must look at the finish reason itself; this one does not,
as the documentation's do not."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.clients.program import MAX_TURNS, Outcome, Place, Program, Task


def model(task: Task, place: Place) -> Any:
    from langchain_openai import ChatOpenAI
    from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

    # Its own default clients are shared by all models of a process, beyond the event loop that they began in.
    chat = ChatOpenAI(
        base_url=place.base_url,
        api_key="none",
        model=place.model,
        max_retries=0,
        timeout=20.0,
        http_client=place.http() if place.http else DefaultHttpxClient(),
        http_async_client=place.async_http() if place.async_http else DefaultAsyncHttpxClient(),
    )
    return chat.bind_tools(list(task.tools))


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    chat = model(task, place)
    messages: list[Any] = [("user", task.question)]
    for _ in range(MAX_TURNS):
        message: Any = None
        for chunk in chat.stream(messages):
            message = chunk if message is None else message + chunk
        if message is None:
            raise RuntimeError("no answer")
        if not take(message, messages, outcome):
            return
    raise RuntimeError("the loop does not end")


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    async def main() -> None:
        chat = model(task, place)
        messages: list[Any] = [("user", task.question)]
        for _ in range(MAX_TURNS):
            if not take(await chat.ainvoke(messages), messages, outcome):
                return
        raise RuntimeError("the loop does not end")

    asyncio.run(main())


def take(message: Any, messages: list[Any], outcome: Outcome) -> bool:
    from langchain_core.messages import ToolMessage

    outcome.finish.append(message.response_metadata.get("finish_reason") or "")
    if message.invalid_tool_calls:
        raise ValueError(f"invalid tool calls: {message.invalid_tool_calls}")
    if not message.tool_calls:
        outcome.answer = message.text
        return False
    outcome.said.append(message.text)
    messages.append(message)
    for call in message.tool_calls:
        messages.append(ToolMessage(outcome.run(call["name"], call["args"]), tool_call_id=call["id"] or ""))
    return True


PROGRAMS = (
    Program("langchain-openai", "langchain_openai", True, streamed, "httpx2", closes_cut_calls=True),
    Program("langchain-openai", "langchain_openai", False, whole, "httpx2"),
)
