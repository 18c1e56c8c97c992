# ruff: noqa: E501 - templates are written in long lines
"""How models write calls, and how conversations with calls reach their templates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgecli.ai.engines.chat_template import ChatTemplate, repair
from edgecli.ai.engines.generation import Tool
from edgecli.ai.engines.llama_cpp.tool_formats import GENERIC, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, tool_format
from edgecli.ai.engines.llama_cpp.tool_messages import instructions, prepare_messages, template_tools
from edgecli.errors import UsageError

# The parts of the makers' templates that matter here.
QWEN = """{%- if tools %}<|im_start|>system
# Tools
{%- for tool in tools %}
{{ tool | tojson }}{% endfor %}
For each function call: <tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{%- for tool_call in message.tool_calls %}{% set tool_call = tool_call.function %}
<tool_call>
{"name": "{{ tool_call.name }}", "arguments": {{ tool_call.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
"""
LLAMA_3_2 = """{%- if tools is not none %}
Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.
{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}{% endif %}
{%- for message in messages %}{%- if 'tool_calls' in message %}
{%- if not message.tool_calls|length == 1 %}{{- raise_exception("This model only supports single tool-calls at once!") }}{%- endif %}
{%- set tool_call = message.tool_calls[0].function %}
[assistant] {{ '{"name": "' + tool_call.name + '", "parameters": ' }}{{ tool_call.arguments | tojson }}}
{%- elif message.role == "tool" %}
[ipython] {{ message.content | tojson }}
{%- else %}
[{{ message.role }}] {{ message.content }}{% endif %}{% endfor %}"""
MISTRAL_NEMO = """{%- for message in messages %}{%- if message["role"] == "user" %}
{%- if tools is not none %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}[INST]{{ message["content"] }}[/INST]
{%- elif message.tool_calls is defined and message.tool_calls is not none %}[TOOL_CALLS][
{%- for call in message.tool_calls %}{%- if call.id|length != 9 %}{{- raise_exception("length 9!") }}{%- endif %}
{{- call.function | tojson }}{{ call.id }}{% endfor %}]
{%- elif message["role"] == "tool" %}[TOOL_RESULTS]{{ message.tool_call_id }} {{ message.content }}[/TOOL_RESULTS]{% endif %}{% endfor %}"""
CODER = """{% if tools %}<tool_call><function=example><parameter=x>1</parameter></function></tool_call> "arguments" {% endif %}"""
CHATML = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"

TOOLS = (
    Tool("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}}),
    Tool("now"),
)
CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather and time?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "北京"}'}},
            {"name": "now", "arguments": {}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_a", "content": "sunny"},
    {"role": "tool", "content": "12:00"},
    {"role": "user", "content": "Thanks"},
]


@pytest.mark.parametrize(
    ("source", "form"),
    [
        *((QWEN, HERMES), (LLAMA_3_2, LLAMA), (MISTRAL_NEMO, MISTRAL), (CODER, GENERIC), (CHATML, GENERIC)),
        ("{{ tools }}[TOOL_CALLS]{{ name }}[ARGS]{{ arguments|tojson }}", MISTRAL_NAMED),
        ("{{ tools }}[TOOL_CALLS]{{ name }}[CALL_ID]{{ id }}[ARGS]{{ arguments|tojson }}", GENERIC),
        (None, GENERIC),
    ],
)
def test_templates_tell_how_calls_are_written(source: str | None, form: Any) -> None:
    assert tool_format(source) is form


def test_calls_and_results_are_made_alike() -> None:
    prepared = prepare_messages(HERMES, CONVERSATION, TOOLS, "auto")
    assert prepared[1]["content"] == ""
    assert prepared[1]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": {"city": "北京"}}},
        {"id": "call_1_1", "type": "function", "function": {"name": "now", "arguments": {}}},
    ]
    assert prepared[2:4] == [
        {"role": "tool", "content": "sunny", "tool_call_id": "call_a", "name": "weather"},
        {"role": "tool", "content": "12:00", "tool_call_id": "call_1_1", "name": "now"},
    ]
    assert CONVERSATION[1]["content"] is None  # the caller's own stays as it was


def test_hermes_renders_them() -> None:
    text = (
        ChatTemplate(QWEN)
        .render(prepare_messages(HERMES, CONVERSATION, TOOLS, "auto"), tools=template_tools(HERMES, TOOLS, "auto"))
        .text
    )
    assert '{"type": "function", "function": {"name": "weather", "description": "Tells the weather"' in text
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "北京"}}\n</tool_call>' in text


def test_llama_gets_one_call_at_a_time_with_its_result() -> None:
    prepared = prepare_messages(LLAMA, CONVERSATION, TOOLS, "auto")
    text = ChatTemplate(LLAMA_3_2).render(prepared, tools=template_tools(LLAMA, TOOLS, "auto")).text
    assert text.endswith(
        '[assistant] {"name": "weather", "parameters": {"city": "北京"}}[ipython] "sunny"'
        '[assistant] {"name": "now", "parameters": {}}[ipython] "12:00"[user] Thanks'
    )


def test_mistral_gets_ids_of_nine_letters() -> None:
    prepared = prepare_messages(MISTRAL, CONVERSATION, TOOLS, "auto")
    ids = [call["id"] for call in prepared[1]["tool_calls"]]
    assert all(len(each) == 9 and each.isalnum() for each in ids) and ids[0] != ids[1]
    assert [prepared[2]["tool_call_id"], prepared[3]["tool_call_id"]] == ids
    assert f"[TOOL_RESULTS]{ids[0]} sunny" in ChatTemplate(MISTRAL_NEMO).render(prepared).text


def test_templates_without_tools_get_text() -> None:
    prepared = prepare_messages(GENERIC, CONVERSATION, TOOLS, "auto")
    assert template_tools(GENERIC, TOOLS, "auto") is None
    assert [message["role"] for message in prepared] == ["system", "user", "assistant", "user", "user"]
    assert '{"type": "function", "function": {"name": "now"' in prepared[0]["content"]
    assert prepared[2] == {
        "role": "assistant",
        "content": '<tool_call>\n{"name": "weather", "arguments": {"city": "北京"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    }
    assert prepared[3]["content"] == (
        "<tool_response>\nsunny\n</tool_response>\n<tool_response>\n12:00\n</tool_response>"
    )


def test_instructions_join_the_system_message() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    (system, user) = prepare_messages(GENERIC, messages, TOOLS, "=now")
    assert system["content"].startswith("Be brief.\n\n# Tools\n\n")
    assert system["content"].endswith("Answer with a call of the function now.")
    assert user == messages[1]
    assert prepare_messages(GENERIC, messages, TOOLS, "none") == messages
    assert prepare_messages(GENERIC, messages, (), "auto") == messages
    assert instructions(GENERIC, TOOLS, "required").endswith("Answer with a function call.")
    assert instructions(HERMES, TOOLS, "required") == ""
    assert template_tools(HERMES, TOOLS, "none") is None


@pytest.mark.parametrize(
    "call", [{}, {"name": ""}, {"function": {"arguments": "{}"}}, {"function": "f"}, "f", {"name": 5}]
)
def test_a_call_without_a_name_is_refused(call: Any) -> None:
    with pytest.raises(UsageError, match="'/messages/0/tool_calls/0' are 'name'") as caught:
        prepare_messages(HERMES, [{"role": "assistant", "content": "", "tool_calls": [call]}], TOOLS, "auto")
    assert caught.value.cf_code == 5006


@pytest.mark.parametrize("arguments", ["{", "", "[" * 5000, None, "text"])
def test_arguments_that_are_no_json_do_not_stop_a_conversation(arguments: Any) -> None:
    call = {"name": "now", "arguments": arguments}
    for form in (HERMES, LLAMA, MISTRAL, GENERIC):
        (message,) = prepare_messages(form, [{"role": "assistant", "content": "", "tool_calls": [call]}], (), "auto")
        json.dumps(message)


def test_a_result_without_a_call_passes() -> None:
    (message,) = prepare_messages(HERMES, [{"role": "tool", "content": "x"}], TOOLS, "auto")
    assert message == {"role": "tool", "content": "x", "tool_call_id": "call_0", "name": ""}
    assert prepare_messages(LLAMA, [{"role": "tool", "content": "x"}], TOOLS, "auto") == [message]


def test_a_repaired_conversation_keeps_its_calls() -> None:
    prepared = prepare_messages(HERMES, [{"role": "system", "content": "S"}, *CONVERSATION], TOOLS, "auto")
    assert [message["role"] for message in repair(prepared)] == ["user", "assistant", "tool", "tool", "user"]
