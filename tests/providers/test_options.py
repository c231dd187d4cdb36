"""What a caller asks for by name: both vendors' spellings are one value, what is wrong is refused by its
place, and nothing of it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from engine.execution.prompt import Prompt
from engine.providers.base import Egress, Permit, Request
from engine.providers.errors import InvalidRequest
from engine.providers.options import ReasoningWanted, RequestOptions, ResponseFormat, ToolChoice, read_options
from engine.providers.sanitising import sanitise

SECRET = "Zebra17Quagmire82Velvet53"
HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "title": SECRET}

ALIKE: dict[str, tuple[RequestOptions, list[dict[str, Any]]]] = {
    "any tool": (
        RequestOptions(tool_choice=ToolChoice("required")),
        [{"tool_choice": "required"}, {"tool_choice": {"type": "any"}}, {"tool_choice": "any"}],
    ),
    "one tool": (
        RequestOptions(tool_choice=ToolChoice("named", "f")),
        [
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "tool", "name": "f"}},
        ],
    ),
    "one at a time": (
        RequestOptions(tool_choice=ToolChoice("auto"), parallel_tool_calls=False),
        [
            {"tool_choice": "auto", "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ],
    ),
    "a schema": (
        RequestOptions(response_format=ResponseFormat(SCHEMA)),
        [
            {"response_format": {"type": "json_schema", "schema": SCHEMA}},
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "name": "answer"}}},
        ],
    ),
    "a stop": (RequestOptions(stop=("END",)), [{"stop": "END"}, {"stop": ["END"]}]),
    "an effort": (
        RequestOptions(reasoning=ReasoningWanted("high")),
        [{"reasoning": "high"}, {"reasoning": {"effort": "high"}}],
    ),
    "a budget": (
        RequestOptions(reasoning=ReasoningWanted(budget_tokens=2000)),
        [{"reasoning": 2000}, {"reasoning": {"type": "enabled", "budget_tokens": 2000}}],
    ),
    "no reasoning": (
        RequestOptions(reasoning=ReasoningWanted("none")),
        [{"reasoning": "none"}, {"reasoning": {"type": "disabled"}}],
    ),
    "whose it is": (RequestOptions(user="u"), [{"user": "u"}, {"metadata": {"user_id": "u"}}]),
    "kept": (RequestOptions(cache="5m"), [{"cache": True}, {"cache": {"type": "ephemeral"}}]),
    "nothing": (RequestOptions(), [{}, {"stop": None}, {"response_format": {"type": "text"}}]),
}


@pytest.mark.parametrize("case", ALIKE)
def test_spellings_are_one_value(case: str) -> None:
    """OpenAI's and Anthropic's way of saying it are the same request."""
    expected, spellings = ALIKE[case]
    assert [read_options(given) for given in spellings] == [expected] * len(spellings)


WRONG: dict[str, dict[str, Any]] = {
    "tool_choice": {"tool_choice": SECRET},
    "parallel_tool_calls": {"parallel_tool_calls": SECRET},
    "response_format": {"response_format": {"type": SECRET}},
    "stop": {"stop": [SECRET, 3]},
    "top_p": {"top_p": 2},
    "temperature": {"temperature": True},
    "seed": {"seed": SECRET},
    "reasoning": {"reasoning": SECRET},
    "metadata": {"metadata": {SECRET: 3}},
    "user": {"user": 3},
    "cache": {"cache": SECRET},
    "extra is by API": {"extra": {SECRET: {}}},
    "extra.openai.model": {"extra": {"openai": {"model": SECRET}}},
    "extra.openai.n": {"extra": {"openai": {"n": 5}}},
    "extra.ollama.num_ctx": {"extra": {"ollama": {"options": {"num_ctx": 1}}}},
    "system": {"system": 3},
    "tool_choice names": {"tool_choice": {"type": "tool", "name": SECRET}},
}


@pytest.mark.parametrize("place", WRONG)
def test_what_is_wrong_is_refused_by_place(place: str) -> None:
    """Before anything is sent, by the field's name, and without what it holds."""
    with pytest.raises(InvalidRequest) as refused:
        Prompt(HELLO, None, WRONG[place]).check()
    assert refused.value.detail.startswith(place)
    assert SECRET not in f"{refused.value!r} {refused.value}"


def test_a_field_there_is_none_of_is_a_mistake_of_the_program() -> None:
    """A misspelt name is no request."""
    with pytest.raises(TypeError, match="temprature"):
        Prompt(HELLO, None, {"temprature": 1}).check()


EVERYTHING: dict[str, Any] = {
    "system": SECRET,
    "tool_choice": {"type": "tool", "name": SECRET},
    "response_format": {"type": "json_schema", "json_schema": {"name": SECRET, "schema": SCHEMA}},
    "stop": [SECRET],
    "metadata": {SECRET: SECRET},
    "user": SECRET,
    "extra": {"openai": {"x": SECRET}},
}


def test_nothing_is_shown() -> None:
    """No repr of a prompt, its options, its turns or a request holds what a field held."""
    prompt = Prompt(HELLO, [{"name": SECRET, "input_schema": {}}], EVERYTHING)
    prompt.check()
    permit = Permit("there", Egress.LOCAL, "sha256:p")
    request = Request("m", permit, prompt.messages, prompt.tools, options=prompt.options, turns=prompt.turns)
    assert SECRET not in f"{prompt!r} {prompt.options!r} {prompt.turns!r} {request!r}"


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "system"])
def test_a_provider_may_not_tell_a_field(name: str) -> None:
    """What a provider quotes of any field is masked in its message."""
    options = read_options({name: EVERYTHING[name]})
    request = Request("m", Permit("there", Egress.LOCAL, "sha256:p"), HELLO, options=options)
    assert SECRET not in sanitise(f"unexpected value {SECRET} in your request", request, None)
