"""Spans and metrics in the GenAI conventions, and the commands that call, look and count."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.budget import BudgetExceeded, Limits
from engine.cli import main as engine
from engine.execution.telemetry import OpenTelemetry, Telemetry, open_telemetry
from engine.providers.errors import Overloaded
from engine.providers.scripted import Fault
from engine.task_profiles import TaskProfile

from ..providers.dialects import MODEL, OLLAMA, TEXT, errand
from ..providers.wire_server import Answer, Received, wire_server
from .test_conducts import Virtually
from .worlds import HELLO, TASK, asked, catalogue, local, model, policy_of, world


class _Span:
    """A span that remembers."""

    def __init__(self, name: str, told: list[Any], parent: Any) -> None:
        self.name, self.parent, self.attributes = name, parent, dict[str, Any]()
        self.ended = 0
        told.append(self)

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, name: str, value: Any) -> None:
        self.attributes[name] = value

    def set_attributes(self, values: dict[str, Any]) -> None:
        self.attributes |= values

    def end(self) -> None:
        self.ended += 1


def _api(spans: list[Any], metrics: list[Any]) -> OpenTelemetry:
    """The two API modules, as an SDK would fill them."""

    def histogram(name: str, **_: Any) -> Any:
        return SimpleNamespace(record=lambda value, about: metrics.append((name, value, about)))

    tracer = SimpleNamespace(start_span=lambda name, context=None, kind=None: _Span(name, spans, context))
    trace: Any = SimpleNamespace(
        get_tracer=lambda _: tracer,
        set_span_in_context=lambda span: span,
        SpanKind=SimpleNamespace(CLIENT="client"),
    )
    return OpenTelemetry(
        trace, SimpleNamespace(get_meter=lambda _: SimpleNamespace(create_histogram=histogram))
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_request_is_one_span_with_one_below_it_for_each_attempt(
    streamed: bool, virtually: Virtually
) -> None:
    """Names and attributes of the conventions, ended once each, no content."""
    from dataclasses import replace

    spans: list[Any] = []
    metrics: list[Any] = []

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Overloaded(status=529))]})
        place.router._shared = replace(place.router._shared, telemetry=_api(spans, metrics))
        await asked(place, streamed=streamed, messages=[{"role": "user", "content": "a secret"}])

    virtually(main)
    route, failed, answered = spans
    assert [span.ended for span in spans] == [1, 1, 1]
    assert (route.name, failed.name, answered.name) == ("route", "chat east-1", "chat east-1")
    assert failed.parent is route
    assert failed.attributes["error.type"] == "overloaded"
    assert answered.attributes["gen_ai.provider.name"] == "east"
    assert answered.attributes["gen_ai.usage.output_tokens"] > 0
    assert answered.attributes["gen_ai.request.max_tokens"] == 1000
    assert route.attributes["engine.mode"] == "balanced"
    assert {name for name, _, _ in metrics} >= {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
    }
    assert "secret" not in repr([span.attributes for span in spans]) + repr(metrics)


def test_a_span_names_session_agent_group_and_the_full_account(virtually: Virtually) -> None:
    """Session and agent by keyed hashes; a refusal for want of money by its account."""
    from dataclasses import replace

    spans: list[Any] = []
    policies = "routing: {default_mode: balanced}\ngroups: [lab]\n"
    limits = Limits(session_usd=Decimal("0.0001"))
    task = TaskProfile("qa", session="Zanzibar", agent="Quetzal", group="lab")

    async def main(folder: Path) -> None:
        place = world(
            folder, policy=policy_of(routes="route paid: use cloud\n", policies=policies), limits=limits
        )
        place.router._shared = replace(place.router._shared, telemetry=_api(spans, []))
        with pytest.raises(BudgetExceeded):
            await asked(place, streamed=False, task=task)

    virtually(main)
    told = spans[0].attributes
    assert told["engine.group"] == "lab"
    assert told["engine.budget.account"] == f"session/{told['engine.session.key']}"
    assert len(told["engine.agent.key"]) == 32
    assert not any(word in repr(told) for word in ("Zanzibar", "Quetzal"))


def test_without_the_api_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is missed."""
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    assert type(open_telemetry()) is Telemetry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy folder for one local model; the address is put in by `serving`."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "policies.yaml").write_text("budgets: {daily: {total_usd: 10}}\n")
    return tmp_path / "p"


async def _serving(folder: Path, work: Callable[[], Any]) -> Any:
    """Run `work`, which has a loop of its own, beside an Ollama on loopback."""
    import asyncio

    def answer(received: Received) -> Answer:
        if received.path != OLLAMA.prompt_path:
            return errand(received)
        return OLLAMA.streamed() if received.json["stream"] else OLLAMA.whole()

    async with wire_server(answer) as server:
        there = local(model(MODEL), base_url=server.url, discover=True)
        (folder / "models.yaml").write_text(catalogue(ollama=there))
        return await asyncio.to_thread(work)


@pytest.mark.parametrize("more", [[], ["--stream"]], ids=["whole", "streamed"])
async def test_invoke_prints_the_answer_and_nothing_else(
    more: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer on standard output, the account on standard error."""
    words = ["invoke", "say hello", "type=qa", "--config", str(folder), *more]
    assert await _serving(folder, lambda: engine(words)) == 0
    out, err = capsys.readouterr()
    assert out == f"{TEXT}\n"
    assert f"{MODEL} (ollama), 10 tokens in, 5 out, $0" in err


async def test_usage_health_and_models_after_a_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One call is seen by all of them; the books verify; the export has its row."""

    def work() -> list[int]:
        config = ["--config", str(folder)]
        codes = [engine(["invoke", "hello", "type=qa", *config])]
        capsys.readouterr()
        codes += [
            engine([*words, *config]) for words in (["usage", "--format", "json"], ["usage", "--verify"])
        ]
        codes += [engine(["usage", *config]), engine(["usage", "--export", "jsonl", *config])]
        codes += [engine(["health", "--format", "json", *config]), engine(["models", "--live", *config])]
        return codes

    assert await _serving(folder, work) == [0] * 7
    out = capsys.readouterr().out
    usage, rest = json.JSONDecoder().raw_decode(out)[0], out
    assert (usage["calls"], usage["local_share"], usage["daily_cost"]) == (1, 1.0, 0.0)
    assert "all is right" in rest
    assert "daily" in rest
    assert '"provider": "ollama"' in rest
    assert '"status": "up"' in rest
    assert "warm" in rest


def test_a_refusal_exits_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the explanation on standard error."""
    (folder / "models.yaml").write_text(catalogue(ollama=local(model(MODEL, context=100))))
    assert engine(["invoke", "hello", "type=qa", "--config", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "context-window" in err


def test_facts_of_the_machine_cannot_be_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real call takes budgets, health and clock from this machine."""
    (folder / "models.yaml").write_text(catalogue(ollama=local(model(MODEL))))
    assert engine(["invoke", "hello", "type=qa", "clock.hour=3", "--config", str(folder)]) == 2
    assert "clock.hour cannot be given here" in capsys.readouterr().err


def test_an_env_file_is_read_on_request_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And never overrides what the environment says."""
    (folder / "models.yaml").write_text(catalogue(ollama=local(model(MODEL))))
    (tmp_path / ".env").write_text(
        "# ours\nexport DRY_RUN_MODE='true'\nMODEL_ROUTING_MODE=performance # fast\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_ROUTING_MODE", "local-only")
    monkeypatch.setenv("DRY_RUN_MODE", "")  # so that what was there is put back at the end
    monkeypatch.delenv("DRY_RUN_MODE")
    words = ["invoke", "hello", "type=qa", "--config", str(folder)]
    assert engine([*words, "--env-file", ".env"]) == 0
    assert capsys.readouterr().out.startswith("dry run:")
    assert os.environ["MODEL_ROUTING_MODE"] == "local-only"
    monkeypatch.delenv("DRY_RUN_MODE")
    (tmp_path / ".env").write_text("no such line\n")
    assert engine([*words, "--env-file", ".env"]) == 2
    assert "write NAME=VALUE" in capsys.readouterr().err


def test_log_level(monkeypatch: pytest.MonkeyPatch, virtually: Virtually) -> None:
    """LOG_LEVEL=DEBUG tells of every attempt; a level that does not exist is said."""
    import logging

    from engine.environment import InvalidEnvironment

    before = logging.getLogger("engine").level
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    async def wrong(folder: Path) -> None:
        with pytest.raises(InvalidEnvironment, match="LOG_LEVEL is one of"):
            world(folder)

    virtually(wrong)
    monkeypatch.setenv("LOG_LEVEL", "debug")

    async def right(folder: Path) -> None:
        place = world(folder)
        await place.router.select_and_invoke(TASK, HELLO)
        assert logging.getLogger("engine").level == logging.DEBUG

    virtually(right)
    logging.getLogger("engine").setLevel(before)
