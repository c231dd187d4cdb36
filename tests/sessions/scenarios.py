"""What must hold around one call of a session, as questions that a planted bug answers wrongly.

Each scenario gives the problems it saw; none for the engine as it is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.budget import (
    Attempt,
    BudgetExceeded,
    Ledger,
    LedgerUnavailable,
    Limits,
    Rates,
    TokenPrices,
    Usage,
)
from engine.budget.accounts import Owner
from engine.budget.sessions import SessionBook, SessionName
from engine.budget.sqlite_store import SqliteStore
from engine.providers.base import Request
from engine.providers.scripted import Answer
from engine.task_profiles import TaskProfile
from tests.budget.clocks import SteppedClock
from tests.execution.virtual_time import run_virtually
from tests.execution.worlds import HELLO, World, asked, catalogue, cloud, local, model, policy_of, world

MODELS = catalogue(ollama=local(model("small")), east=cloud({**model("east-1", price=1), "cache_ttl_s": 300}))
POLICIES = """\
routing: {default_mode: balanced}
labels: [pii, code]
sessions: {labels_stay: [pii]}
"""
ROUTES = """\
forbid pii-at-home: cloud when task.labels has pii
route cloud-first: use cloud, then local
"""
PRICES = TokenPrices(Rates.from_usd(1, 1))
LIMITS = Limits(
    daily_usd=10, session_usd=1, agent_usd=1, per_group_daily={"lab": 1}, per_group_monthly={"lab": 2}
)


def task(*labels: str, session: str = "s") -> TaskProfile:
    return TaskProfile("qa", labels=labels, session=session)


@contextmanager
def ledger_at(limits: Limits = LIMITS) -> Iterator[tuple[Ledger, SteppedClock]]:
    clock = SteppedClock()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        ledger = Ledger(SqliteStore(Path(folder), clock.clock), limits, clock.clock)
        yield ledger, clock
        ledger.close()


def _virtually(main: Callable[[Path], Coroutine[Any, Any, list[str]]]) -> list[str]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        return run_virtually(lambda _: main(Path(folder)))


async def _served(place: World, who: TaskProfile, **more: Any) -> str:
    return str((await asked(place, streamed=False, task=who, **more))["model"])


def label_ahead_of_the_byte() -> list[str]:
    """On disk when the provider is called, and after a restart."""

    async def main(folder: Path) -> list[str]:
        seen: list[bool] = []

        def look(request: Request) -> Answer:
            record = SessionBook(place.ledger).read(SessionName("s"), None, LIMITS)
            seen.append("pii" in record.labels)
            return Answer("well")

        place = world(folder, {"ollama": look}, policy=policy_of(MODELS, ROUTES, POLICIES))
        await _served(place, task("pii"))
        problems = [] if seen == [True] else ["the label was not on disk before the first byte"]
        again = world(folder, policy=policy_of(MODELS, ROUTES, POLICIES))
        if await _served(again, task()) != "small":
            problems.append("the label was forgotten by a restart")
        return problems

    return _virtually(main)


def labels_of_messages() -> list[str]:
    """They bind the call, and stay."""

    async def main(folder: Path) -> list[str]:
        place = world(folder, policy=policy_of(MODELS, ROUTES, POLICIES))
        first = await _served(place, task(), messages=[{**HELLO[0], "labels": ["pii"]}])
        then = await _served(place, task())
        return [] if (first, then) == ("small", "small") else [f"{first} and {then} answered"]

    return _virtually(main)


def an_unreadable_session() -> list[str]:
    """Counts as having every label that stays, and no new one is lost."""

    async def main(folder: Path) -> list[str]:
        place = world(folder, policy=policy_of(MODELS, ROUTES, POLICIES))
        store = place.ledger.store

        class Broken:
            shared_by_hosts = False

            def read(self, work: Any) -> Any:
                raise LedgerUnavailable("gone")

            def write(self, work: Any, **more: Any) -> Any:
                raise LedgerUnavailable("gone")

        place.ledger._store = Broken()  # type: ignore[assignment]
        problems = []
        chain = [one.id for one in place.router.plan(task()).explanation.chain]
        if chain != ["small"]:
            problems.append(f"the chain is {chain}")
        try:
            await _served(place, task("pii"))
        except LedgerUnavailable:
            pass
        else:
            problems.append("a label that could not be written was lost")
        place.ledger._store = store
        return problems

    return _virtually(main)


def warm_caches() -> list[str]:
    """In the session that was answered, for the cache's life."""

    async def main(folder: Path) -> list[str]:
        place = world(folder, policy=policy_of(MODELS, ROUTES, POLICIES))
        await _served(place, task())
        await asyncio.sleep(1)

        def warm(session: str) -> bool:
            return bool(place.router.plan(task(session=session)).explanation.facts.session_warm)

        problems = [] if warm("s") else ["who answered is not warm"]
        if warm("t"):
            problems.append("another session is warm")
        await asyncio.sleep(300)
        if warm("s"):
            problems.append("a cache is warm after its life")
        return problems

    return _virtually(main)


def a_tree_of_agents() -> list[str]:
    """Children spend what their parents may, whatever is said of them later."""
    problems = []
    with ledger_at() as (ledger, _):
        book = SessionBook(ledger)

        def begun(agent: str, parent: str | None) -> Owner:
            who = SessionName("s", agent, parent)
            book.begin(who, (), "d", durable=True, forget_after_days=30)
            return book.read(who, None, LIMITS).owner

        begun("root", None)
        child = begun("child", "root")
        if len(child.agents) != 2:
            problems.append(f"a child is charged to {len(child.agents)} agents, not to 2")
        if begun("child", "other").agents != child.agents:
            problems.append("a later word made another agent the parent")
        if begun("grandchild", "child").agents[1:] != child.agents:
            problems.append("a grandchild is not charged to the root")
        if begun("child", None).session == SessionBook(ledger).key_of("t"):
            problems.append("two sessions are one")
        if book.read(SessionName("a", "bc"), None, LIMITS).owner.agents == (
            book.read(SessionName("ab", "c"), None, LIMITS).owner.agents
        ):
            problems.append("agents of two sessions are one")
    return problems


def held_with_the_rest() -> list[str]:
    """Every account is held, grown and settled with the others, and none is passed."""
    problems = []
    for kind, owner, limit in (
        ("session", Owner("5" * 32), 1_000_000),
        ("agent", Owner("5" * 32, ("a" * 32, "b" * 32)), 1_000_000),
        ("group", Owner(group="lab"), 1_000_000),
    ):
        # What an account holds must be its own doing, so the others have no limit.
        only = {
            "session": Limits(session_usd=1),
            "agent": Limits(agent_usd=1),
            "group": Limits(per_group_daily={"lab": 1}, per_group_monthly={"lab": 2}),
        }[kind]
        with ledger_at(only) as (ledger, clock):

            def paid(name: str, amount: int, owner: Owner = owner) -> Attempt:
                return Attempt(name, "d", "north", "m", False, amount, PRICES, 60, owner=owner)

            held = ledger.reserve(paid("a", 400_000))
            held = ledger.grow(held, 700_000)
            if _admitted(ledger, paid("b", 400_000)):
                problems.append(f"{kind}: {limit} was passed by what is held")
            ledger.settle(held, Usage(650_000))
            if _admitted(ledger, paid("c", 400_000)):
                problems.append(f"{kind}: {limit} was passed by what is settled")
            if not _admitted(ledger, paid("d", 300_000)):
                problems.append(f"{kind}: what was given back is not there")
            if kind == "group":
                for day in range(2):
                    clock.advance(24 * 3600)
                    if _admitted(ledger, paid(f"e{day}", 1_000_000)) is not (day == 0):
                        problems.append("group: its month is not kept")
    return problems


def _admitted(ledger: Ledger, attempt: Attempt) -> bool:
    try:
        ledger.reserve(attempt)
    except BudgetExceeded:
        return False
    return True


def forgetting() -> list[str]:
    """Only what nobody used, never one with a call under way, and labels with it."""
    problems = []
    with ledger_at() as (ledger, clock):
        book = SessionBook(ledger)

        def call(session: str, *labels: str) -> None:
            book.begin(SessionName(session), labels, "d", durable=True, forget_after_days=2)

        call("old", "pii")
        call("open", "pii")
        owner = book.read(SessionName("open"), None, LIMITS).owner
        ledger.reserve(Attempt("a", "d", "north", "m", False, 1_000, PRICES, 10**7, owner=owner))
        clock.advance(24 * 3600)
        call("new", "pii")
        if not book.read(SessionName("old"), None, LIMITS).labels:
            problems.append("a session was forgotten a day after its use")
        clock.advance(2 * 24 * 3600)
        call("new")
        if book.read(SessionName("old"), None, LIMITS).labels:
            problems.append("a session that nobody used is still known")
        if not book.read(SessionName("open"), None, LIMITS).labels:
            problems.append("a session with a call under way was forgotten")
        if not book.read(SessionName("new"), None, LIMITS).labels:
            problems.append("a session in use was forgotten")
    return problems


SCENARIOS: dict[str, Callable[[], list[str]]] = {
    scenario.__name__: scenario
    for scenario in (
        label_ahead_of_the_byte,
        labels_of_messages,
        an_unreadable_session,
        warm_caches,
        a_tree_of_agents,
        held_with_the_rest,
        forgetting,
    )
}
