"""Selection: override > chat template > model name > `auto`; why; and that no unknown model is a guess."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hamr_parsers.errors import HamrParsersError, InvalidResponseTemplateError, UnknownParserError
from hamr_parsers.families import registry
from hamr_parsers.families.registry import get_family, list_families, register_family
from hamr_parsers.select import Resolution, SelectionError, normal_model, opens_reasoning, resolve_parser

# --- names --------------------------------------------------------------------------------------------------

HERMES = """
NousResearch/Hermes-2-Pro-Mistral-7B
NousResearch/Hermes-2-Theta-Llama-3-8B
NousResearch/DeepHermes-3-Llama-3-8B-Preview
Hermes-4.3-36B-Q6_K.gguf
hermes3:70b-llama3.1-q5_K_M
solidrust/Hermes-3-Llama-3.1-8B-AWQ
@hf/nousresearch/hermes-2-pro-mistral-7b
Qwen/Qwen2-7B-Instruct
Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4
qwen2.5:7b-instruct-q4_K_M
qwen2.5-coder:14b
qwen/qwen-2.5-72b-instruct:free
accounts/fireworks/models/qwen2p5-72b-instruct
accounts/fireworks/models/qwen3-235b-a22b
Qwen/Qwen3-4B-Thinking-2507
Qwen/Qwen3-VL-30B-A3B-Instruct
qwen3
qwen3:latest
qwen3:30b-a3b-q4_K_M
qwen3-next-80b-a3b-instruct@4bit
mlx-community/Qwen3-14B-6bit
lmstudio-community/Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf
D:\\LLM\\Qwen\\Qwen3-32B\\Qwen3-32B-UD-IQ2_XXS-00001-of-00002.gguf
/models/Qwen3-8B/ggml-model-Q4_K_M.gguf
./Qwen2.5-7B-sft/checkpoint-1200
~/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/9c925d64d72725edaf899c6cb9c377fd0709d9c5
my-org/our_qwen3_8b_support_bot
Qwen/QwQ-32B-Preview
qwq:32b-fp16
Groq/Llama-3-Groq-70B-Tool-Use
XiaomiMiMo/MiMo-VL-7B-SFT
TeichAI/Qwen3-14B-DeepSeek-v3.2-Speciale-Distill-GGUF
"""

QWEN3_CODER = """
Qwen/Qwen3-Coder-Next
qwen3-coder
qwen3-coder:30b-a3b-q4_K_M
qwen/qwen3-coder-flash
Qwen3-Coder-REAP-25B-A3B-i1-IQ4_XS.gguf
C:\\Users\\me\\models\\Qwen_Qwen3-Coder-30B-A3B-Instruct-Q5_K_M.gguf
unsloth/Qwen3-Coder-480B-A35B-Instruct-1M-GGUF:UD-Q2_K_XL
https://huggingface.co/unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF/resolve/main/Q4_K_M/model.gguf?download=true
Qwen/Qwen3.5-27B-Instruct
qwen3.6:35b
Qwen3_5-9B-mlx-4bit
accounts/fireworks/models/qwen3p5-397b
Nanbeige/Nanbeige4-3B-Thinking-2511
internlm/Intern-S2
openbmb/MiniCPM-V-4_6-int4
ibm-granite/granite-4.2-8b
arcee-ai/Trinity-Large-Thinking
"""

NEMOTRON_3 = """
nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16
nemotron-3-super:120b
"""

LLAMA3 = """
meta-llama/Llama-3.2-1B-Instruct
meta-llama/Meta-Llama-3-8B-Instruct
Llama-3.3-70B-Instruct-Q4_K_M.gguf
llama3.1
llama3.2:3b-instruct-fp16
hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q8_0
groq/llama-3.3-70b-versatile
accounts/fireworks/models/llama-v3p1-70b-instruct
us.meta.llama3-1-70b-instruct-v1:0
@cf/meta/llama-3.1-8b-instruct-fast
meta/llama-3.1-405b-instruct-maas
cognitivecomputations/Dolphin3.0-Llama3.1-8B
nvidia/Llama-3.1-Nemotron-70B-Instruct-HF
my_llama31_finetune
"""

MISTRAL = """
mistralai/Mistral-7B-Instruct-v0.3
mistral-nemo
mistral-small3.2:24b-instruct-2506-q4_K_M
mistralai/mistral-medium-3.1
mistral.mistral-large-2407-v1:0
open-mixtral-8x22b
codestral-latest
mistralai/Voxtral-Small-24B-2507
unsloth/Devstral-Small-2507-GGUF
magistral:24b
ministral-3-14b-reasoning-2512
mistral-community/pixtral-12b
mistralai/a-name-that-nobody-knows-7b
~/llama.cpp/models/mistral-7b-instruct-v0.3.Q8_0.gguf
"""

OPENAI = """
gpt-4o-mini
openai/gpt-4.1
gpt-5-codex
gpt-35-turbo
chatgpt-4o-latest
o3-mini
anthropic/claude-3.7-sonnet
us.anthropic.claude-sonnet-4-5-v1:0
google/gemini-2.5-flash
x-ai/grok-4
"""

# Nobody knows these: no family, so `auto`, however much they sound like one.
UNKNOWN = """
my-finetune-7b
model.gguf
ggml-model-q4_0.gguf
/data/runs/checkpoint-500
Qwen/Qwen-7B-Chat
Qwen/Qwen1.5-72B-Chat
Qwen/Qwen4-30B
qwen-plus
meta-llama/Llama-2-7b-chat-hf
codellama/CodeLlama-34b-Instruct-hf
huggyllama/llama-30b
openlm-research/open_llama_3b
TinyLlama/TinyLlama-1.1B-Chat-v1.0
meta-llama/Llama-Guard-3-8B
llama
NousResearch/Nous-Hermes-13b
google/gemma-2-9b-it
microsoft/phi-4
tiiuae/falcon-180b
01-ai/Yi-34B-Chat
THUDM/glm-4-9b-chat
allenai/OLMo-2-1124-7B-Instruct
gpt-j-6b
gpt2
gpt-4-x-alpaca-13b
EleutherAI/gpt-neox-20b
deepseek-ai/DeepSeek-V2.5
/
.
:latest
"""

# Families with a name of their own, some of them built on a model of another family, or of its dialect.
OTHERS = {
    "Salesforce/Llama-xLAM-2-70b-fc-r": "xlam",
    "Salesforce/Qwen-xLAM-32B-fc-r": "xlam",
    "xLAM-2-3b-fc-r-Q4_K_M.gguf": "xlam",
    "meetkai/functionary-v3-llama-3.1": "functionary_v31",
    "meetkai/functionary-small-v3.2-GGUF": "functionary_v32",
    "fireworks-ai/llama-3-firefunction-v2": "firefunction",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": "deepseek_v3",
    "unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF": "deepseek_v3",
    "deepseek-r1:8b-0528-qwen3-q4_K_M": "deepseek_v3",
    "deepseek/deepseek-chat-v3.1": "deepseek_v31",
    "DeepSeek-V3.2-Exp": "deepseek_v31",
    "DeepSeek-V3.2": "deepseek_v32",
    "command-r:35b": "command_r",
    "CohereLabs/c4ai-command-r7b-12-2024": "cohere_command3",
    "watt-ai/watt-tool-8B": "pythonic",
    "Team-ACE/ToolACE-2-Llama-3.1-8B": "pythonic",
    "llama4:scout": "llama4_pythonic",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": "llama4_pythonic",
    "openbmb/MiniCPM5-1B": "minicpm5",
    "stepfun-ai/Step-3.5-Flash-FP8": "step3p5",
    "stepfun-ai/step3-fp8": "step3",
    "XiaomiMiMo/MiMo-V2-Flash": "mimo",
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5": "nemotron_json",
    "nvidia/nemotron-nano-9b-v2:free": "nemotron_json",
    "openai/gpt-oss-20b": "gpt_oss",
    "gpt-oss-120b-F16.gguf": "gpt_oss",
    "z-ai/glm-4.6:exacto": "glm45",
    "GLM-4.7-Flash": "glm47",
    "granite4:tiny-h": "granite4",
    "internlm/Intern-S1-mini": "internlm",
    "phi4-mini": "phi4_mini_json",
    "gemma3:27b": "gemma3_pythonic",
    "functiongemma:270m": "functiongemma",
    "reedmayhew/gemma-4-claude-distill": "gemma4",
    "Kimi-K2-Instruct-0905": "kimi_k2",
    "HuggingFaceTB/SmolLM3-3B": "smollm3",
    "speakleash/Bielik-11B-v3.0-Instruct-GGUF": "bielik",
    "RekaAI/reka-flash-3.1": "reka",
    "arcee-ai/Trinity-Nano-Preview": "trinity",
}


def lines(text: str) -> list[str]:
    return text.split("\n")[1:-1]


@pytest.mark.parametrize(
    ("name", "parser"),
    [
        *((name, "hermes") for name in lines(HERMES)),
        *((name, "qwen3_coder") for name in lines(QWEN3_CODER)),
        *((name, "nemotron_v3") for name in lines(NEMOTRON_3)),
        *((name, "llama3_json") for name in lines(LLAMA3)),
        *((name, "mistral") for name in lines(MISTRAL)),
        *((name, "openai") for name in lines(OPENAI)),
    ],
)
def test_names_of_registered_families(name: str, parser: str) -> None:
    found = resolve_parser(model=name)
    assert (found.parser, found.source) == (parser, "model")
    assert found.reason.startswith(f"the model's name {name!r} looks like ")
    assert found.reason.endswith("; parser= or a chat template would override that.")


@pytest.mark.parametrize("name", lines(UNKNOWN))
def test_an_unknown_name_is_no_guess(name: str) -> None:
    found = resolve_parser(model=name)
    assert (found.parser, found.source, found.conflicts) == ("auto", "auto", ())
    assert found.reason.startswith("the model's name did not tell the family, so auto ")


@pytest.mark.parametrize(("name", "family"), OTHERS.items())
def test_a_family_that_is_not_registered_is_named_and_not_replaced(name: str, family: str) -> None:
    found = resolve_parser(model=name)
    if family in {f.id for f in list_families()}:
        assert (found.parser, found.source) == (family, "model")
        return
    assert (found.parser, found.source) == ("auto", "auto")
    assert f"looks like {family} (" in found.reason
    assert "which is not registered yet, so auto it is" in found.reason


def names_by_family() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "data" / "model_names.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            names[line[2:]] = []
        else:
            names[[*names][-1]].append(line)
    return names


@pytest.mark.parametrize(("family", "names"), names_by_family().items())
def test_names_as_people_write_them(family: str, names: list[str]) -> None:
    found = {name: resolve_parser(model=name).parser for name in names}
    assert {name: parser for name, parser in found.items() if parser != family} == {}


def test_a_model_that_writes_no_calls_is_of_no_family() -> None:
    found = resolve_parser(model="Qwen/Qwen3-Embedding-8B")
    assert (found.parser, found.source) == ("auto", "auto")
    assert found.reason == (
        "the model's name 'Qwen/Qwen3-Embedding-8B' is that of a model that writes no calls ('embedding'), so auto"
        " it is; parser= or a chat template would override that."
    )


def test_two_families_in_one_name_are_no_evidence() -> None:
    found = resolve_parser(model="Hermes-4-70B-on-DeepSeek-V3")
    assert (found.parser, found.source) == ("auto", "auto")
    assert (
        "looks like deepseek_v3 ('deepseek-v3') and hermes ('hermes-4') alike, so auto it is" in found.reason
    )
    assert resolve_parser(model="Qwen3-8B-x-Mistral-7B-merge").parser == "auto"


def test_the_organisation_may_tell() -> None:
    assert resolve_parser(model="mistralai/Anything-9B").parser == "mistral"
    assert resolve_parser(model="somebody/Anything-9B").parser == "auto"


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("Qwen/Qwen3-8B", "qwen/qwen3-8b"),
        ("  Qwen3 8B  ", "qwen3-8b"),
        ("Qwen3_8B.Q4_K_M.gguf", "qwen3-8b"),
        ("x-UD-IQ3_XXS-00002-of-00003.gguf", "x"),
        ("qwen3-coder:30b-a3b-q4_K_M", "qwen3-coder:30b-a3b"),
        ("qwen3:latest", "qwen3"),
        ("a/b-GPTQ-Int4", "a/b"),
        ("a/b-FP8-dynamic", "a/b"),
        ("a/GLM-4.1", "a/glm-4.1"),
        ("C:\\models\\X.gguf", "models/x"),
        ("\\\\server\\share\\Org\\Thing-Q8_0.gguf", "org/thing"),
        ("file:///srv/models/x/model.safetensors", "models/x"),
        ("https://huggingface.co/Org/Name/blob/main/model-00001-of-00002.safetensors", "org/name"),
        ("/hub/models--Org--Name-7B/snapshots/0123456789abcdef", "org/name-7b"),
        ("./out/checkpoint-100/", "out"),
        ("", ""),
        ("///", ""),
        ("C:\\", ""),
    ],
)
def test_normal_model(name: str, normal: str) -> None:
    assert normal_model(name) == normal


@given(st.text(max_size=60) | st.text("aqQ3/\\:._- -gufGk@1Uxl", max_size=60))
def test_any_text_is_a_name(name: str) -> None:
    normal = normal_model(name)
    assert normal == normal.lower()
    assert not any(c.isspace() or c in "\\_" for c in normal)
    assert normal.count("/") <= 1
    found = resolve_parser(model=name)
    assert get_family(found.parser).id == found.parser


KNOWN = [
    *lines(HERMES),
    *lines(QWEN3_CODER),
    *lines(LLAMA3),
    *(n for n in lines(MISTRAL) if "nobody" not in n),
    *OTHERS,
]


@given(
    st.sampled_from([name for name in KNOWN if not set(name) & set("/\\:@~")]),
    st.sampled_from(["", "org/", "/models/", "C:\\models\\", "hf.co/someone/", "~/x/", "./"]),
    st.lists(
        st.sampled_from(["-GGUF", "-FP8", "-AWQ", "-4bit", "-Q4_K_M", ".i1-IQ2_XS", "-NVFP4", "-bf16"]),
        max_size=3,
    ),
    st.sampled_from(["", ".gguf", ":latest", ":Q8_0", "@4bit", "-00001-of-00003.safetensors"]),
    st.sampled_from([str, str.lower, str.upper, lambda name: name.replace("-", "_")]),
)
def test_packing_does_not_change_the_family(
    name: str, prefix: str, builds: list[str], end: str, spell: Any
) -> None:
    if name.endswith(".gguf"):
        name = name[:-5]
    plain = resolve_parser(model=name)
    packed = resolve_parser(model=prefix + spell(name + "".join(builds)) + end)
    assert (packed.parser, packed.source) == (plain.parser, plain.source)


@pytest.mark.parametrize(
    "name",
    [
        "models--" * 9000,
        "-q4" * 9000,
        "granite" * 9000,
        "/" * 9000,
        "a/" * 9000,
        "qwen3-" * 9000,
        "\\" * 9000,
        "x" * 10**6,
    ],
)
def test_endless_names_are_read_in_no_time(name: str) -> None:
    assert resolve_parser(model=name).parser in ("auto", "hermes")


# --- chat templates -----------------------------------------------------------------------------------------

HERMES_TEMPLATE = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n\\nreturn a json object:\\n<tool_call>\\n' }}
    {{- '{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call>' }}
{%- endif %}
{%- for tool_call in message.tool_calls %}
    {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
    {{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
"""
QWEN_XML_TEMPLATE = """{%- for tool_call in message.tool_calls %}
    {{- '<tool_call>\\n<function=' + tool_call.name + '>\\n' }}
    {%- for k, v in tool_call.arguments|items %}
        {{- '<parameter=' + k + '>\\n' + v + '\\n</parameter>\\n' }}
    {%- endfor %}
{%- endfor %}
"""
LLAMA_TEMPLATE = """{{- bos_token }}{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}
{{- '{"name": "' + tool_call.name + '", ' }}{{- '"parameters": ' }}{{- tool_call.arguments | tojson }}
"""
MISTRAL_TEMPLATE = """{{- bos_token }}{{- '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}
{{- '[INST]' + message.content + '[/INST]' }}{{- '[TOOL_CALLS]' + tool.function.name + '[ARGS]' + arguments }}
"""
TEMPLATES = {
    "hermes": HERMES_TEMPLATE,
    "qwen3_coder": QWEN_XML_TEMPLATE,
    "llama3_json": LLAMA_TEMPLATE,
    "mistral": MISTRAL_TEMPLATE,
}
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize("family", TEMPLATES)
def test_templates_in_every_shape(family: str) -> None:
    template = TEMPLATES[family]
    shapes: list[Any] = [
        template,
        json.dumps(template),
        json.dumps(template)[1:-1],
        json.dumps(template, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e"),
        json.dumps(
            {"chat_template": template, "added_tokens_decoder": {"1": "[TOOL_CALLS]", "2": "<function="}}
        ),
        {"chat_template": template},
        {
            "chat_template": [
                {"name": "default", "template": PLAIN},
                {"name": "tool_use", "template": template},
            ]
        },
        [{"name": "default", "template": PLAIN}, {"name": "rag", "template": template}],
        ({"name": "default", "template": template},),
        {"default": PLAIN, "tool_use": template},
        template.replace("\n", "\r\n").replace("    ", "\t"),
        "{# [TOOL_CALLS] <arg_key> <function= <parameter= #}" + template + "{#- unfinished",
        "\ufeff" + template,
    ]
    for shape in shapes:
        found = resolve_parser(chat_template=shape)
        assert (found.parser, found.source) == (family, "chat_template"), shape
        assert found.reason.startswith(f"the chat template looks like {family} (")
        assert found.reason.endswith("; parser= would override that.")


def test_the_template_for_tools_is_looked_at_first() -> None:
    named = [
        {"name": "default", "template": MISTRAL_TEMPLATE},
        {"name": "tool_use", "template": HERMES_TEMPLATE},
    ]
    assert resolve_parser(chat_template=named).parser == "hermes"
    assert resolve_parser(chat_template=named[::-1]).parser == "hermes"


@pytest.mark.parametrize(
    ("template", "family"),
    [
        ("<tool_call>{{ name }}<arg_key>{{ k }}</arg_key><arg_value>", "glm45"),
        ("'<|start_of_role|>' ... '<tool_call>\\n{\"name\": \"' ... <function-name>", "granite4"),
        ("<|start_of_role|>assistant<|end_of_role|> <|tool_call|>", "granite"),
        ("Environment: ipython <|start_header_id|> [func_name1(params_name1=params_value1)]", "pythonic"),
        ("<|header_start|> <|python_start|> [func_name1(param1=value1, param2=value2)]", "llama4_pythonic"),
        ("<|im_start|>tool_response <function= <parameter= </tool_call>", "step3p5"),
        ('make calls in a single JSON array: [{"name": "tool_call_name", "arguments": ', "xlam"),
        ("<|start_header_id|> <|python_tag|> <function= version=v3-llama3.1", "functionary_v31"),
        ('<function name="x"><param name="k">', "minicpm5"),
        ("<｜tool▁calls▁begin｜>", "deepseek_v3"),
        ("<minimax:tool_call>", "minimax_m2"),
        ("<|channel|>commentary to=functions.x <|constrain|>json", "gpt_oss"),
        ('<tool_calls>[{"name": <function-name>}] [BEGIN FINAL RESPONSE]', "apriel"),
    ],
)
def test_a_more_special_template_is_not_taken_for_a_common_one(template: str, family: str) -> None:
    if family in {f.id for f in list_families()}:
        assert resolve_parser(chat_template=template).parser == family
        return
    found = resolve_parser(chat_template=template, model="Qwen/Qwen3-8B")
    assert (found.parser, found.source) == ("auto", "auto")
    assert f"the chat template looks like {family} (" in found.reason
    assert found.conflicts == ("the model's name 'Qwen/Qwen3-8B' looks like hermes ('qwen3')",)


@pytest.mark.parametrize(
    ("template", "parser"),
    [
        ("<|start_of_role|> <function=x> <parameter=k>", "qwen3_coder"),  # Granite 4.2
        ("truncate_history_thinking <function=x> <parameter=k>", "nemotron_v3"),
        ('<|function_output|> <tool_call>\\n{"name": "', "bielik"),
        (
            '<|header_start|> {"name": function name, "parameters": x}',
            "llama3_json",
        ),  # Llama 4's JSON template
        ("[SYSTEM_PROMPT][/SYSTEM_PROMPT] [THINK] [INST]", "mistral"),
    ],
)
def test_sister_dialects(template: str, parser: str) -> None:
    assert resolve_parser(chat_template=template).parser == parser


@pytest.mark.parametrize(
    "template",
    [
        "",
        PLAIN,
        "{{ x }}",
        "[INST] {{ m }} [/INST]",
        "<think>",
        "<|start_header_id|>",
        {},
        [],
        {"chat_template": None},
    ],
)
def test_a_template_without_tools_leaves_it_to_the_name(template: Any) -> None:
    assert resolve_parser(chat_template=template, model="mistral-nemo").parser == "mistral"
    found = resolve_parser(chat_template=template)
    assert (found.parser, found.source) == ("auto", "auto")
    assert found.reason.startswith("the chat template did not tell the family, so auto")


@pytest.mark.parametrize(
    "template",
    ["{#" * 50_000, "\\" * 100_000, " " * 100_000, "{# #}" * 20_000, "[" * 100_000, "\\u" * 50_000],
)
def test_hostile_templates_are_read_in_no_time(template: str) -> None:
    assert resolve_parser(chat_template=template).parser == "auto"


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda s: st.lists(s) | st.dictionaries(st.text(max_size=9), s),
    )
)
def test_anything_else_as_a_template_is_refused_with_a_clear_error(template: Any) -> None:
    try:
        found = resolve_parser(chat_template=template)
    except SelectionError as error:
        message = str(error)
    else:
        message = ""
        assert get_family(found.parser)
    assert message.startswith("chat_template: ") or not message


# --- order, overrides, conflicts ----------------------------------------------------------------------------


def test_order() -> None:
    name, template = "Qwen/Qwen3-8B", MISTRAL_TEMPLATE
    for given_, parser, source in (
        ({}, "auto", "auto"),
        ({"model": name}, "hermes", "model"),
        ({"model": name, "chat_template": template}, "mistral", "chat_template"),
        ({"model": name, "chat_template": template, "parser": "llama3"}, "llama3_json", "parser"),
        (
            {"model": name, "chat_template": template, "tool_call_parser": "qwen3_xml"},
            "qwen3_coder",
            "parser",
        ),
        ({"model": name, "parser": "auto"}, "auto", "parser"),
        ({"model": "", "parser": "", "chat_template": None}, "auto", "auto"),
    ):
        found = resolve_parser(**given_)  # type: ignore[arg-type]
        assert (found.parser, found.source) == (parser, source)


def test_reasons_are_one_sentence_that_says_what_decided() -> None:
    assert resolve_parser().reason == (
        "nothing was given that tells the family, so auto finds it out from the output; parser=, a chat template"
        " or a model name that is known would override that."
    )
    assert resolve_parser(parser="qwen25").reason == (
        "parser='qwen25' was given, which is hermes; nothing overrides that."
    )
    assert resolve_parser(tool_call_parser="hermes").reason == (
        "tool_call_parser='hermes' was given; nothing overrides that."
    )
    assert resolve_parser(model="smollm3:3b").reason == (
        "the model's name 'smollm3:3b' looks like smollm3 ('smollm3'); parser= or a chat template would override"
        " that."
    )


def test_conflicts_are_reported() -> None:
    assert resolve_parser(model="Qwen/Qwen3-8B", chat_template=QWEN_XML_TEMPLATE) == Resolution(
        "qwen3_coder",
        "chat_template",
        "the chat template looks like qwen3_coder ('<function=' and '<parameter='); parser= would override that.",
        ("the model's name 'Qwen/Qwen3-8B' looks like hermes ('qwen3')",),
    )
    over = resolve_parser(parser="mistral", model="llama3.1", chat_template=HERMES_TEMPLATE)
    assert [text.partition(" looks like ")[2].partition(" ")[0] for text in over.conflicts] == [
        "hermes",
        "llama3_json",
    ]
    assert (
        resolve_parser(parser="hermes", model="zai-org/GLM-4.6")
        .conflicts[0]
        .endswith("looks like glm45 ('glm-4.6')")
    )
    for agreed in (
        {"parser": "qwen", "model": "Qwen/Qwen3-8B", "chat_template": HERMES_TEMPLATE},
        {"model": "Qwen/Qwen3-Coder-30B-A3B-Instruct", "chat_template": QWEN_XML_TEMPLATE},
        {"parser": "hermes", "model": "who-knows"},
    ):
        assert resolve_parser(**agreed).conflicts == ()  # type: ignore[arg-type]


def test_two_overrides() -> None:
    assert resolve_parser(parser="qwen25", tool_call_parser="hermes").parser == "hermes"
    with pytest.raises(SelectionError) as caught:
        resolve_parser(parser="qwen25", tool_call_parser="mistral")
    assert str(caught.value) == (
        "parser='qwen25' means 'hermes' but tool_call_parser='mistral' means 'mistral': they are two names of one"
        " setting, give one of them"
    )
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, HamrParsersError)


def test_bad_arguments() -> None:
    with pytest.raises(UnknownParserError, match="hermes"):
        resolve_parser(parser="hermess")
    assert resolve_parser(tool_call_parser="vllm:openai").parser == "gpt_oss"
    for wrong, message in (
        ({"model": 3}, "model: a string is wanted, not int"),
        ({"model": ["x"]}, "model: a string is wanted, not list"),
        ({"parser": b"hermes"}, "parser: a string is wanted, not bytes"),
        ({"tool_call_parser": {}}, "tool_call_parser: a string is wanted, not dict"),
        ({"chat_template": 3}, "chat_template: its text is wanted, or several by name, not int"),
        ({"chat_template": {"default": 3}}, "chat_template: 'default': its text is wanted, not int"),
        ({"chat_template": [PLAIN]}, "chat_template: a list holds mappings with `name` and `template`"),
    ):
        with pytest.raises(SelectionError) as caught:
            resolve_parser(**wrong)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_a_response_template_decides_unless_a_parser_is_named() -> None:
    template = {"start_anchor": "<bot>", "fields": {"content": {}}}
    found = resolve_parser(model="Qwen/Qwen3-8B", response_template=template)
    assert (found.parser, found.source) == ("hf", "parser")
    assert found.reason == "a response_template was given, which hf reads; nothing overrides that."
    assert found.conflicts == ("the model's name 'Qwen/Qwen3-8B' looks like hermes ('qwen3')",)
    assert resolve_parser(parser="hermes", response_template={}).parser == "hermes"
    with pytest.raises(InvalidResponseTemplateError):
        resolve_parser(response_template={"version": 1})


def test_a_registered_family_takes_part_at_once() -> None:
    assert resolve_parser(model="org/Acme-Llama-3.1-8B").parser == "llama3_json"
    assert "glm45" in resolve_parser(model="zai-org/GLM-4.6").reason
    register_family(
        "start: CONTENT\n",
        {
            "id": "acme",
            "title": "x",
            "name_patterns": ["acme", "special/x", r"fa|cme\d"],
            "template_markers": [["<acme>", '"name": ']],
            "always_reasoning": [".*"],
        },
    )
    try:
        assert resolve_parser(model="org/Acme-Llama-3.1-8B").parser == "acme"
        assert resolve_parser(model="special/x").parser == "acme"
        assert resolve_parser(model="other/x").parser == "auto"
        assert resolve_parser(model="fa").parser == "acme"
        assert resolve_parser(chat_template='<acme>{"name":').parser == "acme"
        assert resolve_parser(chat_template="<acme>").parser == "auto"
        assert opens_reasoning("acme")
    finally:
        registry._unregister("acme")
    assert resolve_parser(model="org/Acme-Llama-3.1-8B").parser == "llama3_json"


def test_resolution_is_a_value() -> None:
    found = resolve_parser(model="Qwen/Qwen3-8B")
    assert pickle.loads(pickle.dumps(found)) == found
    assert resolve_parser(model="Qwen/Qwen3-8B") is found
    with pytest.raises(AttributeError):
        found.parser = "x"  # type: ignore[misc]


def test_many_threads_at_once() -> None:
    problems: list[BaseException] = []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        try:
            start.wait()
            for turn in range(20):
                id_ = f"team{number}x{turn}"
                register_family("start: A\n", {"id": id_, "title": "x", "name_patterns": [f"{id_}(?!\\d)"]})
                assert resolve_parser(model=f"org/{id_}-7b").parser == id_
                assert resolve_parser(model=f"org/Qwen3-{number}{turn}B").parser == "hermes"
                assert resolve_parser(chat_template=f"{MISTRAL_TEMPLATE}{number}{turn}").parser == "mistral"
                registry._unregister(id_)
                assert resolve_parser(model=f"org/{id_}-7b").parser == "auto"
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]


# --- reasoning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "model", "opens"),
    [
        ("hermes", None, False),
        ("hermes", "Qwen/QwQ-32B-AWQ", True),
        ("hermes", "qwq:32b-q4_K_M", True),
        ("hermes", "Qwen/QwQ-32B-Preview", False),
        ("hermes", "Qwen/Qwen3-8B", False),
        ("hermes", "Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", True),
        ("hermes", "qwen3:4b-thinking-2507-q8_0", True),
        ("hermes", "Qwen/Qwen3-Next-80B-A3B-Thinking", True),
        ("hermes", "Qwen/Qwen3-VL-8B-Thinking", True),
        ("hermes", "Qwen/Qwen3-4B-Instruct-2507", False),
        ("qwen3_coder", None, False),
        ("qwen3_coder", "Qwen/Qwen3-Coder-30B-A3B-Instruct", False),
        ("qwen3_coder", "Qwen/Qwen3.5-35B-A3B", False),
        ("qwen3_coder", "qwen3.6:27b", False),
        ("qwen3_coder", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", False),
        ("qwen3_xml", "Qwen/Qwen3.5-27B", False),
        ("mistral", "mistralai/Magistral-Small-2509", False),
        ("step3p5", "stepfun-ai/Step-3.5-Flash-FP8", True),
        ("step3p5", None, False),
        ("step3", "stepfun-ai/step3", True),
        ("nemotron_v3", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", False),
        ("ling3", "inclusionAI/Ling-3.0-flash", False),
        ("spark25", "XHToken/Spark-X2.5-4B", False),
        ("k2_horizon", "LLM360/K2-Horizon", True),
        ("iquest_q1", "IQuestLab/IQuest-Q1-40B", False),
        ("minimax_m2", "minimax/minimax-m2.5:free", True),
        ("minimax_m3", "MiniMaxAI/MiniMax-M3", False),
        ("gigachat35", "ai-sage/GigaChat3.5-70B", True),
        ("glm47", "zai-org/GLM-4.7", False),
        ("glm47", "RedHatAI/GLM-5.3-Flash-NVFP4", True),
        ("kimi_k3", "moonshotai/Kimi-K3", False),
        ("kimi_k2", "moonshotai/Kimi-K2-Thinking", False),
        ("apriel", "ServiceNow-AI/Apriel-1.5-15b-Thinker", False),
        ("apriel", "ServiceNow-AI/Apriel-1.6-15b-Thinker", True),
        ("olmo3", "allenai/Olmo-3-7B-Instruct", False),
        ("olmo3", "olmo-3:7b-think", True),
        ("seed_oss", "ByteDance-Seed/Seed-OSS-36B-Instruct", False),
        ("llama3_json", "meta-llama/Llama-3.3-70B-Instruct", False),
        ("openai", "o3-mini", False),
        ("auto", "who-knows", False),
    ],
)
def test_opens_reasoning(family: str, model: str | None, opens: bool) -> None:
    assert opens_reasoning(family, model) is opens
    assert opens_reasoning(get_family(family), model) is opens
