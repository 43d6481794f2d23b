"""smolagents: a `ToolCallingAgent`, whose answer is a call too: of its own tool `final_answer`."""

from __future__ import annotations

import io
from typing import Any

from tests.clients.program import Outcome, Place, Program, Task


def run(task: Task, place: Place, outcome: Outcome, *, stream: bool) -> None:
    from rich.console import Console
    from smolagents import AgentLogger, LogLevel, OpenAIModel, Tool, ToolCallingAgent

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

    sdk = place.sdk()
    model = OpenAIModel(
        place.model,
        api_base=sdk.pop("base_url"),
        api_key=sdk.pop("api_key"),
        client_kwargs=sdk,
        retry=False,
    )
    try:
        agent = ToolCallingAgent(
            tools=[tool(function) for function in task.functions],
            model=model,
            stream_outputs=stream,
            max_steps=2,
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
    Program("smolagents", "smolagents", True, streamed, "httpx2", ends_by_tool=True),
    Program("smolagents", "smolagents", False, whole, "httpx2", ends_by_tool=True),
)
