"""Twelve turns of one conversation with tools over three dialects, every turn answered by a fallback.

Ollama, then Anthropic, then an OpenAI-compatible server, then Anthropic again. Each answers with a call, with
an id of its own kind and with reasoning of its own form; the vendors' types judge what is sent.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import pytest
from pydantic import TypeAdapter

from engine.model_router import ModelRouter
from engine.task_profiles import TaskProfile

from ..providers.dialects import ANTHROPIC, MODEL, OLLAMA, OPENAI, Dialect, errand
from ..providers.wire_server import Answer, Received, WireServer, in_json, wire_server
from .worlds import catalogue, cloud, local, policy_of
from .worlds import model as listed

TURNS = 12
ORDER = ("ollama", "anthropic", "compatible", "anthropic")
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
TYPES = {
    "anthropic": "anthropic.types.message_create_params:MessageCreateParamsNonStreaming",
    "compatible": "openai.types.chat.completion_create_params:CompletionCreateParamsNonStreaming",
}


def who(turn: int) -> str:
    """Whose turn it is to answer."""
    return ORDER[turn % len(ORDER)]


def arguments(turn: int) -> dict[str, Any]:
    """What the call of a turn asks for."""
    return {"city": f"Zürich {turn}", "days": turn}


def answer_of(turn: int) -> Answer:
    """A call of the tool, as the API whose turn it is writes one."""
    match who(turn):
        case "ollama":
            message = {"role": "assistant", "content": "", "thinking": f"thought {turn}"}
            message["tool_calls"] = [{"function": {"name": "look", "arguments": arguments(turn)}}]  # type: ignore[assignment]
            return in_json(json.loads(OLLAMA.whole().body) | {"message": message})
        case "anthropic":
            content = [
                {"type": "thinking", "thinking": f"thought {turn}", "signature": f"c2lnbmF0dXJl{turn}"},
                {"type": "tool_use", "id": f"toolu_{turn}", "name": "look", "input": arguments(turn)},
            ]
            told = {"content": content, "stop_reason": "tool_use"}
            return in_json(json.loads(ANTHROPIC.whole().body) | told)
        case _:
            whole = json.loads(OPENAI.whole().body)
            call = {"name": "look", "arguments": json.dumps(arguments(turn))}
            whole["choices"][0]["message"] = {
                "role": "assistant",
                "content": None,
                "reasoning_content": f"thought {turn}",
                "tool_calls": [{"id": f"call:{turn}/x", "type": "function", "function": call}],
            }
            whole["choices"][0]["finish_reason"] = "tool_calls"
            return in_json(whole)


class Talk:
    """The three servers: one answers in each turn, and the others refuse."""

    def __init__(self) -> None:
        self.turn = 0

    def handler(self, name: str, dialect: Dialect) -> Any:
        """What a server does with a request."""

        def answer(received: Received) -> Answer:
            if received.path != dialect.prompt_path:
                return errand(received)
            refusal = in_json({"error": {"message": "not today"}}, 400)
            return answer_of(self.turn) if who(self.turn) == name else refusal

        return answer


def result_of(turn: int, id: str) -> dict[str, Any]:
    """What the tool gave, in one vendor's form and then in the other's; every third time it failed."""
    told = f"no such place {turn}" if turn % 3 == 2 else f"sunny {turn}"
    failed = turn % 3 == 2
    if turn % 2:
        block = {"type": "tool_result", "tool_use_id": id, "content": told, "is_error": failed}
        return {"role": "user", "content": [block]}
    return {"role": "tool", "tool_call_id": id, "content": told, "is_error": failed}


def calls_and_answers(messages: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """(id, arguments) of each call and (id, text, whether it says that it failed) of each answer."""
    calls: list[Any] = []
    answers: list[Any] = []
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if block["type"] == "tool_use":
                calls.append((block["id"], block["input"]))
            elif block["type"] == "tool_result":
                text, failed = block["content"], block.get("is_error", False)
                answers.append((block["tool_use_id"], text, failed))
        for call in message.get("tool_calls") or ():
            given = call["function"]["arguments"]
            calls.append((call["id"], json.loads(given) if isinstance(given, str) else given))
        if message["role"] == "tool":
            text = str(content)
            answers.append(
                (message["tool_call_id"], text.removeprefix("Error: "), text.startswith("Error: "))
            )
    return calls, answers


def reasoning_of(name: str, messages: list[dict[str, Any]]) -> list[Any]:
    """The reasoning that is sent, in the form of its API."""
    if name == "anthropic":
        blocks = [block for one in messages if isinstance(one["content"], list) for block in one["content"]]
        thoughts = [block for block in blocks if block["type"] == "thinking"]
        return [(thought["thinking"], thought["signature"]) for thought in thoughts]
    key = "thinking" if name == "ollama" else "reasoning_content"
    return [message[key] for message in messages if message.get(key)]


def check_request(name: str, body: dict[str, Any], before: int) -> None:
    """What is sent in a turn with `before` turns behind it is the whole conversation, as the table says."""
    if (told := TYPES.get(name)) is not None:
        module, _, kind = told.partition(":")
        TypeAdapter(getattr(import_module(module), kind)).validate_python(body)
    calls, answers = calls_and_answers(body["messages"])
    assert [given for _, given in calls] == [arguments(turn) for turn in range(before)]
    expected = [
        (f"no such place {turn}" if turn % 3 == 2 else f"sunny {turn}", turn % 3 == 2)
        for turn in range(before)
    ]
    assert [(text, failed) for _, text, failed in answers] == expected
    assert [id for id, _ in calls] == [id for id, _, _ in answers]
    assert len({id for id, _ in calls}) == before
    own = [turn for turn in range(before) if who(turn) == name]
    signed = [(f"thought {turn}", f"c2lnbmF0dXJl{turn}") for turn in own]
    plain = [f"thought {turn}" for turn in own]
    assert reasoning_of(name, body["messages"]) == (signed if name == "anthropic" else plain)


async def test_a_conversation_over_three_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, arguments, answers, failures and reasoning arrive in every turn, and what is left out is said."""
    monkeypatch.setenv("K", "sk-test")
    talk = Talk()
    async with AsyncExitStack() as stack:
        servers: dict[str, WireServer] = {}
        for name, dialect in (("ollama", OLLAMA), ("anthropic", ANTHROPIC), ("compatible", OPENAI)):
            servers[name] = await stack.enter_async_context(wire_server(talk.handler(name, dialect)))
        models = catalogue(
            ollama=local(listed(MODEL), base_url=servers["ollama"].url),
            anthropic=cloud(
                listed("a", price=1.0), api="anthropic", base_url=servers["anthropic"].url, api_key_env="K"
            ),
            compatible=cloud(
                listed("c", price=1.0), base_url=f"{servers['compatible'].url}/v1", api_key_env="K"
            ),
        )
        member = {"ollama": MODEL, "anthropic": "a", "compatible": "c"}
        routes = "".join(
            f'route to-{name}-{first}: use "{member[first]}", then "{member[name]}"'
            f" when task.labels has to-{name}-{first}\n"
            for name in member
            for first in member
            if first != name
        )
        router = await stack.enter_async_context(ModelRouter.of(policy_of(models, routes), dry_run=False))
        messages: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather?"}]
        for turn in range(TURNS):
            talk.turn = turn
            name, first = who(turn), who(turn + 3) if turn else "compatible"
            task = TaskProfile("qa", labels=[f"to-{name}-{first}"])
            result = await router.select_and_invoke(task, messages, 500, TOOLS)
            assert [one["outcome"] for one in result["attempts"]] == ["failed", "answered"]
            assert (result["model"], result["reasoning"]) == (member[name], f"thought {turn}")
            for sent_to in (first, name):
                check_request(sent_to, servers[sent_to].prompts()[-1].json, turn)
            others = {who(before) for before in range(turn)} - {name}
            noted = [note for note in result["attempts"][-1]["notes"] if note.startswith("reasoning in")]
            assert len(noted) == len(others)
            messages.append(result["message"])
            messages.append(result_of(turn, result["tool_calls"][0]["id"]))
