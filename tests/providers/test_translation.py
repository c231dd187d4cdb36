"""One shape in, one shape out: messages, tools, tool calls, tool answers, images, reasoning and counts,
both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.providers.base import Egress
from engine.providers.errors import InvalidRequest, Unfit
from engine.providers.options import RequestOptions
from engine.providers.reply import Chunk, Reply, Usage, collect

from .dialects import ANTHROPIC, DIALECTS, MODEL, OLLAMA, OPENAI, Dialect, asked, openai_events
from .wire_server import Answer, in_events, in_json, in_lines, wire_server

PIXEL = "iVBORw0KGgoAAAANSUhEUg=="
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Where is "},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {"type": "text", "text": "this?"},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
            },
            {"id": "c2", "type": "function", "function": {"name": "now", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}]},
    {"role": "assistant", "content": "Zürich, sunny."},
    {"role": "user", "content": "Thanks."},
]


async def _sent(dialect: Dialect, egress: Egress = Egress.LOCAL, **more: Any) -> Any:
    """The body that goes out for a request."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url, egress)
        await provider.complete(asked(provider.target, **more))
        await provider.aclose()
    return served.prompts()[0].json


async def test_to_openai() -> None:
    """OpenAI's dialect gets the messages as they are, developer as system, text parts joined where no
    image is."""
    sent = await _sent(
        OPENAI, messages=TALK, tools=TOOLS, max_tokens=77, options=RequestOptions(temperature=0.5)
    )
    assert sent["messages"][:2] == [
        {"role": "system", "content": "Be brief."}, {"role": "system", "content": "And kind."},
    ]  # fmt: skip
    assert sent["messages"][2:5] == TALK[2:5]
    assert sent["messages"][5] == {"role": "tool", "content": "noon", "tool_call_id": "c2"}
    assert sent["messages"][6:] == TALK[6:]
    assert sent["tools"][0] == TOOLS[0]
    assert (sent["max_tokens"], sent["temperature"]) == (77, 0.5)
    assert "store" not in sent


async def test_to_anthropic() -> None:
    """Anthropic gets one system text, tool calls as blocks with objects, and the answers to one turn in
    one message."""
    sent = await _sent(ANTHROPIC, messages=TALK, tools=TOOLS, max_tokens=30000)
    assert (sent["system"], sent["max_tokens"]) == ("Be brief.\n\nAnd kind.", 30000)
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is "},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "text", "text": "this?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Zürich"}},
                {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "noon"},
            ],
        },
        {"role": "assistant", "content": "Zürich, sunny."},
        {"role": "user", "content": "Thanks."},
    ]
    assert sent["tools"][0]["input_schema"] == TOOLS[0]["function"]["parameters"]  # type: ignore[index]
    assert sent["tools"][1] == {"name": "now", "input_schema": {"type": "object"}}
    assert (await _sent(ANTHROPIC))["max_tokens"] == 4096


async def test_to_ollama() -> None:
    """Ollama gets images beside the text, arguments as objects, and the name of the tool that answered."""
    sent = await _sent(
        OLLAMA, messages=TALK, tools=TOOLS, max_tokens=77, options=RequestOptions(temperature=0.0)
    )
    assert sent["messages"][2] == {"role": "user", "content": "Where is this?", "images": [PIXEL]}
    assert sent["messages"][3]["tool_calls"] == [
        {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Zürich"}}},
        {"id": "c2", "function": {"name": "now", "arguments": {}}},
    ]
    assert sent["messages"][5] == {
        "role": "tool",
        "content": "noon",
        "tool_call_id": "c2",
        "tool_name": "now",
    }
    assert sent["tools"][0] == TOOLS[0]
    assert sent["options"] == {"num_ctx": 4096, "num_predict": 77, "temperature": 0.0}


async def test_openai_itself_gets_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor gets `max_completion_tokens` and is told not to store; every other server gets
    `max_tokens`."""
    monkeypatch.setattr("engine.providers.openai.OpenAIProvider.vendor_host", "127.0.0.1")
    sent = await _sent(OPENAI, Egress.CLOUD, max_tokens=9)
    assert (sent["max_completion_tokens"], sent["store"]) == (9, False)
    assert "max_tokens" not in sent


@pytest.mark.parametrize("name", ["anthropic", "openai"])
async def test_images_by_url_go_to_a_cloud(name: str) -> None:
    """A cloud provider is handed an image's URL to fetch."""
    url = "https://pictures.example/cat.png"
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    assert url in json.dumps(await _sent(DIALECTS[name], Egress.CLOUD, messages=messages))


async def _answered(dialect: Dialect, whole: Answer, streamed: Answer) -> tuple[Reply, Reply, list[Chunk]]:
    async with wire_server(dialect.handler(whole, streamed)) as served:
        provider = dialect.at(served.url)
        reply = await provider.complete(asked(provider.target, tools=TOOLS))
        chunks = [chunk async for chunk in provider.stream(asked(provider.target, tools=TOOLS))]
        await provider.aclose()
    assert chunks[-1].reply is not None
    return reply, chunks[-1].reply, chunks


def _openai_tools() -> tuple[Answer, Answer]:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}},
        {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = {
        "id": "x", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage,
        "choices": [
            {
                "index": 0, "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant", "content": None, "tool_calls": calls, "reasoning_content": "hm",
                },
            }
        ],
    }  # fmt: skip

    def delta(piece: dict[str, Any], finish: str | None = None) -> tuple[None, dict[str, Any]]:
        choice = {"index": 0, "delta": piece, "finish_reason": finish}
        return None, {
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice],
        }  # fmt: skip

    def call(index: int, **more: Any) -> tuple[None, dict[str, Any]]:
        return delta({"tool_calls": [{"index": index, **more}]})

    streamed = [
        delta({"role": "assistant", "content": None, "reasoning_content": "hm"}),
        call(0, id="c1", type="function", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"city": '}),
        call(1, id="c2", type="function", function={"name": "now", "arguments": "{}"}),
        call(0, function={"arguments": '"Zürich"}'}),
        delta({}, "tool_calls"),
        (None, delta({})[1] | {"choices": [], "usage": usage}),
        (None, "[DONE]"),
    ]
    return in_json(whole), in_events(list(streamed))


def _anthropic_tools() -> tuple[Answer, Answer]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "m", "type": "message", "role": "assistant", "model": MODEL, "stop_sequence": None}
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
    ]
    whole = message | {"content": blocks, "stop_reason": "tool_use", "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message | {"content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": blocks[1] | {"input": {}}},
        {
            "type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": ""},
        },
        {
            "type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"city'},
        },
        {
            "type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '": "Zürich"}'},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": blocks[2]},
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]  # fmt: skip
    return in_json(whole), in_events([(event["type"], event) for event in events])


def _ollama_tools() -> tuple[Answer, Answer]:
    calls = [
        {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Zürich"}}},
        {"id": "c2", "function": {"index": 1, "name": "now", "arguments": {}}},
    ]
    end = {"model": MODEL, "done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": 5}

    def line(**message: Any) -> dict[str, Any]:
        return {"model": MODEL, "message": {"role": "assistant", "content": "", **message}, "done": False}

    lines: list[object] = [
        line(thinking="hm"), line(tool_calls=calls[:1]), line(tool_calls=calls[1:]), line() | end,
    ]  # fmt: skip
    return in_json(line(thinking="hm", tool_calls=calls) | end), in_lines(lines)


TOOL_ANSWERS = {"openai": _openai_tools, "anthropic": _anthropic_tools, "ollama": _ollama_tools}


async def test_tool_calls_come_back_in_one_shape(dialect: Dialect) -> None:
    """Whole or streamed, in pieces or not: the same list of id, function, name and arguments as JSON text."""
    whole, streamed, chunks = await _answered(dialect, *TOOL_ANSWERS[dialect.name]())
    for reply in (whole, streamed):
        assert [(call["id"], call["type"], call["function"]["name"]) for call in reply.tool_calls] == [
            ("c1", "function", "weather"),
            ("c2", "function", "now"),
        ]
        assert [json.loads(call["function"]["arguments"]) for call in reply.tool_calls] == [
            {"city": "Zürich"},
            {},
        ]
        assert (reply.finish_reason, reply.content, reply.reasoning) == ("tool_calls", "", "hm")
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (10, 5)
    assert tuple(chunk.tool_call for chunk in chunks if chunk.tool_call) == streamed.tool_calls


@pytest.mark.parametrize(
    "numbered",
    [
        [(0, "c1"), (0, None), (1, "c2"), (1, None)],
        [(0, "c1"), (0, None), (0, "c2"), (0, None)],
        [(None, "c1"), (None, None), (None, "c2"), (None, None)],
        [(0, "c1"), (0, "c1"), (1, "c2"), (1, "c2")],
        [(0, "c1"), (1, "c2"), (0, None), (1, None)],
    ],
)
async def test_pieces_of_tool_calls_find_each_other(numbered: list[tuple[int | None, str | None]]) -> None:
    """However a server numbers the pieces of its tool calls, they come together by number and id."""

    def chunk(index: int | None, id: str | None) -> tuple[None, dict[str, Any]]:
        function = {
            "name": f"f{id[1]}" if id and id not in seen else None,
            "arguments": "{" if id not in seen and id else "}",
        }
        seen.add(id)
        call = {"index": index, "id": id, "type": "function", "function": function}
        choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
        return None, {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [choice],
        }

    seen: set[str | None] = set()
    events = openai_events((), finish="length")
    told = [*events[:1], *(chunk(*number) for number in numbered), *events[1:]]
    async with wire_server(OPENAI.handler(streamed=in_events(told))) as served:
        provider = OPENAI.at(served.url)
        reply = await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls
    ] == [
        ("c1", "f1", "{}"),
        ("c2", "f2", "{}"),
    ]
    assert reply.finish_reason == "length", "calls that were cut by their length are not complete"


async def test_an_answer_goes_back_as_it_came(dialect: Dialect) -> None:
    """The tool calls of a reply are accepted as the next request's history, by every dialect."""
    reply = (await _answered(dialect, *TOOL_ANSWERS[dialect.name]()))[0]
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": reply.content, "tool_calls": list(reply.tool_calls)},
        *({"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in reply.tool_calls),
    ]
    for other in DIALECTS.values():
        assert (await _sent(other, messages=messages))["messages"]


@pytest.mark.parametrize(
    ("dialect_name", "told", "expected"),
    [
        ("openai", None, Usage()),
        ("openai", {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}, Usage(7)),
        (
            "openai",
            {
                "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
            Usage(100, 20, 60, 10, 15),
        ),
        ("anthropic", {"input_tokens": 7, "output_tokens": 3}, Usage(7, 3)),
        (
            "anthropic",
            {
                "input_tokens": 30, "output_tokens": 20, "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 10, "output_tokens_details": {"thinking_tokens": 15},
            },
            Usage(100, 20, 60, 10, 15),
        ),
        ("anthropic", {"input_tokens": 0, "output_tokens": 0}, Usage()),
        ("ollama", {}, Usage()),
        ("ollama", {"prompt_eval_count": 9, "eval_count": 4}, Usage(9, 4)),
        ("ollama", {"prompt_eval_count": -1, "eval_count": 10**30}, Usage()),
        ("ollama", {"prompt_eval_count": "9", "eval_count": True}, Usage()),
        ("openai", {"prompt_tokens": 10**30, "completion_tokens": -4, "total_tokens": 0}, Usage()),
    ],
)  # fmt: skip
async def test_counts(dialect_name: str, told: dict[str, Any] | None, expected: Usage) -> None:
    """Input is the whole prompt, cache included; what is not told is None, and so is zero beside content."""
    dialect = DIALECTS[dialect_name]
    body = json.loads(dialect.whole().body)
    if dialect is OLLAMA:
        body = {key: value for key, value in body.items() if not key.endswith("eval_count")} | (told or {})
    else:
        body["usage"] = told
    async with wire_server(dialect.handler(in_json(body))) as served:
        provider = dialect.at(served.url)
        assert (await provider.complete(asked(provider.target))).usage == expected
        await provider.aclose()


@pytest.mark.parametrize(
    ("dialect_name", "said", "finish"),
    [
        ("openai", "stop", "stop"), ("openai", "length", "length"), ("openai", "function_call", "tool_calls"),
        ("openai", "brand_new", "other"),
        ("anthropic", "end_turn", "stop"), ("anthropic", "stop_sequence", "stop"),
        ("anthropic", "max_tokens", "length"), ("anthropic", "model_context_window_exceeded", "length"),
        ("anthropic", "pause_turn", "other"),
        ("ollama", "stop", "stop"), ("ollama", "length", "length"), ("ollama", "load", "other"),
    ],
)  # fmt: skip
async def test_finish_reasons(dialect_name: str, said: str, finish: str) -> None:
    """Every vendor's word for the end becomes one of four."""
    dialect = DIALECTS[dialect_name]
    own = {"openai": b'"stop"', "anthropic": b'"end_turn"', "ollama": b'"stop"'}[dialect_name]

    def changed(answer: Answer) -> Answer:
        return Answer(200, answer.body.replace(own, f'"{said}"'.encode()), answer.headers, answer.framing)

    async with wire_server(dialect.handler(changed(dialect.whole()), changed(dialect.streamed()))) as served:
        provider = dialect.at(served.url)
        whole = await provider.complete(asked(provider.target))
        streamed = await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert (whole.finish_reason, streamed.finish_reason) == (finish, finish)


async def test_a_temperature_that_is_not_taken_is_said() -> None:
    """Anthropic's API takes no temperature: it is not sent, and the reply says so."""
    async with wire_server(ANTHROPIC.handler()) as served:
        provider = ANTHROPIC.at(served.url)
        reply = await provider.complete(asked(provider.target, options=RequestOptions(temperature=0.2)))
        plain = await provider.complete(asked(provider.target))
        await provider.aclose()
    assert "temperature" not in served.prompts()[0].json
    assert (len(reply.notes), len(plain.notes)) == (1, 0)


BAD: list[list[Any]] = [
    [],
    ["hello"],
    [{"content": "x"}],
    [{"role": "function", "content": "x"}],
    [{"role": "user", "content": 5}],
    [{"role": "user", "content": ["x"]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/html,x"}}]}],
    [{"role": "tool", "content": "x"}],
    [
        {
            "role": "assistant",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        }
    ],
    [
        {
            "role": "system",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        }
    ],
    [{"role": "assistant", "tool_calls": "x"}],
    [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": 3}}]}],
    [{"role": "user", "content": "x", "attachments": ["y"]}],
    [{"role": "user", "content": [{"type": "text", "text": "x", "colour": "red"}]}],
]


@pytest.mark.parametrize("messages", BAD, ids=str)
async def test_what_cannot_be_carried_is_refused(dialect: Dialect, messages: list[Any]) -> None:
    """A message nobody could translate is INVALID, by its place, before anything is sent; nothing is
    dropped."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        with pytest.raises(InvalidRequest) as refused:
            await provider.complete(asked(provider.target, messages=messages))
        await provider.aclose()
    assert not refused.value.dispatched
    assert "messages" in refused.value.detail
    assert not served.prompts()


@pytest.mark.parametrize(
    "tools", [["x"], [{"type": "web_search"}], [{"type": "function"}], [{"type": "function", "function": {}}]]
)
async def test_a_tool_that_is_none_is_refused(dialect: Dialect, tools: list[Any]) -> None:
    """A tool that is no function is INVALID: tools are never dropped."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        with pytest.raises(InvalidRequest, match=r"tools\[0\]"):
            await provider.complete(asked(provider.target, tools=tools))
        await provider.aclose()
    assert not served.prompts()


@pytest.mark.parametrize("name", ["anthropic", "ollama"])
async def test_arguments_that_are_no_object_are_refused(name: str) -> None:
    """A history whose tool call has arguments that are not a JSON object is UNFIT where objects are
    needed."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1"}}
    messages = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    async with wire_server(DIALECTS[name].handler()) as served:
        provider = DIALECTS[name].at(served.url)
        with pytest.raises(Unfit, match="JSON object"):
            await provider.complete(asked(provider.target, messages=messages))
        await provider.aclose()
    assert not served.prompts()
