"""Local-only means local: random policies, chains, faults and retries, and nothing ever reaches a cloud
target.

The volume runs over scripted providers, a smaller number over real HTTP, real SDKs and a canary server, all
of it under the socket audit.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from engine.budget import Limits
from engine.errors import EngineError
from engine.model_router import ModelRouter, NoEligibleModel
from engine.providers.base import Egress, Request, Target
from engine.providers.conduct import ErrorClass
from engine.providers.errors import BY_CLASS
from engine.providers.scripted import Act, Answer, Break, Fault, ScriptedProvider
from engine.task_profiles import TaskProfile

from ..providers.dialects import OLLAMA, OPENAI, errand
from ..providers.socket_audit import Audit
from ..providers.wire_server import Answer as WireAnswer
from ..providers.wire_server import Received, WireServer, in_json, wire_server
from .test_conducts import Virtually
from .worlds import catalogue, cloud, local, model, policy_of, world

WORLDS, REQUESTS = 100, 200
SELECTORS = (
    "any",
    "cloud",
    "local",
    "cloud or local",
    "model.price > 0.5",
    "model.tools is yes",
    "cloud-a",
    '"c1"',
    "l1",
)
CONDITIONS = (
    "task.criticality >= high",
    "task.latency_sensitivity is high",
    "task.labels has urgent",
    "provider.down is not empty",
    "task.context_size > 2k",
    "budget.daily.used >= 50%",
)


def _random_policy(chance: random.Random) -> Any:
    """Two or three local and cloud providers, and rules that ask for the cloud wherever they can."""
    locals_ = [model(f"l{n}", context=chance.choice([4_000, 8_000, 50_000])) for n in range(1, 4)]
    clouds = [model(f"c{n}", price=float(chance.choice([1, 3, 30]))) for n in range(1, 4)]
    models = catalogue(
        house=local(*locals_[:2]),
        shed=local(*locals_[2:]),
        cloud_a=cloud(*clouds[:2]),
        cloud_b=cloud(*clouds[2:]),
    )
    rules = []
    for number in range(chance.randrange(1, 5)):
        tiers = ", then ".join(chance.sample(SELECTORS, chance.randrange(1, 4)))
        when = f" when {chance.choice(CONDITIONS)}" if chance.random() < 0.7 else ""
        rules.append(f"route r{number}: use {tiers}{when}")
    for number in range(chance.randrange(3)):
        rules.append(f"prefer p{number}: cloud by 90 when {chance.choice(CONDITIONS)}")
    return policy_of(models, "\n".join(rules) + "\n", "routing: {default_mode: local-only}\n")


def _random_act(chance: random.Random) -> Act:
    match chance.randrange(5):
        case 0 | 1:
            return Answer("fine " * chance.randrange(1, 5))
        case 2:
            return Break(("so ", "far"), chance.choice(list(BY_CLASS.values()))())
        case _:
            kinds = [made for kind, made in BY_CLASS.items() if kind is not ErrorClass.LEAK]
            return Fault(chance.choice(kinds)(retry_after_s=chance.choice([None, 0.5, 20.0, 900.0])))


@pytest.mark.parametrize("part", range(4))
def test_20_000_random_requests_reach_no_cloud(part: int, virtually: Virtually, socket_audit: Audit) -> None:
    """Whatever the rules ask for and whatever fails: no cloud adapter is even made, and every permit is for a
    local target."""

    async def main(folder: Path) -> None:
        done = 0
        for number in range(WORLDS // 4):
            chance = random.Random(part * 1_000 + number)
            scripts = dict.fromkeys(("house", "shed"), lambda _, chance=chance: _random_act(chance))
            place = world(
                folder / str(number), scripts, policy=_random_policy(chance), limits=Limits(daily_usd=1)
            )
            for _ in range(REQUESTS):
                task = TaskProfile(
                    "qa",
                    criticality=chance.choice(["low", "medium", "high", "critical"]),
                    latency_sensitivity=chance.choice(["low", "medium", "high"]),
                    budget_sensitivity=chance.choice(["low", "high"]),
                    labels=chance.choice([[], ["urgent"]]),
                )
                await _one(place.router, task, chance)
                await asyncio.sleep(chance.choice([0.0, 1.0, 40.0]))
                done += 1
            assert set(place.providers) <= {"house", "shed"}
            for provider in place.providers.values():
                assert all(request.permit.egress is Egress.LOCAL for request in provider.calls)
        assert done == WORLDS * REQUESTS // 4

    virtually(main)
    assert socket_audit.outside == []


async def _one(router: ModelRouter, task: TaskProfile, chance: random.Random) -> None:
    messages = [{"role": "user", "content": "x" * chance.choice([5, 500, 20_000])}]
    try:
        if chance.random() < 0.5:
            result = await router.select_and_invoke(task, messages, max_tokens=chance.choice([10, 1000]))
            assert result["provider"] in ("house", "shed")
        else:
            async for _ in router.stream(task, messages):
                if chance.random() < 0.05:
                    break
    except EngineError:
        return


def test_local_down_is_a_refusal(virtually: Virtually) -> None:
    """Mode local-only with the local server gone: a typed refusal that says so, no cloud adapter made."""
    from engine.execution.errors import ChainExhausted
    from engine.providers.errors import Unreachable

    async def main(folder: Path) -> None:
        place = world(folder, otherwise=Fault(Unreachable(dispatched=False)), mode="local-only")
        seen: list[type[Exception]] = []
        for _ in range(8):
            try:
                await place.router.select_and_invoke(TaskProfile("qa"), [{"role": "user", "content": "x"}])
            except (ChainExhausted, NoEligibleModel) as error:
                seen.append(type(error))
        assert seen[0] is ChainExhausted
        assert seen[-1] is NoEligibleModel
        assert set(place.providers) == {"ollama"}

    virtually(main)


def _faulty(chance: random.Random, dialect: Any) -> Any:
    def answer(received: Received) -> WireAnswer:
        if received.path != dialect.prompt_path:
            return errand(received)
        good: WireAnswer = dialect.streamed() if received.json.get("stream") else dialect.whole()
        match chance.randrange(7):
            case 0 | 1:
                return good
            case 2:
                return in_json({"error": {"message": "no", "type": "overloaded_error"}}, 529)
            case 3:
                return in_json({"error": "busy"}, 503, headers={"retry-after": "0"})
            case 4:
                return in_json(
                    {"error": {"message": "broken"}}, chance.choice([400, 401, 404, 429, 500, 502])
                )
            case 5:
                return WireAnswer(307, b"", {"location": "http://127.0.0.1:1/elsewhere"})
            case _:
                from dataclasses import replace

                return replace(
                    good, cut=chance.randrange(len(good.body)), after=chance.choice(["close", "reset"])
                )

    return answer


async def test_over_real_http_no_byte_reaches_a_canary(
    tmp_path: Path, socket_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two local dialects over real sockets and the real SDK, faults of every kind, proxies and vendor
    variables poisoned: the cloud's own server, which listens all the while, is never connected to."""
    chance = random.Random(23)
    async with AsyncExitStack() as stack:
        servers: dict[str, WireServer] = {}
        for name, handler in (
            ("ollama", _faulty(chance, OLLAMA)),
            ("llama", _faulty(chance, OPENAI)),
            ("canary", lambda _: in_json({})),
        ):
            servers[name] = await stack.enter_async_context(wire_server(handler))
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, servers["canary"].url)
        for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OLLAMA_HOST"):
            monkeypatch.setenv(variable, servers["canary"].url)
        monkeypatch.setenv("CLOUD_KEY", "sk-not-to-be-sent")
        from ..providers.dialects import MODEL

        models = catalogue(
            ollama=local(model(MODEL), base_url=servers["ollama"].url),
            llama=local(model("m"), api="openai", base_url=servers["llama"].url + "/v1"),
            far=cloud(
                model("c1", price=1.0), base_url=servers["canary"].url + "/v1", api_key_env="CLOUD_KEY"
            ),
        )
        policy = policy_of(models, "route r: use cloud, then any\n", "routing: {default_mode: local-only}\n")
        async with ModelRouter.of(policy, dry_run=False) as router:
            answered = 0
            for number in range(150):
                router._shared.tracker._providers.clear()
                router._shared.tracker._models.clear()
                router._shared.tracker._memory._cannot.clear()
                router._shared.tracker._closed_until.clear()
                router._runtime_facts.forget()
                messages = [{"role": "user", "content": f"canary prompt {number}"}]
                try:
                    if number % 2:
                        await router.select_and_invoke(TaskProfile("qa"), messages, deadline_s=5)
                    else:
                        async for _ in router.stream(TaskProfile("qa"), messages, deadline_s=5):
                            pass
                    answered += 1
                except EngineError:
                    continue
            await router.health_check()
        assert answered > 20
        prompts = servers["canary"].prompts()
        assert prompts == []
        assert b"canary prompt" not in bytes(servers["canary"].raw)
        assert socket_audit.outside == []


async def test_a_reload_between_check_and_send_does_not_loosen_a_request(tmp_path: Path) -> None:
    """A request keeps the policy it began with: a cloud policy loaded while it walks its chain opens nothing
    to it."""
    folder = tmp_path / "policy"
    folder.mkdir()
    models = catalogue(house=local(model("l1"), model("l2")), far=cloud(model("c1", price=1.0)))
    (folder / "models.yaml").write_text(models)
    (folder / "main.route").write_text("route r: use any\n")
    (folder / "policies.yaml").write_text("routing: {default_mode: local-only}\n")
    made: list[tuple[str, ScriptedProvider]] = []
    routers: list[ModelRouter] = []

    def act(request: Request) -> Act:
        # The first call's failure is answered by somebody who loosens the folder and reloads it.
        if len(made[0][1].calls) > 1:
            return Answer("fine")
        (folder / "policies.yaml").write_text("routing: {default_mode: performance}\n")
        assert routers[0].reload().error is None
        return Fault(BY_CLASS[ErrorClass.UNKNOWN]())

    def make(target: Target) -> ScriptedProvider:
        provider = ScriptedProvider(target, act if not made else ())
        made.append((target.name, provider))
        return provider

    async with ModelRouter(folder, providers=make, dry_run=False) as router:
        routers.append(router)
        result = await router.select_and_invoke(TaskProfile("qa"), [{"role": "user", "content": "x"}])
        assert result["provider"] == "house"
        assert router.plan(TaskProfile("qa")).model.provider_name == "far"
        digests = {request.permit.policy_digest for _, provider in made for request in provider.calls}
        assert len(digests) == 1
        assert [name for name, _ in made] == ["house"]
