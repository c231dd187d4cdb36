"""What a session's earlier calls mean for its next one, and what a call leaves behind, over the router."""

from __future__ import annotations

import asyncio
import json
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.budget import Attempt, BudgetExceeded, LedgerUnavailable, Limits, Rates, TokenPrices
from engine.budget.sessions import SessionBook, SessionName
from engine.model_router import ModelRouter, NoEligibleModel
from engine.policy import Policy
from engine.providers.base import Request, Target
from engine.providers.errors import InvalidRequest
from engine.providers.scripted import Answer, ScriptedProvider
from engine.task_profiles import InvalidTask, TaskProfile

from .test_conducts import Virtually
from .worlds import HELLO, World, asked, catalogue, cloud, local, model, policy_of, world

MODELS = catalogue(ollama=local(model("small")), east=cloud({**model("east-1", price=1), "cache_ttl_s": 300}))
POLICIES = """\
routing: {default_mode: balanced}
labels: [pii, code, secret]
groups: [lab]
sessions: {labels_stay: [pii]}
budgets: {session: {total_usd: 0.01}, agent: {total_usd: 0.005}, groups: {lab: {daily_usd: 0.02}}}
"""
ROUTES = """\
language 1.1
forbid pii-at-home: cloud when task.labels has pii
route cloud-first: use cloud, then local
"""
LIMITS = Limits(
    session_usd=Decimal("0.01"), agent_usd=Decimal("0.005"), per_group_daily={"lab": Decimal("0.02")}
)


LONG = {"east": lambda _: Answer("y" * 4_000)}
"""About a tenth of a cent in all."""


def staying(**more: Any) -> Policy:
    return policy_of(MODELS, ROUTES, POLICIES, **more)


def task(session: str | None = "s-1", *labels: str, **more: Any) -> TaskProfile:
    return TaskProfile("qa", labels=labels, session=session, **more)


async def served(place: World, who: TaskProfile, **more: Any) -> str:
    """Who answered."""
    return str((await asked(place, streamed=False, task=who, **more))["model"])


# -- labels


def test_a_label_binds_all_later_calls(virtually: Virtually) -> None:
    """The guard that a team has already covers the session, and no other one."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        assert await served(place, task()) == "east-1"
        assert await served(place, task("s-1", "pii")) == "small"
        assert await served(place, task()) == "small"
        assert await served(place, task("s-2")) == "east-1"
        assert await served(place, task(None)) == "east-1"

    virtually(main)


def test_a_label_that_does_not_stay_binds_its_own_call(virtually: Virtually) -> None:
    """And is still among the session's labels."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        await served(place, task("s-1", "code"))
        explanation = place.router.plan(task()).explanation
        assert explanation.facts.session_labels == frozenset({"code"})
        assert explanation.facts.labels == frozenset()

    virtually(main)


def test_the_explanation_says_where_a_label_came_from(virtually: Virtually) -> None:
    """Which call of the session, and when."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        await served(place, task("s-1", "pii"))
        told = {name: source for name, _, source in place.router.plan(task()).explanation.stated_facts}
        assert re.fullmatch(
            r"task; pii stays since 2030-01-15 12:\d\d:\d\d UTC \(decision-1\)", told["task.labels"]
        )

    virtually(main)


def test_a_label_is_on_disk_before_the_first_byte_leaves(virtually: Virtually) -> None:
    """What is killed after its first byte has left its label behind."""
    seen: list[frozenset[str]] = []

    async def main(folder: Path) -> None:
        def look(request: Request) -> Answer:
            record = SessionBook(place.ledger).read(SessionName("s-1"), None, LIMITS)
            seen.append(frozenset(record.labels))
            return Answer("well")

        place = world(folder, {"ollama": look}, policy=staying())
        await served(place, task("s-1", "pii"))

    virtually(main)
    assert seen == [frozenset({"pii"})]


def test_messages_and_tools_bring_labels(virtually: Virtually) -> None:
    """They bind the call that carries them, and stay; a provider is not sent them."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        marked = [{"role": "user", "content": "hello", "labels": ["pii"]}]
        assert await served(place, task(), messages=marked) == "small"
        assert await served(place, task()) == "small"

    virtually(main)


def test_a_wrong_label_of_a_message_is_refused_by_place(virtually: Virtually) -> None:
    """By place, or by name."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        with pytest.raises(InvalidRequest, match=r"messages\[0\].labels is not a list of names"):
            await served(place, task(), messages=[{**HELLO[0], "labels": "pii"}])
        with pytest.raises(InvalidTask, match="pi"):
            await served(place, task(), messages=[{**HELLO[0], "labels": ["pi"]}])

    virtually(main)


def test_a_session_is_labelled_by_its_name(virtually: Virtually) -> None:
    """Before its first call too; a label that the policy does not know is an error."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        place.router.label_session("s-1", ["pii"])
        assert await served(place, task()) == "small"
        with pytest.raises(InvalidTask):
            place.router.label_session("s-1", ["personal"])

    virtually(main)


def test_labels_outlive_the_router(virtually: Virtually) -> None:
    """Another process, another router: the same session."""

    async def main(folder: Path) -> None:
        await served(world(folder, policy=staying()), task("s-1", "pii"))
        assert await served(world(folder, policy=staying()), task()) == "small"

    virtually(main)


def test_all_labels_can_stay(virtually: Virtually) -> None:
    """`labels_stay: all`."""

    async def main(folder: Path) -> None:
        routes = ROUTES.replace("task.labels has pii", "task.labels has secret")
        policies = POLICIES.replace("[pii]}", "all}")
        place = world(folder, policy=policy_of(MODELS, routes, policies))
        await served(place, task("s-1", "secret"))
        assert await served(place, task()) == "small"

    virtually(main)


# -- a ledger that cannot be read


class Broken:
    """A ledger's store that fails while `is_broken`."""

    def __init__(self, store: Any) -> None:
        self._store, self.is_broken = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, work: Any) -> Any:
        self._refuse()
        return self._store.read(work)

    def write(self, work: Any, **more: Any) -> Any:
        self._refuse()
        return self._store.write(work, **more)

    def _refuse(self) -> None:
        if self.is_broken:
            raise LedgerUnavailable("the disk is gone")


def test_an_unreadable_session_has_every_label_that_stays(virtually: Virtually) -> None:
    """A local model answers, and the explanation says why no other."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        place.ledger._store = broken = Broken(place.ledger.store)
        broken.is_broken = True
        explanation = place.router.plan(task()).explanation
        assert [one.id for one in explanation.chain] == ["small"]
        told = {name: source for name, _, source in explanation.stated_facts}
        assert told["task.labels"].startswith("counted as there, because the disk is gone")
        assert await served(place, task()) == "small"

    virtually(main)


def test_a_new_label_that_cannot_be_written_is_refused(virtually: Virtually) -> None:
    """Or a later call would not know of it; without a session the call goes on."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        place.ledger._store = broken = Broken(place.ledger.store)
        await served(place, task())
        broken.is_broken = True
        with pytest.raises(LedgerUnavailable, match=r"the session's labels \(pii\) cannot be written down"):
            await served(place, task("s-1", "pii"))
        await asyncio.sleep(5)
        assert await served(place, task(None, "pii")) == "small"

    virtually(main)


# -- money


def test_a_session_has_a_budget(virtually: Virtually) -> None:
    """The refusal names the account that is full; the guard of the engine keeps later calls at home."""

    async def main(folder: Path) -> None:
        routes = "language 1.1\nroute cloud-only: use cloud\n"
        place = world(folder, LONG, policy=policy_of(MODELS, routes, POLICIES), limits=LIMITS)
        refused: list[str] = []
        for _ in range(30):
            try:
                await served(place, task(), max_tokens=1_000)
            except (BudgetExceeded, NoEligibleModel) as error:
                refused.append(str(error))
        assert refused
        assert "session/" in refused[0]
        row = SessionBook(place.ledger).read(SessionName("s-1"), None, LIMITS).accounts[0]
        assert row.spent_micro_usd + row.held_micro_usd <= 10_000
        assert await served(place, task("s-2")) == "east-1"

    virtually(main)


def test_a_spent_session_goes_on_at_home(virtually: Virtually) -> None:
    """The engine's guard `session-spent`, said in the explanation with the account."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying(), limits=LIMITS)
        owner = SessionBook(place.ledger).read(SessionName("s-1"), None, LIMITS).owner
        prices = TokenPrices(Rates.from_usd(1, 1))
        whole = Attempt("a", "d", "east", "east-1", False, 10_000, prices, 60, owner=owner)
        place.ledger.forfeit(place.ledger.reserve(whole), "broken off")
        assert await served(place, task()) == "small"
        explanation = place.router.plan(task()).explanation
        assert explanation.facts.session_used >= 100
        told = {name: source for name, _, source in explanation.stated_facts}
        assert told["session.used"].startswith("ledger, account session/")

    virtually(main)


def test_agents_share_the_money_of_who_started_them(virtually: Virtually) -> None:
    """Children that are within their own limit spend their parent's."""

    async def main(folder: Path) -> None:
        routes = "language 1.1\nroute cloud-only: use cloud\n"
        place = world(folder, LONG, policy=policy_of(MODELS, routes, POLICIES), limits=LIMITS)
        await served(place, task(agent="root"), max_tokens=1_000)
        ends: list[str] = []
        for number in range(12):
            who = task(agent=f"child-{number}", parent_agent="root")
            try:
                ends.append(await served(place, who, max_tokens=1_000))
            except (BudgetExceeded, NoEligibleModel) as error:
                ends.append(str(error))
        assert any("budget agent/" in end for end in ends)

    virtually(main)


def test_a_group_spends_its_own(virtually: Virtually) -> None:
    """Without a session too."""

    async def main(folder: Path) -> None:
        routes = "language 1.1\nroute cloud-only: use cloud\n"
        place = world(folder, LONG, policy=policy_of(MODELS, routes, POLICIES), limits=LIMITS)
        ends: list[str] = []
        for _ in range(40):
            try:
                ends.append(await served(place, task(None, group="lab"), max_tokens=1_000))
            except (BudgetExceeded, NoEligibleModel) as error:
                ends.append(str(error))
        assert any("group/lab/daily" in end for end in ends)
        assert await served(place, task(None)) == "east-1"

    virtually(main)


# -- warm caches


def test_who_answered_is_warm_for_its_cache_s_life(virtually: Virtually) -> None:
    """In this session alone."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=staying())
        await served(place, task())
        await asyncio.sleep(1)

        def warm(session: str) -> frozenset[str]:
            return place.router.plan(task(session)).explanation.facts.session_warm

        assert warm("s-1") == frozenset({"east-1"})
        assert warm("s-2") == frozenset()
        await asyncio.sleep(300)
        assert warm("s-1") == frozenset()

    virtually(main)


# -- what is written down


def test_the_decision_log_holds_a_keyed_hash(tmp_path: Path) -> None:
    """And neither the session's name nor the agent's, wherever one looks."""
    policy = staying()

    def make(target: Target) -> ScriptedProvider:
        return ScriptedProvider(target)

    with ModelRouter.of(policy, providers=make, dry_run=False) as router:
        who = task("Zanzibar", agent="Quetzal", parent_agent="Xylophone")
        router.invoke(who, HELLO)
        key = SessionBook(router.ledger).key_of("Zanzibar")
    state = tmp_path / "state"
    line = json.loads((state / "decisions.jsonl").read_text().splitlines()[0])
    assert line["session"]["key"] == key
    assert len(line["session"]["agents"]) == 2
    for path in state.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert not any(word in held for word in (b"Zanzibar", b"Quetzal", b"Xylophone")), path
    assert "Zanzibar" not in repr(who)


def test_local_calls_of_a_session_do_not_wait_for_a_silent_ledger(tmp_path: Path) -> None:
    """The first one as long as a paid call would, the next ones not at all."""
    policy = staying()
    with ModelRouter.of(policy, providers=lambda target: ScriptedProvider(target), dry_run=False) as router:
        router.invoke(task(), HELLO)
        ledger = router.ledger
        store, waited = ledger.store, 0.0

        class Silent(Broken):
            def _refuse(self) -> None:
                time.sleep(10) if self.is_broken else None

        ledger._store = silent = Silent(store)
        silent.is_broken = True
        began = time.monotonic()
        for _ in range(3):
            assert router.invoke(task(), HELLO)["model"] == "small"
        waited = time.monotonic() - began
        silent.is_broken = False
    assert waited < 9
