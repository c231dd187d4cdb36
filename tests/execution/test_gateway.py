"""The router over an independent gateway in mock mode, in both dialects: real SDKs, real HTTP, somebody
else's server.

The gateway is LiteLLM's proxy, which cannot share an environment with the SDKs used here:
ENGINE_TEST_GATEWAY_PYTHON names an interpreter that has `litellm[proxy]`. Without it these tests are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.budget.usage import ExportRow, export_rows, verify
from engine.execution.errors import ChainExhausted
from engine.model_router import ModelRouter
from engine.providers.errors import StreamInterrupted
from engine.task_profiles import TaskProfile

from .worlds import HELLO, catalogue, cloud, model, policy_of

PYTHON = os.environ.get("ENGINE_TEST_GATEWAY_PYTHON")
pytestmark = [
    pytest.mark.realserver,
    pytest.mark.skipif(
        PYTHON is None, reason="ENGINE_TEST_GATEWAY_PYTHON names no interpreter with litellm[proxy]"
    ),
]

TASK = TaskProfile("qa")
KEY = "sk-local-test"
PRICE = 7  # dollars per million tokens, both ways: a token is exactly this many micro-dollars
MODELS = {
    "mock": "Hello",
    "throttled": "litellm.RateLimitError",
    "broken": "litellm.InternalServerError",
}
CONFIGURATION = "\n".join(
    [
        "model_list:",
        *(
            f"  - {{model_name: {name}, litellm_params: {{model: openai/gpt-4.1, api_key: x, "
            f"mock_response: '{answer}'}}}}"
            for name, answer in MODELS.items()
        ),
        f"general_settings: {{master_key: {KEY}}}",
        "router_settings: {num_retries: 0, disable_cooldowns: true}",
    ]
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway that answers, refuses and breaks by the name of the model."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "config.yaml").write_text(CONFIGURATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert PYTHON is not None
    command = [
        str(Path(PYTHON).with_name("litellm")),
        "--config",
        "config.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quiet = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            assert server.poll() is None, "the gateway did not start"
            try:
                if client.get(f"{url}/health/liveliness", timeout=2).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.2)
    pytest.fail("the gateway did not answer within two minutes")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's key; and the SDKs, which take seconds to load, are there."""
    import anthropic  # noqa: F401
    import openai  # noqa: F401

    monkeypatch.setenv("K", KEY)


def _router(gateway: str, names: tuple[str, ...], api: str = "openai") -> ModelRouter:
    models = [model(name, price=PRICE) for name in names]
    url = f"{gateway}/v1" if api == "openai" else gateway
    provider = cloud(*models, api=api, base_url=url, api_key_env="K")
    routes = f"route r: use {', then '.join(names)}\n"
    return ModelRouter.of(policy_of(catalogue(gateway=provider), routes), dry_run=False)


def _rows(router: ModelRouter) -> list[ExportRow]:
    assert verify(router.ledger).findings == ()
    return [row for row in export_rows(router.ledger) if row.kind == "attempt"]


async def _asked(router: ModelRouter, *, streamed: bool) -> dict[str, Any]:
    if not streamed:
        return await router.select_and_invoke(TASK, HELLO, max_tokens=100)
    result: dict[str, Any] = {}
    async for piece in router.stream(TASK, HELLO, max_tokens=100):
        result = piece["result"] or result
    return result


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_openai_dialect_is_answered_and_charged_as_reported(gateway: str, streamed: bool) -> None:
    """Content, finish and charge come from what the gateway said."""
    async with _router(gateway, ("mock",)) as router:
        result = await _asked(router, streamed=streamed)
        (row,) = _rows(router)
    usage = result["usage"]
    assert (result["content"], result["finish_reason"], row.state) == ("Hello", "stop", "settled")
    assert row.charge_micro_usd == PRICE * (usage["input_tokens"] + usage["output_tokens"]) > 0


async def test_the_anthropic_dialect_is_answered_and_charged_as_reported(gateway: str) -> None:
    """The mock reports more tokens than the request could have had: the whole of it is booked, never a
    part."""
    async with _router(gateway, ("mock",), api="anthropic") as router:
        result = await _asked(router, streamed=False)
        (row,) = _rows(router)
    usage = result["usage"]
    assert (result["content"], result["finish_reason"]) == ("Hello", "stop")
    assert (
        row.charge_micro_usd
        == PRICE * (usage["input_tokens"] + usage["output_tokens"])
        > row.reserved_micro_usd
    )


async def test_what_is_no_stream_is_no_answer(gateway: str) -> None:
    """Asked for a stream in the Anthropic dialect the mock sends plain JSON: that is never taken for an
    answer."""
    async with _router(gateway, ("mock",), api="anthropic") as router:
        with pytest.raises((ChainExhausted, StreamInterrupted)):
            await _asked(router, streamed=True)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_next_member_answers_for_one_that_fails(gateway: str, streamed: bool) -> None:
    """A throttled model and a broken one are passed over, each with a row of its own that cost nothing."""
    async with _router(gateway, ("throttled", "broken", "mock")) as router:
        result = await _asked(router, streamed=streamed)
        rows = _rows(router)
    assert (result["content"], result["model"]) == ("Hello", "mock")
    assert {row.model for row in rows} == {"throttled", "broken", "mock"}
    assert {row.model for row in rows if row.charge_micro_usd} == {"mock"}
