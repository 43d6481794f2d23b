"""What the fuzzer found, as cases to check again: each was once broken.

Theory. A find is shrunk by the fuzzer and pasted here when it is fixed, with a word on what was wrong and without
`cuts`, so that all cuttings are compared again. `tests/test_contracts.py` replays them with all rules. Finds that a
unit test says better belong there and not here.
"""

from __future__ import annotations

from typing import Any, Final

from .case import Case

_NAMED: Final[dict[str, Any]] = {"type": "function", "function": {"name": "deep.tool-1:x"}}

REGRESSIONS: Final[tuple[tuple[str, Case], ...]] = (
    # --- the end of the text ---
    (
        "a marker that the text cuts off",
        Case("auto", "<tool_cal", options={"max_held": 100}, finish_reason="length"),
    ),
    (
        "a role header that the text cuts off, behind a fence line",
        Case(
            "llama3_json",
            "\n```<|start_header_id|>user<|end_heade",
            tools="none",
            options={
                "recovery": "lenient",
                "max_held": 16,
                "prompt": "<|im_start|>assistant\n<think>\n\n</think>\n\n",
            },
        ),
    ),
    ("a backslash as the last character, behind a turn's end", Case("llama3_json", "<|eot_id|>{\\")),
    ("a list of calls that is cut off", Case("llama3_json", "[get_weather(),a")),
    (
        "a value that is too deep in its middle",
        Case("mimo", '<function=set_opts<parameter=opts>{\'\'{""{:[["', options={"max_depth": 5}),
    ),
    (
        "reasoning between sentences, and a tag that closes none",
        Case("granite", "Here's my thought process:aHere is my response:a</think>"),
    ),
    (
        "single quotes with escapes, and what is odd behind them",
        Case(
            "hermes",
            "<tool_call>{'name': 'now', 'arguments': {'a': 'it\\'s \"x\" \\n y', 'b': z, c: 'w}}</tool_call>",
        ),
    ),
    (
        "a Python string with escapes and parentheses, and what is odd behind it",
        Case("pythonic", "[now(a='f(x)) \\n (y)', b=z, c=\"g(\\\\)\")]"),
    ),
    ("a text or a comment, cut within the key behind it", Case("trinity", '<tool_call>{"name""a,:#\n"a":')),
    ("a comment's sign as the last character", Case("hermes", '<tool_call>{"name": "now", "arguments": {#')),
    # --- blanks ---
    (
        "blanks begin a text value",
        Case("qwen3_coder", "<function=a<parameter=a>\n\n#", options={"recovery": "lenient"}),
    ),
    ("blanks begin a value of unknown type", Case("auto", "<function=get_weather<parameter=a>\n\na")),
    (
        "a blank that Python knows and JSON does not",
        Case("mistral", "\ufeff", options={"recovery": "lenient"}),
    ),
    ("nothing but such a blank", Case("auto", "\xa0", options={"max_held": 500})),
    ("nothing but blanks, more than may be held", Case("auto", " " * 18, options={"max_held": 17})),
    ("nothing but newlines, more than may be held", Case("llama3_json", "\n" * 18, options={"max_held": 17})),
    (
        "blanks in a reasoning block that the prompt opened",
        Case(
            "mistral",
            "\n     ",
            options={"starts_in_reasoning": True, "calls_in_reasoning": "text"},
            finish_reason="tool_calls",
        ),
    ),
    (
        "newlines alone, strictly read",
        Case("qwen3_coder", "\n\n", tools="none", options={"recovery": "strict"}),
    ),
    # --- starts that fail ---
    ("a brace on a line of its own, in two channels", Case("qwen3_coder", "<\n{\n>", switches=(4,))),
    ("a closer in place of a key", Case("qwen3_coder", "<tool_call><function=a<parameter=</parameter>")),
    ("an object in place of a name", Case("qwen3_coder", "<function=\n{\n</function>")),
    ("junk and an object in an envelope", Case("auto", "<tool_call>>\n{\n</tool_call>")),
    ("a declared name in prose", Case("llama3_json", "``aaaa(a")),
    ("a parenthesis in a name whose quotes are escaped", Case("minicpm5", '<functionname=a)"')),
    ("a list that holds no call", Case("llama3_json", "[et_wget_weathec]", options={"max_held": 16})),
    ("a forced list that is none", Case("hermes", "[a", options={"tool_choice": "required"})),
    ("a forced call that is none", Case("qwen3_coder", "[a", options={"tool_choice": _NAMED})),
    # --- boundaries of arguments ---
    (
        "members as deep as allowed, and one within",
        Case(
            "minimax_m3",
            ']<]minimax[>[<invoke name="a">]<]minimax[>[<a>]<]minimax[>[<a>]<]minimax[>[<a>',
            options={"max_depth": 2},
        ),
    ),
    ("a literal where parameters stand", Case("auto", "<function=set_opts>NULL\n>")),
    (
        "a number and the end of the turn",
        Case("qwen3_coder", "<function=a>0<|im_start|>tool", options={"recovery": "lenient"}),
    ),
    ("junk behind a string", Case("mistral", '[TOOL_CALLSa[ARGS]{"aaaa"aaaaa]aa')),
    ("a string in single quotes in place of an object", Case("mistral", "[TOOL_CALLSa'{}")),
    ("an array that begins a value", Case("qwen3_coder", "<function=set_opts<parameter=tags>[")),
    ("an object that begins a value", Case("qwen3_coder", "<function=set_opts<parameter=opts>{")),
    (
        "a newline and nearly a closer, behind an object",
        Case("hermes", '{"name": "aaaaa", "args": {}\n</aa', options={"recovery": "lenient"}),
    ),
    (
        "escapes in a call that strict reading leaves to the text",
        Case(
            "hermes",
            'the SELECT * FROM t;\n```tool_code\n<div class="a">&amp;</div><tool_call>\n{"name": "now", '
            '"arguments": {"days": "\\\\/the will | a',
            tools="none",
            options={"recovery": "strict", "max_held": 500, "max_depth": 4},
        ),
    ),
    # --- names ---
    ("a quote in a name, escaped", Case("llama3_json", '{name:"\\""', tools="unknown")),
    # --- fences ---
    (
        "more backticks behind a call than before it",
        Case("mistral", "```\n[TOOL_CALLSa{}````", options={"recovery": "lenient"}),
    ),
    ("the same, of a bare call", Case("auto", '```json\n{name:"get_weather"}````')),
    # --- standing still, depth, blanks ---
    ("a name that is too long, where the answer begins", Case("mistral", "n" * 257)),
    ("the same in a list", Case("llama3_json", "[" + "n" * 257)),
    ("depth of a value that is wrapped", Case("mistral", "[TOOL_CALLS:[ARGS[[[{", options={"max_depth": 4})),
    ("depth of arguments", Case("hermes", '<tool_call>{name:"a"args:[{:{', options={"max_depth": 3})),
    ("a list behind a newline", Case("auto", '\n[{name:"now"')),
    ("an object behind blank lines", Case("auto", "\n\n{{name:a parameters:", tools="unknown")),
    (
        "more blanks behind the turn than may be held",
        Case("hermes", "<|im_end|>                 ]", options={"max_held": 16}),
    ),
    (
        "a blank between two objects, the first of which is none",
        Case("hermes", '<tool_call>{name: {"name""a"}"'),
    ),
    ("a name that is a newline", Case("llama3_json", '<|python_tag|>{name:"\\n"')),
    (
        "a surrogate pair, its halves escaped at two levels",
        Case("auto", '[TOOL_CALLSa{\\"\\":\\"\\udaaa\\\\udcaa'),
    ),
    (
        "a closing fence longer than a decision may look ahead",
        Case("llama3_json", '```\n{name:"a"}' + "`" * 65, options={"recovery": "lenient"}, cuts=(78,)),
    ),
    (
        "the closing quote of arguments, if the object around them is left open",
        Case("auto", '{type:,"function"{"name""get_weather""args"{"":[{"":""}]}}<'),
    ),
    (
        "the place of a mend behind `max_held` characters of a value",
        Case(
            "qwen3_coder",
            "<function=set_opts<parameter=<parameter=tags\n[\n  {\n"
            '    "aaaaa: "aaa  aa | a | a |\\aaa. aaaaaaaaaaa ",\n'
            '    "aaaa": \u2028"\' >\\a\\a",\n    "a": ,\n  aaaaa\na',
            options={"max_held": 100},
            cuts=(46,),
        ),
    ),
    (
        "a comment's sign as the last character, behind a string",
        Case("hermes", '<tool_call>\n{"name": "f", "arguments": {"a": "x", #'),
    ),
    # --- half members ---
    (
        "framing spelled out twice, where it must not lead back before the arguments",
        Case("glm45", '<tool_call>a<arg_key>a<arg_value></arg_value>\\n\\n"'),
    ),
    (
        "the closer of a key twice, and a value behind it",
        Case("glm45", "<tool_call>a<arg_key>a</arg_key></arg_key><arg_value>b</arg_value></tool_call>"),
    ),
    (
        "a key without a value before another",
        Case(
            "glm45",
            "<tool_call>a<arg_key>a</arg_key><arg_key>b</arg_key><arg_value>c</arg_value></tool_call>",
        ),
    ),
    # --- two channels ---
    ("a closer of reasoning in the content's channel", Case("auto", "<a</think>", switches=(1, 2))),
    ("the same behind words", Case("qwen3_coder", "aa</think>", switches=(1, 2))),
)
"""What was wrong, and a case in which it was."""
