"""Real templates on the conversations they take, and on those they refuse."""

from __future__ import annotations

import pytest
from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, MISTRAL_INSTRUCT_CHAT_TEMPLATE

from edgecli.ai.engines.chat_template import ChatTemplate, repair
from edgecli.errors import EngineError, UsageError

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "你好"}
ASSISTANT = {"role": "assistant", "content": "您好！"}


def test_chatml_takes_a_system_message_as_it_is() -> None:
    assert ChatTemplate(CHATML_CHAT_TEMPLATE).render([SYSTEM, USER]).text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n"
    )


def test_mistral_gets_the_system_message_in_the_first_turn() -> None:
    template = ChatTemplate(MISTRAL_INSTRUCT_CHAT_TEMPLATE, bos="<s>", eos="</s>")
    rendered = template.render([SYSTEM, USER, ASSISTANT, USER, USER])
    assert rendered.text == "<s>[INST] Be brief.\n\n你好 [/INST]您好！</s> [INST] 你好\n\n你好 [/INST]"
    assert rendered.warning is not None and "roles must alternate" in rendered.warning


def test_mistral_takes_its_own_form_without_a_warning() -> None:
    template = ChatTemplate(MISTRAL_INSTRUCT_CHAT_TEMPLATE, bos="<s>", eos="</s>")
    rendered = template.render([USER, ASSISTANT, USER])
    assert rendered.text.startswith("<s>[INST] 你好 [/INST]您好！</s>") and rendered.warning is None


def test_what_cannot_be_repaired_is_a_usage_error() -> None:
    template = ChatTemplate(MISTRAL_INSTRUCT_CHAT_TEMPLATE, bos="<s>", eos="</s>")
    with pytest.raises(UsageError, match="roles must alternate") as caught:
        template.render([ASSISTANT, USER])
    assert (caught.value.status, caught.value.cf_code) == (400, 5006)


def test_repair_loses_no_text() -> None:
    late = {"role": "system", "content": "And polite."}
    assert repair([SYSTEM, USER, USER, ASSISTANT, ASSISTANT, late]) == [
        {"role": "user", "content": "Be brief.\n\nAnd polite.\n\n你好\n\n你好"},
        {"role": "assistant", "content": "您好！\n\n您好！"},
    ]
    assert repair([SYSTEM]) == [{"role": "user", "content": "Be brief."}]


def test_base_models_continue_the_text() -> None:
    assert ChatTemplate(None).render([USER]).text == "你好\n\n"


def test_names_that_templates_expect() -> None:
    source = "{{ strftime_now('%Y')|length }}{{ ['<é>']|tojson }}{% for m in messages %}{% break %}x{% endfor %}"
    assert ChatTemplate(source).render([USER]).text == '4["<é>"]'


def test_tools_reach_templates_that_know_some() -> None:
    source = "{% if tools is not none %}{{ tools[0].function.name }} {% endif %}{{ messages[0].content }}"
    tool = {"type": "function", "function": {"name": "weather"}}
    assert ChatTemplate(source).render([USER], tools=[tool]).text == "weather 你好"
    assert ChatTemplate(source).render([USER]).text == "你好"


def test_marks_for_training_change_nothing() -> None:
    source = "{% for m in messages %}<{%- generation -%} {{ m.content }} {%- endgeneration -%} >{% endfor %}"
    assert ChatTemplate(source).render([USER]).text == "<你好>"


def test_repair_leaves_calls_and_their_results_apart() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    result = {"role": "tool", "content": "1", "tool_call_id": "a"}
    assert repair([USER, call, call, result, result]) == [USER, call, call, result, result]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ messages.pop() }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ 1 // 0 }}",
    ],
)
def test_templates_are_not_trusted(source: str) -> None:
    with pytest.raises(UsageError):
        ChatTemplate(source).render([USER])


@pytest.mark.parametrize(
    "source",
    ["{% for i in 'a' %}" * 30 + "{% endfor %}" * 30, "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "{{ 1|nothing }}"],
)
def test_templates_that_python_cannot_read(source: str) -> None:
    with pytest.raises(EngineError, match="not valid Jinja"):
        ChatTemplate(source)


def test_json_as_the_template_wants_it() -> None:
    source = "{{ messages[0]|tojson(separators=(',', ':'), sort_keys=true) }}"
    assert ChatTemplate(source).render([USER]).text == '{"content":"你好","role":"user"}'


def test_a_template_that_is_no_jinja() -> None:
    with pytest.raises(EngineError, match="line 2"):
        ChatTemplate("ok\n{% if %}")
