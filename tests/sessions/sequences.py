"""Random sessions of up to twenty calls: does every call decide as the reference does, labels and all?

    python -m tests.sessions.sequences --sessions 100000

What a session leaves behind is kept twice: by the engine's session book in a real ledger, and here by a few
lines that follow docs/sessions.md. Each call is decided by the engine with the one and by the reference with
the other. Every world has a guard that keeps the label `stays-home` from the cloud: once a session has
carried it, no chain may hold a cloud model. Prints what differed; exit code 1 when anything did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

from engine.budget import Ledger, Limits
from engine.budget.sqlite_store import SqliteStore
from engine.environment import Environment
from engine.execution.async_ledger import AsyncLedger
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.session_calls import SessionBooks
from engine.policy import Policy
from engine.task_profiles import TaskProfile
from tests.budget.clocks import SteppedClock
from tests.decision.worlds import compiled_within_cap, facts_of
from tests.reference.generator import World, random_facts, random_world, yaml_text
from tests.reference.interpreter import Policy as Naive
from tests.reference.interpreter import decide

HOME = "stays-home"
GUARD = f'language 1.1\nforbid stays-at-home: cloud when task.labels has "{HOME}"\n'
MOST_CALLS = 20
SESSIONS_A_WORLD = 20


@dataclass
class Kept:
    """A session as docs/sessions.md has it."""

    labels: set[str] = field(default_factory=set)
    calls: int = 0


@dataclass
class Tally:
    sessions: int = 0
    calls: int = 0
    bound: int = 0
    """Calls after the label that keeps a session at home, none of their own."""
    violations: list[str] = field(default_factory=list)


def run(sessions: int, seed: int) -> Tally:
    """So many sessions, twenty in each random world, over one ledger."""
    tally = Tally()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        clock = SteppedClock()
        ledger = Ledger(SqliteStore(Path(folder), clock.clock), Limits(), clock.clock)
        for number in range(2 * sessions):
            if tally.sessions >= sessions:
                break
            rng = Random(f"sessions {seed} {number}")
            world, staying = _world(rng)
            policy = compiled_within_cap(world)
            if policy is not None:
                count = min(SESSIONS_A_WORLD, sessions - tally.sessions)
                _play(rng, world, policy, staying, ledger, clock, count, tally, f"{seed}-{number}")
        ledger.close()
    return tally


def _world(rng: Random) -> tuple[World, set[str]]:
    """A random world with the guard, and the labels that stay in it."""
    world = random_world(rng)
    policies = dict(world.policies or {})
    labels = sorted({label for pool in world.pools["task.labels"] for label in pool})
    if policies.get("labels") is not None:
        policies["labels"] = [*policies["labels"], HOME]
    known = set(policies["labels"]) if policies.get("labels") is not None else {*labels, HOME}
    staying = {HOME, *(label for label in labels if label in known and rng.random() < 0.5)}
    is_all = rng.random() < 0.2
    policies["sessions"] = {"labels_stay": "all" if is_all else sorted(staying)}
    world.policies, world.policies_yaml = policies, yaml_text(policies)
    world.route_files = {**world.route_files, "stays.route": GUARD}
    return world, (known if is_all else staying)


def _play(
    rng: Random,
    world: World,
    policy: Policy,
    staying: set[str],
    ledger: Ledger,
    clock: SteppedClock,
    sessions: int,
    tally: Tally,
    prefix: str,
) -> None:
    """The sessions of one world, their calls mixed."""
    naive = world.policy()
    books = _books(ledger)
    snapshot = PolicySnapshot(policy, Environment.read({}), None, time.monotonic)
    kept = {f"{prefix}-{number}": Kept() for number in range(sessions)}
    calls = [name for name in kept for _ in range(rng.randint(1, MOST_CALLS))]
    rng.shuffle(calls)
    tally.sessions += sessions
    for place, name in enumerate(calls):
        if rng.random() < 0.05:
            books = _books(ledger)  # another process
        clock.advance(rng.choice((0, 1, 60)))
        facts = random_facts(rng, world)
        own = set(facts["task.labels"]) | ({HOME} if rng.random() < 0.05 else set())
        from_messages = {label for label in own if rng.random() < 0.3}
        told = _one(
            policy, naive, snapshot, books, name, kept[name], staying, facts, own, from_messages, f"{place}"
        )
        tally.calls += 1
        session = kept[name]
        tally.bound += HOME in session.labels and HOME not in own
        session.labels |= own
        session.calls += 1
        tally.violations += [f"world {prefix}, session {name}, call {session.calls}: {one}" for one in told]


def _books(ledger: Ledger) -> SessionBooks:
    class Opened:
        """What the books ask of a router's ledger."""

        def ledger(self) -> Ledger:
            return ledger

    return SessionBooks(cast(AsyncLedger, Opened()))


def _one(
    policy: Policy,
    naive: Naive,
    snapshot: PolicySnapshot,
    books: SessionBooks,
    name: str,
    session: Kept,
    staying: set[str],
    facts: dict[str, Any],
    own: set[str],
    from_messages: set[str],
    decision_id: str,
) -> Iterator[str]:
    """What is wrong with one call, after the engine has noted it."""
    task = TaskProfile("qa", labels=own - from_messages, session=name)
    call = books.call_now(snapshot, task, frozenset(from_messages))
    books.book().begin(
        *(name_of(name), call.new_labels, decision_id), durable=bool(call.new_labels), forget_after_days=30
    )
    engine = facts | {
        "task.labels": frozenset(call.task.labels),
        "session.labels": call.facts.session_labels,
        "session.calls": call.facts.session_calls,
    }
    expected = facts | {
        "task.labels": frozenset(own | (session.labels & staying)),
        "session.labels": frozenset(session.labels),
        "session.calls": session.calls,
    }
    decision = policy.evaluator.decide(facts_of(engine))
    reference = decide(naive, expected)
    chain = tuple(model.key for model in decision.chain)
    problems = [
        f"{fact} is {engine[fact]}, not {expected[fact]}"
        for fact in ("task.labels", "session.labels", "session.calls")
        if engine[fact] != expected[fact]
    ]
    if chain != reference.chain:
        problems.append(f"the chain is {chain}, not {reference.chain}")
    if HOME in session.labels and any(model.locality == "cloud" for model in decision.chain):
        problems.append(f"{HOME} was carried before, and the chain is {chain}")
    return iter(problems)


def name_of(session: str) -> Any:
    from engine.budget.sessions import SessionName

    return SessionName(session)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    tally = run(arguments.sessions, arguments.seed)
    for violation in tally.violations[:10]:
        print(violation, file=sys.stderr)
    rate = tally.calls / (time.perf_counter() - began)
    print(
        f"{tally.sessions:,} sessions, {tally.calls:,} calls, {tally.bound:,} bound by an earlier label, "
        f"{len(tally.violations)} violations, {rate:,.0f} calls a second"
    )
    return 1 if tally.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
