"""The parser ids that Hamr's documentation lists, in its order; the rest of its view is computed."""

from __future__ import annotations

from typing import Final

__all__ = ["HAMR_IDS", "HAMR_TEXT"]

HAMR_IDS: Final = (
    *(
        "qwen3_xml",
        "qwen3_coder",
        "hermes",
        "olmo3",
        "functiongemma",
        "gigachat3",
        "step3",
        "step3p5",
        "llama3_json",
    ),
    *("mistral", "xlam", "granite", "granite4", "granite-20b-fc", "internlm", "jamba", "minimax", "kimi_k2"),
    *(
        "hunyuan_a13b",
        "longcat",
        "deepseek_v3",
        "deepseek_v31",
        "glm45",
        "glm47",
        "pythonic",
        "llama4_pythonic",
    ),
    *("openai", "generic", "gemma_native"),
)

HAMR_TEXT: Final = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
"""The dialect that it documents for most of them, whatever their models write."""
