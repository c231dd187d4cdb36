"""`Shadow`: the legacy call stays as it is, whatever the router does; the record has the router's choice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine import ModelRouter, TaskProfile
from engine.bundled import bundled_text
from engine.migration import Shadow

from .fixtures import SECRET, policy_folder, router

CLAUDE = "claude-3-sonnet-20240229"


def answer(model: str = CLAUDE, **usage: Any) -> Any:
    usage = usage or {"input_tokens": 1000, "output_tokens": 200}
    return SimpleNamespace(model=model, usage=SimpleNamespace(**usage), content=SECRET)


@pytest.fixture
def shadow(tmp_path: Path) -> Shadow:
    return Shadow(router(tmp_path / "config"), log=tmp_path / "shadow.jsonl")


HANGS_S = 300  # only what hangs takes longer, on a machine of any speed


def records(shadow: Shadow) -> list[dict[str, Any]]:
    assert shadow.flush(HANGS_S)
    assert shadow.log is not None
    return [json.loads(line) for line in shadow.log.read_text().splitlines()]


def test_a_call_comes_back_as_it_is(shadow: Shadow) -> None:
    """The same object, and one record with the router's choice and saving: 1000 * 3 + 200 * 15
    micro-dollars."""
    given = answer()
    assert shadow.run(TaskProfile("qa", labels=["pii"], key="tenant"), lambda: given) is given
    (record,) = records(shadow)
    Draft202012Validator(json.loads(bundled_text("schemas", "shadow.schema.json"))).validate(record)
    assert record["task.context_size"] == 1200
    assert record["task.bucket"] == TaskProfile("qa", key="tenant").bucket
    assert (record["legacy.model"], record["legacy.cost_usd"]) == (CLAUDE, "0.006000")
    assert (record["router.model"], record["router.locality"]) == ("llama3.1:8b", "local")
    assert record["saved_usd"] == "0.006000"


def test_no_content_and_no_key_is_written(shadow: Shadow) -> None:
    """Neither content, nor the name of the tenant, nor the message of an error."""

    def broken() -> None:
        raise ValueError(SECRET)

    shadow.run(TaskProfile("qa", key="tenant-of-jane"), answer)
    with pytest.raises(ValueError):
        shadow.run(TaskProfile("qa"), broken)
    assert len(records(shadow)) == 2
    assert shadow.log is not None
    written = shadow.log.read_text().lower()
    assert "jane" not in written
    assert shadow.log.stat().st_mode & 0o777 == 0o600


def test_what_the_legacy_call_raises_comes_through(shadow: Shadow) -> None:
    """The very exception; the record says its class."""
    error = KeyError("x")

    def broken() -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        shadow.run(TaskProfile("qa"), broken)
    assert raised.value is error
    (record,) = records(shadow)
    assert (record["legacy.outcome"], record["legacy.error"]) == ("failed", "KeyError")
    assert record["saved_usd"] is None


async def test_an_awaitable_comes_back_awaitable(shadow: Shadow) -> None:
    """Async calls are awaited by the caller; a failure and a cancel come through."""

    async def legacy() -> Any:
        await asyncio.sleep(0)
        return answer()

    async def broken() -> Any:
        raise RuntimeError(SECRET)

    given = await shadow.run(TaskProfile("planning", criticality="high"), legacy)
    assert given.content == SECRET
    with pytest.raises(RuntimeError):
        await shadow.run(TaskProfile("qa"), broken)

    async def endless() -> None:
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(_run(shadow, endless))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    errors = [record["legacy.error"] for record in await asyncio.to_thread(records, shadow)]
    assert errors == [None, "RuntimeError", "CancelledError"]


async def _run(shadow: Shadow, legacy: Callable[[], Any]) -> None:
    await shadow.run(TaskProfile("qa"), legacy)


def test_a_router_that_cannot_be_made_fails_in_the_record_only(tmp_path: Path) -> None:
    """No such folder: the call works, the record says ConfigurationError."""
    shadow = Shadow(lambda: ModelRouter(tmp_path / "nowhere"), log=tmp_path / "s.jsonl")
    assert shadow.run(TaskProfile("qa"), lambda: 7) == 7
    (record,) = records(shadow)
    assert (record["router.outcome"], record["router.error"]) == ("failed", "ConfigurationError")


def test_a_task_the_policy_does_not_know_fails_in_the_record_only(shadow: Shadow) -> None:
    """InvalidTask is the router's own failure."""
    assert shadow.run(TaskProfile("nonsense"), lambda: 7) == 7
    assert records(shadow)[0]["router.error"] == "InvalidTask"


def test_a_refusal_is_recorded(shadow: Shadow) -> None:
    """A task too large for every model."""
    shadow.run(TaskProfile("qa", context_size=900_000), answer)
    (record,) = records(shadow)
    assert (record["router.outcome"], record["saved_usd"]) == ("refused", None)


def test_a_log_that_cannot_be_written_hurts_nobody(tmp_path: Path) -> None:
    """A folder in its place; the call works."""
    (tmp_path / "s.jsonl").mkdir()
    shadow = Shadow(router(tmp_path / "config"), log=tmp_path / "s.jsonl")
    assert shadow.run(TaskProfile("qa"), lambda: 7) == 7
    assert shadow.flush(HANGS_S)


class Hostile:
    """Raises at every touch."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_an_answer_is_not_touched(shadow: Shadow) -> None:
    """No attribute of an answer is computed, only what is there is read."""
    hostile = Hostile()
    assert shadow.run(TaskProfile("qa"), lambda: hostile) is hostile
    assert records(shadow)[0]["legacy.model"] is None


def test_the_caller_does_not_wait_for_the_router(tmp_path: Path) -> None:
    """A router that takes long delays no call."""

    def slow() -> ModelRouter:
        let_go.append(blocked.wait(HANGS_S))
        return router(tmp_path / "config")

    import threading

    blocked, let_go = threading.Event(), list[bool]()
    shadow = Shadow(slow, log=tmp_path / "s.jsonl")
    for _ in range(100):
        shadow.run(TaskProfile("qa"), answer)
    assert not shadow.flush(0.01)
    blocked.set()
    assert len(records(shadow)) == 100
    assert let_go == [True]  # the calls were over before the router was let go, not after its patience


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 10, "output_tokens": 2}, (10, 2)),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 90}, (100, 2)),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": None}, (10, 2)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
            (10, 2),
        ),
        ({"input_tokens": 10, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}, (10, 2)),
        ({"input_tokens": -1, "output_tokens": 2}, (None, None)),
        ({"input_tokens": "10"}, (None, None)),
        ({"total": 3}, (None, None)),
    ],
)
def test_the_counts_of_each_library(
    shadow: Shadow, usage: dict[str, Any], expected: tuple[int | None, int | None]
) -> None:
    """Anthropic counts the cache apart, OpenAI within; odd counts are none."""
    shadow.run(TaskProfile("qa"), lambda: {"model": CLAUDE, "usage": usage})
    (record,) = records(shadow)
    assert (record["tokens.input"], record["tokens.output"]) == expected


def test_prices_of_models_that_the_catalogue_lacks(tmp_path: Path) -> None:
    """`legacy_prices` has them; a model nobody knows is not guessed at."""
    shadow = Shadow(
        router(tmp_path / "config"), log=tmp_path / "s.jsonl", legacy_prices={"gpt-4": ("30", 60)}
    )
    shadow.run(TaskProfile("qa"), lambda: answer("gpt-4"))
    shadow.run(TaskProfile("qa"), lambda: answer("unknown"))
    assert [record["saved_usd"] for record in records(shadow)] == ["0.042000", None]


def test_the_summary_adds_up(shadow: Shadow) -> None:
    """Calls, localities, refusals, and money as decimals."""
    for size in (0, 0, 900_000):
        shadow.run(TaskProfile("qa", context_size=size), answer)
    shadow.run(TaskProfile("nonsense"), answer)
    summary = shadow.summary()
    assert (summary.calls, summary.local, summary.cloud, summary.refused, summary.not_planned) == (
        4,
        2,
        0,
        1,
        1,
    )
    assert (summary.priced, summary.saved_usd) == (2, Decimal("0.012"))
    assert summary.local_share == pytest.approx(2 / 3)


def test_the_log_stands_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless `log` names another file."""
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path / "state"))
    assert (
        Shadow(lambda: ModelRouter(policy_folder(tmp_path / "c"))).log == tmp_path / "state" / "shadow.jsonl"
    )


def test_the_record_is_a_log_that_replay_reads(
    shadow: Shadow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is, without a mapping: facts, time and tokens are found, and every call is decided again."""
    from engine.cli import main

    for kind in ("qa", "planning", "qa"):
        shadow.run(
            TaskProfile(kind, labels=["pii", "secret"] if kind == "planning" else [], key="tenant"), answer
        )
    shadow.run(TaskProfile("qa"), lambda: "no counts, no key")
    records(shadow)
    assert main(["replay", str(shadow.log), "--config", str(tmp_path / "config"), "--format", "json"]) == 0
    assert '"rows": 4' in capsys.readouterr().out
