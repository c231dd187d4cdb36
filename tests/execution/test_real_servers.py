"""The router end to end over a real llama.cpp server: real SDKs, real HTTP, real token counts, real overflow
and queueing.

The same server is spoken to as an OpenAI-compatible local provider, and in the Anthropic dialect as what this
test calls a cloud, with prices, so that what is charged comes from usage that no test wrote.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.budget.usage import ExportRow, export_rows, verify
from engine.bundled import bundled_text
from engine.execution import decision_log
from engine.execution.errors import ChainExhausted
from engine.model_router import ModelRouter
from engine.task_profiles import TaskProfile

from ..providers.llama_cpp import CONTEXT, HELLO_TOKENS, NAME, llama_server
from .worlds import HELLO, catalogue, cloud, local, model, policy_of

pytestmark = pytest.mark.realserver

TASK = TaskProfile("qa")
MOST = 12
# Dollars per million tokens, both ways: a token is exactly this many micro-dollars.
PRICE = 7
VALIDATOR = Draft202012Validator(json.loads(bundled_text("schemas", "decision-log.schema.json")))
WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server."""
    with llama_server(tmp_path_factory.mktemp("model")) as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the cloud on loopback; and the SDKs, which take seconds to load, are there."""
    import anthropic  # noqa: F401
    import openai  # noqa: F401

    monkeypatch.setenv("K", "sk-test")


@pytest.fixture
def dead() -> Iterator[str]:
    """An address on this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def _llama(url: str, **more: Any) -> dict[str, Any]:
    return local(model(NAME, context=CONTEXT), api="openai", base_url=f"{url}/v1", **more)


def _priced(url: str, *, context: int = CONTEXT) -> dict[str, Any]:
    listed = model("priced", context=context, price=PRICE)
    return cloud(listed, api="anthropic", base_url=url, api_key_env="K")


def _router(routes: str, **providers: dict[str, Any]) -> ModelRouter:
    return ModelRouter.of(policy_of(catalogue(**providers), routes), dry_run=False)


async def _asked(
    router: ModelRouter, *, streamed: bool, messages: list[dict[str, str]] = HELLO
) -> dict[str, Any]:
    """The result, whole or streamed; a stream shows exactly what its result says."""
    if not streamed:
        return await router.select_and_invoke(TASK, messages, max_tokens=MOST, temperature=0)
    shown: list[str] = []
    result: dict[str, Any] = {}
    async for piece in router.stream(TASK, messages, max_tokens=MOST, temperature=0):
        shown.append(piece["content"])
        result = piece["result"] or result
    assert result["content"] == "".join(shown)
    return result


def _rows(router: ModelRouter) -> list[ExportRow]:
    return [row for row in export_rows(router.ledger) if row.kind == "attempt"]


def _lines(state: Path) -> list[dict[str, Any]]:
    """The decision log, every line of it valid and none moved."""
    records = list(decision_log.read_records(state / decision_log.FILE_NAME))
    assert decision_log.verify(state) == []
    for record in records:
        VALIDATOR.validate(record)
    return [record for record in records if isinstance(record, dict)]


@WAYS
async def test_a_local_answer_is_counted_and_written_down(
    server: str, streamed: bool, tmp_path: Path
) -> None:
    """The server's own counts are in the result, in the ledger's row and in the decision's line; and it cost
    nothing."""
    async with _router(f'route r: use "{NAME}"\n', llama=_llama(server)) as router:
        result = await _asked(router, streamed=streamed)
        output = result["usage"]["output_tokens"]
        assert (result["provider"], result["model"], result["cost_usd"]) == ("llama", NAME, 0)
        assert result["usage"]["input_tokens"] == HELLO_TOKENS
        assert 1 <= output <= MOST
        assert result["finish_reason"] == ("length" if output == MOST else "stop")
        assert len(result["content"]) <= output
        (row,) = _rows(router)
        assert (row.state, row.basis, row.served, row.local) == ("settled", "measured", True, True)
        counted = (row.input_tokens + row.cached_input_tokens, row.output_tokens, row.charge_micro_usd)
        assert counted == (HELLO_TOKENS, output, 0)
        assert verify(router.ledger).findings == ()
    (line,) = _lines(tmp_path / "state")
    assert (line["decision_id"], line["outcome"]) == (result["decision_id"], "answered")
    (attempt,) = line["attempts"]
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (HELLO_TOKENS, output)
    assert result["content"] not in json.dumps(line) or len(result["content"]) < 8


async def test_it_says_the_same_whole_and_streamed(server: str) -> None:
    """At temperature zero both ways are one answer."""
    async with _router(f'route r: use "{NAME}"\n', llama=_llama(server)) as router:
        whole, streamed = [await _asked(router, streamed=way) for way in (False, True)]
    told = ("content", "finish_reason", "model", "provider", "tool_calls")
    assert [whole[name] for name in told] == [streamed[name] for name in told]
    assert whole["usage"]["output_tokens"] == streamed["usage"]["output_tokens"]


async def test_a_charge_is_settled_from_real_usage(server: str, tmp_path: Path) -> None:
    """In the Anthropic dialect and at a price: what the server counted times the price, to the
    micro-dollar."""
    async with _router('route r: use "priced"\n', far=_priced(server)) as router:
        result = await _asked(router, streamed=False)
        tokens = result["usage"]["input_tokens"] + result["usage"]["output_tokens"]
        assert result["usage"]["input_tokens"] == HELLO_TOKENS
        (row,) = _rows(router)
        assert (row.state, row.basis, row.charge_micro_usd) == ("settled", "measured", PRICE * tokens)
        assert result["cost_usd"] == Decimal(PRICE * tokens).scaleb(-6)
        assert row.reserved_micro_usd >= PRICE * (HELLO_TOKENS + MOST)
        assert verify(router.ledger).findings == ()
        usage = router.get_usage_summary()
    assert result["cost_usd"] == Decimal(str(usage["daily"]["spent_usd"]))
    (line,) = _lines(tmp_path / "state")
    assert line["charge_micro_usd"] == PRICE * tokens


async def test_a_priced_stream_never_charges_less_than_was_counted(server: str) -> None:
    """Its Anthropic stream leaves the input count out when the first token is half a character; then the
    reservation is charged."""
    async with _router('route r: use "priced"\n', far=_priced(server)) as router:
        result = await _asked(router, streamed=True)
        (row,) = _rows(router)
    counted = PRICE * (HELLO_TOKENS + result["usage"]["output_tokens"])
    assert counted <= row.charge_micro_usd <= row.reserved_micro_usd
    if row.basis == "measured":
        assert row.charge_micro_usd == counted


@WAYS
async def test_a_dead_local_port_is_passed_over(server: str, dead: str, streamed: bool) -> None:
    """Nobody listens at the first: the second answers, the first attempt is released, nothing is charged for
    it."""
    providers = {
        "gone": local(model("absent"), api="openai", base_url=f"{dead}/v1"),
        "llama": _llama(server),
    }
    async with _router(f'route r: use "absent", then "{NAME}"\n', **providers) as router:
        result = await _asked(router, streamed=streamed)
        rows = _rows(router)
    assert result["provider"] == "llama"
    assert [attempt["outcome"] for attempt in result["attempts"]][-1] == "answered"
    assert {attempt["error_class"] for attempt in result["attempts"][:-1]} == {"unreachable"}
    assert [row.state for row in rows][-1] == "settled"
    assert {row.state for row in rows[:-1]} == {"released"}


LONG = [{"role": "user", "content": "x" * (2 * CONTEXT)}]


@WAYS
async def test_what_overflows_goes_to_a_larger_window_only(server: str, streamed: bool) -> None:
    """The server says the prompt is too long: an equal window is not asked, a larger one is; its refusal
    costs nothing."""
    providers = {
        "llama": _llama(server),
        "twin": local(model("alike", context=CONTEXT), api="openai", base_url=f"{server}/v1"),
        "far": _priced(server, context=100_000),
    }
    async with _router(f'route r: use "{NAME}", then "alike", then "priced"\n', **providers) as router:
        with pytest.raises(ChainExhausted) as failed:
            await _asked(router, streamed=streamed, messages=LONG)
        rows = _rows(router)
    # The larger window is a claim of this catalogue; the server behind it is the same, and says no again.
    assert [(attempt["provider"], attempt["outcome"]) for attempt in failed.value.attempts] == [
        ("llama", "failed"),
        ("twin", "skipped"),
        ("far", "failed"),
    ]
    assert {attempt["error_class"] for attempt in failed.value.attempts} == {"overflow", None}
    assert [(row.provider, row.state, row.charge_micro_usd) for row in rows] == [
        ("llama", "released", 0),
        ("far", "released", 0),
    ]


@pytest.mark.parametrize("places", [1, None], ids=["one place here", "the server's own queue"])
async def test_one_slot_answers_everybody_in_turn(server: str, places: int | None) -> None:
    """Six at once, at a server that does one at a time: every one is answered, alike, and written down."""
    more = {} if places is None else {"max_concurrent": places}
    async with _router(f'route r: use "{NAME}"\n', llama=_llama(server, **more)) as router:
        results = await asyncio.gather(*(_asked(router, streamed=bool(number % 2)) for number in range(6)))
        rows = _rows(router)
    assert len({result["content"] for result in results}) == 1
    assert [result["usage"]["input_tokens"] for result in results] == [HELLO_TOKENS] * 6
    assert [row.state for row in rows] == ["settled"] * 6
    assert {row.decision_id for row in rows} == {result["decision_id"] for result in results}


async def test_it_is_healthy_and_found(server: str, dead: str) -> None:
    """The real server is up and lists its model; the dead port is down, and neither raises."""
    gone = local(model("absent"), api="openai", base_url=f"{dead}/v1")
    async with _router(f'route r: use "{NAME}"\n', llama=_llama(server), gone=gone) as router:
        health = await router.health_check()
    assert {name: told["status"] for name, told in health.items()} == {"llama": "up", "gone": "down"}
    assert NAME in health["llama"]["models"]
