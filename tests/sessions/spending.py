"""Agents that start agents, in many processes, some of them killed: is a session's limit ever passed?

    python -m tests.sessions.spending --runs 20 --processes 8 --kills 4 [--store postgres]

Every process makes calls for agents of one session and lets them start further agents as fast as it can. A
provider writes a line to its own log the moment it bills; a killed process cannot take that back. At the end
the log is compared with the limits of the session, of every agent with those below it, and of the group, and
the books are recomputed. The last line printed is a JSON object; exit code 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path

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
from engine.budget.sessions import SessionBook, SessionName
from engine.budget.sqlite_store import SqliteStore
from engine.budget.store import Store
from engine.budget.usage import verify
from tests.budget import servers
from tests.budget.clocks import real_clock

SESSION, GROUP = "the-bomb", "lab"
LIMITS = Limits(
    daily_usd=100,
    session_usd=Decimal("0.05"),
    agent_usd=Decimal("0.008"),
    per_group_daily={GROUP: Decimal("0.08")},
)
PRICES = TokenPrices(Rates.from_usd(1, 1))
MOST_AGENTS = 400


@dataclass
class Report:
    """What the runs saw; money in micro-dollars."""

    runs: int = 0
    calls: int = 0
    refused: int = 0
    unavailable: int = 0
    kills: int = 0
    agents: int = 0
    billed: int = 0
    violations: list[str] = field(default_factory=list)


def run(report: Report, *, processes: int, calls: int, kills: int, seed: int, url: str = "") -> None:
    """One session to its end."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "bills"
        log.touch()
        running = {_forked(folder, log, url, calls, f"{seed}-{n}"): n for n in range(processes)}
        births = processes
        for _ in range(kills):
            time.sleep(dice.uniform(0.01, 0.1))
            victim = dice.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            report.kills += 1
        while running:
            pid, status = os.waitpid(-1, 0)
            del running[pid]
            if os.WIFSIGNALED(status) and births < processes + kills:
                running[_forked(folder, log, url, calls, f"{seed}-{births}")] = births
                births += 1
        _judge(report, folder, log, url)
        for path in folder.glob("traceback-*"):
            report.violations.append(path.read_text().splitlines()[-1])
    report.runs += 1


def _forked(folder: Path, log: Path, url: str, calls: int, seed: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        _work(folder, log, url, calls, random.Random(seed), seed)
    except BaseException:
        (folder / f"traceback-{os.getpid()}").write_text(traceback.format_exc())
    finally:
        os._exit(0)


def _opened(folder: Path, url: str) -> Ledger:
    store: Store
    if url:
        from engine.budget.postgres_store import PostgresStore

        store = PostgresStore(url, real_clock())
    else:
        store = SqliteStore(folder / "state", real_clock())
    return Ledger(store, LIMITS, real_clock())


def _work(folder: Path, log: Path, url: str, calls: int, dice: random.Random, name: str) -> None:
    """Calls for known agents, and new agents under them."""
    ledger = _opened(folder, url)
    book = SessionBook(ledger)
    bills = os.open(log, os.O_WRONLY | os.O_APPEND)
    agents: list[tuple[str, str | None]] = [(f"root-{name}", None)]
    for number in range(calls):
        agent, parent = dice.choice(agents)
        if len(agents) < MOST_AGENTS and dice.random() < 0.6:
            agent, parent = f"{name}-{number}", agent
            agents.append((agent, parent))
        who = SessionName(SESSION, agent, parent)
        amount = dice.randint(20, 900)
        said = {"agent": agent, "parent": parent}
        try:
            book.begin(who, (), "d", durable=False, forget_after_days=30)
            owner = book.read(who, GROUP, LIMITS).owner
            attempt = Attempt(f"{name}-{number}", "d", "north", "m", False, amount, PRICES, 600, owner=owner)
            held = ledger.reserve(attempt)
        except BudgetExceeded:
            os.write(bills, (json.dumps(said | {"refused": 1}) + "\n").encode())
            continue
        except LedgerUnavailable:
            os.write(bills, (json.dumps(said | {"unavailable": 1}) + "\n").encode())
            continue
        more = dice.random()
        if more < 0.3:  # a stream whose next slice is held
            try:
                held = ledger.grow(held, amount + 200)
            except BudgetExceeded:
                pass
            else:
                amount += 200
        billed = dice.randint(0, amount)
        os.write(bills, (json.dumps(said | {"billed": billed}) + "\n").encode())
        if more < 0.8:
            ledger.settle(held, Usage(billed))
        elif more < 0.9:
            ledger.forfeit(held, "broken off")
    ledger.close()


def _judge(report: Report, folder: Path, log: Path, url: str) -> None:
    """The provider's own log against the limits of everybody."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    parents = {line["agent"]: line["parent"] for line in lines}
    of_agent: dict[str, int] = defaultdict(int)
    total = 0
    for line in lines:
        billed = line.get("billed", 0)
        total += billed
        above: str | None = line["agent"]
        while above is not None:
            of_agent[above] += billed
            above = parents.get(above)
    report.calls += len(lines)
    report.refused += sum(line.get("refused", 0) for line in lines)
    report.unavailable += sum(line.get("unavailable", 0) for line in lines)
    report.agents += len(parents)
    report.billed += total
    ledger = _opened(folder, url)
    for what, billed, limit in (
        ("the session", total, LIMITS.session_usd),
        ("the group", total, LIMITS.per_group_daily[GROUP]),
        *((f"agent {agent}", billed, LIMITS.agent_usd) for agent, billed in of_agent.items()),
    ):
        assert limit is not None
        if billed > limit * 1_000_000:
            report.violations.append(f"{what}: {billed} billed, and the limit is {limit * 1_000_000}")
    report.violations += [f"books: {finding}" for finding in verify(ledger).findings]
    ledger.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    asked = parser.parse_args()
    report = Report()
    with ExitStack() as stack:
        url = stack.enter_context(servers.postgres()) if asked.store == "postgres" else ""
        for number in range(asked.runs):
            schema = servers.fresh_schema(url) if url else ""
            run(
                report,
                processes=asked.processes,
                calls=asked.calls,
                kills=asked.kills,
                seed=asked.seed * 1_000 + number,
                url=schema,
            )
            if schema:
                servers.drop_schema(schema)
    for violation in report.violations[:10]:
        print(violation, file=sys.stderr)
    print(json.dumps(asdict(report) | {"violations": len(report.violations)}))
    return 1 if report.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
