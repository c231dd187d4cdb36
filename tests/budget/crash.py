"""Kill -9 at every named point of every operation: the books are as before or as after, never between.

    python -m tests.budget.crash                     every point once, SQLite
    python -m tests.budget.crash --rounds 50         fifty times
    python -m tests.budget.crash --store postgres    the same against PostgreSQL

A point is `OPERATION/begin`, `OPERATION/NUMBER` before each statement, `OPERATION/commit`, `OPERATION/done`.
For each one a child process does the operation and kills itself there; the tables are then compared whole
with what they were before and with what the operation leaves undisturbed. The last line printed is a JSON
object.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.budget import Attempt, Ledger, Limits, Rates, TokenPrices, Usage
from engine.budget.sqlite_store import SqliteStore
from engine.budget.store import WAIT_MS, Row, Session, Store, Value
from engine.budget.usage import verify

from . import servers
from .clocks import SteppedClock

T = TypeVar("T")
PRICES = TokenPrices(Rates.from_usd(3, 15))
LIMITS = Limits(daily_usd=1, per_provider_monthly={"north": 1}, time_zone="Europe/Berlin")
_TABLES = ("meta", "attempts", "corrections", "windows", "clock_anchors")


def attempt(name: str, amount: int = 1_000) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, amount, PRICES, 60)


def _prepare(ledger: Ledger, clock: SteppedClock) -> None:
    for name in ("lost", "lost-too"):
        ledger.reserve(attempt(name))
    clock.advance(120)
    for name in ("open", "ended", "charged", "broken"):
        ledger.reserve(attempt(name))
    ledger.forfeit(ledger.find("ended"), "no answer")
    ledger.settle(ledger.find("charged"), Usage(10, 10))
    ledger.settle(ledger.find("broken"), Usage(10, 1_000))  # a breach
    ledger.reopen("daily")
    ledger.reopen("provider/north/monthly")
    for name in ("lost-3", "lost-4"):
        ledger.reserve(attempt(name))
    clock.advance(61)
    ledger.renew(ledger.find("open"), 600)


OPERATIONS: dict[str, Callable[[Ledger], object]] = {
    "reserve": lambda ledger: ledger.reserve(attempt("new")),
    "dispatch": lambda ledger: ledger.dispatched(ledger.find("open")),
    "renew": lambda ledger: ledger.renew(ledger.find("open"), 999),
    "settle": lambda ledger: ledger.settle(ledger.find("open"), Usage(1, 1)),
    "settle-in-breach": lambda ledger: ledger.settle(ledger.find("open"), Usage(1, 1_000)),
    "release": lambda ledger: ledger.release(ledger.find("open"), "throttled"),
    "forfeit": lambda ledger: ledger.forfeit(ledger.find("open"), "no answer"),
    "settle-late": lambda ledger: ledger.settle(ledger.find("ended"), Usage(1, 1)),
    "reconcile": lambda ledger: ledger.reconcile("charged", "invoice", 7, "invoice"),
    "expire": lambda ledger: ledger.expire(),
    "accept-clock": lambda ledger: ledger.accept_clock(),
    "change-zone": lambda ledger: _moved(ledger).reserve(attempt("new")),
}


def _moved(ledger: Ledger) -> Ledger:
    ledger.use_limits(Limits(daily_usd=1, per_provider_monthly={"north": 1}, time_zone="Asia/Tokyo"))
    return ledger


@dataclass
class KillingStore:
    """A store that kills its process at the `at`-th point it passes."""

    store: Store
    at: int = -1
    passed: int = 0

    @property
    def shared_by_hosts(self) -> bool:
        return self.store.shared_by_hosts

    def write(self, work: Callable[[Session], T], *, durable: bool, wait_ms: int = WAIT_MS) -> T:
        def watched(session: Session) -> T:
            result = work(_KillingSession(session, self))
            self.point()  # OPERATION/commit
            return result

        self.point()  # OPERATION/begin
        result = self.store.write(watched, durable=durable, wait_ms=wait_ms)
        self.point()  # OPERATION/done
        return result

    def read(self, work: Callable[[Session], T]) -> T:
        return self.store.read(work)

    def close(self) -> None:
        self.store.close()

    def point(self) -> None:
        if self.at == self.passed:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1


@dataclass
class _KillingSession:
    session: Session
    store: KillingStore

    @property
    def now_us(self) -> int:
        return self.session.now_us

    @property
    def read_between_us(self) -> tuple[int, int]:
        return self.session.read_between_us

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        self.store.point()
        return self.session.rows(sql, parameters)

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        self.store.point()
        return self.session.run(sql, parameters)


@dataclass
class Report:
    points: int = 0
    kills: int = 0
    violations: tuple[str, ...] = ()


class _Bench:
    """Makes the same prepared ledger again and again."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.clock = SteppedClock()
        self.schema = servers.fresh_schema(url) if url else ""
        ledger = self._open(folder / "template")
        _prepare(ledger, self.clock)
        ledger.close()
        self.prepared = self.tables() if url else []

    def fresh(self) -> None:
        if self.url:
            self._refill()
        else:
            shutil.rmtree(self.folder / "now", ignore_errors=True)
            shutil.copytree(self.folder / "template", self.folder / "now")

    def _refill(self) -> None:
        """The rows as they were prepared, in the schema that is there already."""
        ledger, _ = self.open()

        def refill(session: Session) -> None:
            for name in reversed(_TABLES):
                session.run(f"DELETE FROM ledger_{name}")
            for name, rows in zip(_TABLES, self.prepared, strict=True):
                for row in rows:
                    session.run(f"INSERT INTO ledger_{name} VALUES ({', '.join('?' * len(row))})", row)

        ledger.store.write(refill, durable=False)
        ledger.close()

    def open(self, at: int = -1) -> tuple[Ledger, KillingStore]:
        ledger = self._open(self.folder / "now")
        killing = KillingStore(ledger.store, at)
        return Ledger(killing, LIMITS, self.clock.clock, strict_dispatch=True), killing

    def tables(self) -> list[list[Row]]:
        ledger, _ = self.open()
        tables = ledger.store.read(
            lambda session: [
                sorted(session.rows(f"SELECT * FROM ledger_{name}"), key=repr) for name in _TABLES
            ]
        )
        books = verify(ledger)
        ledger.close()
        if not books.ok:
            raise AssertionError(f"the books are wrong: {books.findings}")
        return tables

    def _open(self, folder: Path) -> Ledger:
        store: Store
        if self.url:
            from engine.budget.postgres_store import PostgresStore

            store = PostgresStore(self.schema, self.clock.clock, server_time=False)
        else:
            store = SqliteStore(folder, self.clock.clock)
        return Ledger(store, LIMITS, self.clock.clock, strict_dispatch=True)


def kill_everywhere(folder: Path, url: str, rounds: int, names: Sequence[str]) -> Report:
    """Every point of the named operations, `rounds` times."""
    bench = _Bench(folder, url)
    report = Report()
    for name in names:
        operation = OPERATIONS[name]
        bench.fresh()
        before = bench.tables()
        ledger, killing = bench.open()
        operation(ledger)
        ledger.close()
        points = killing.passed
        after = bench.tables()
        report.points += points
        for at in [*range(points)] * rounds:
            bench.fresh()
            killed = _in_a_child(bench, operation, at)
            report.kills += killed
            found = bench.tables()
            expected = after if at == points - 1 else before
            if not killed or found != expected:
                which = "after" if found == after else "between"
                report.violations += (f"{name}/{at} of {points}: killed {killed}, the books are {which}",)
    return report


def _in_a_child(bench: _Bench, operation: Callable[[Ledger], object], at: int) -> bool:
    pid = os.fork()
    if not pid:
        try:
            ledger, _ = bench.open(at)
            operation(ledger)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.budget.crash", description="Kill the ledger at every point.")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash")))
        url = stack.enter_context(servers.postgres()) if chosen.store == "postgres" else ""
        report = kill_everywhere(folder, url, chosen.rounds, chosen.only)
    print(json.dumps({"points": report.points, "kills": report.kills, "violations": report.violations[:20]}))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
