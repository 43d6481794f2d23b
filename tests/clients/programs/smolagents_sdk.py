"""smolagents: a `ToolCallingAgent`.

Two habits of it are turned off, since models trained on the chat API do not know them: it wants the answer as a call of
its own tool `final_answer` (here a text without calls is the answer), and sends results as a user's message (here as
the tool's; all results of a turn in one)."""

from __future__ import annotations

import io
from typing import Any

from tests.clients.program import MAX_TURNS, Outcome, Place, Program, Task


def run(task: Task, place: Place, outcome: Outcome, *, stream: bool) -> None:
    from rich.console import Console
    from smolagents import AgentLogger, LogLevel, OpenAIModel, Tool, ToolCallingAgent
    from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction

    def tool(function: Any) -> Tool:
        schema = function["parameters"]
        required = schema.get("required", [])

        class Named(Tool):
            name = function["name"]
            description = function.get("description", "")
            inputs = {  # noqa: RUF012
                key: {
                    "description": "",
                    **value,
                    **({} if key in required else {"nullable": True}),
                }
                for key, value in schema.get("properties", {}).items()
            }
            output_type = "string"
            skip_forward_signature_validation = True

            def forward(self, **arguments: Any) -> str:
                return outcome.run(function["name"], arguments)

        return Named()

    class Model(OpenAIModel):
        def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
            answer = ChatMessageToolCallFunction(
                name="final_answer", arguments={"answer": message.content or ""}
            )
            message.tool_calls = [ChatMessageToolCall(function=answer, id="final", type="function")]
            return message

    sdk = place.sdk()
    model = Model(
        place.model,
        api_base=sdk.pop("base_url"),
        api_key=sdk.pop("api_key"),
        client_kwargs=sdk,
        custom_role_conversions={"tool-call": "assistant", "tool-response": "tool"},
        retry=False,
    )
    try:
        agent = ToolCallingAgent(
            tools=[tool(function) for function in task.functions],
            model=model,
            stream_outputs=stream,
            max_steps=MAX_TURNS,
            logger=AgentLogger(LogLevel.OFF, Console(file=io.StringIO())),
        )
        result = agent.run(task.question, return_full_result=True)
    finally:
        model.client.close()
    for step in result.steps:
        if step.get("error"):
            outcome.error = f"{step['error'].get('type')}: {step['error'].get('message')}"
            return
    outcome.answer = str(result.output)


def streamed(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=True)


def whole(task: Task, place: Place, outcome: Outcome) -> None:
    run(task, place, outcome, stream=False)


PROGRAMS = (
    Program("smolagents", "smolagents", True, streamed, "httpx2", joins_results=True),
    Program("smolagents", "smolagents", False, whole, "httpx2", joins_results=True),
)
