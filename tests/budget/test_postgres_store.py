"""The shared ledger: a server that goes away, hangs or is newer, and clients that do the same."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from engine.budget import (
    FREE,
    Attempt,
    BudgetExceeded,
    Ledger,
    LedgerUnavailable,
    Limits,
    NewerSchema,
    Rates,
    TokenPrices,
    Usage,
    open_ledger,
)
from engine.budget.postgres_store import PostgresStore
from engine.budget.schema import APPLICATION_ID, STEPS
from engine.budget.usage import verify

from . import servers
from .clocks import SteppedClock, real_clock

PRICES = TokenPrices(Rates.from_usd(1, 1))
LIMITS = Limits(daily_usd=1)


def attempt(name: str, amount: int = 1_000) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, amount, PRICES, 60)


def local_is_served(ledger: Ledger) -> bool:
    """A free local attempt goes through, unrecorded."""
    reservation = ledger.reserve(Attempt("free", "decision", "ollama", "model", True, 0, FREE, 60))
    ledger.settle(reservation, Usage(1, 1))
    return not reservation.recorded


@pytest.fixture
def url(postgres_url: str) -> str:
    return servers.fresh_schema(postgres_url)


@pytest.fixture
def ledger(url: str, tmp_path: Any) -> Iterator[Ledger]:
    opened = open_ledger(state_dir=tmp_path, url=url, limits=LIMITS, clock=real_clock())
    yield opened
    opened.close()


def test_the_servers_clock_decides(url: str) -> None:
    """A client whose own wall clock is wrong books on the right day, and its leases are the server's."""
    wrong = SteppedClock(wall_s=86_400)
    ledger = Ledger(PostgresStore(url, wrong.clock), LIMITS, wrong.clock)
    right = Ledger(PostgresStore(url, real_clock()), LIMITS, real_clock())
    ledger.reserve(attempt("a"))
    assert ledger.expire() == 0
    assert right.snapshot().accounts[0].held_micro_usd == 1_000
    ledger.close()
    right.close()


def test_a_broken_connection_is_opened_again(ledger: Ledger, postgres_url: str) -> None:
    """The server cut all clients off, as in a failover: the next call reconnects and books once."""
    ledger.reserve(attempt("a"))
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'local-first%'"
        )
    ledger.reserve(attempt("b"))
    assert ledger.left_micro_usd("north") == 998_000
    assert verify(ledger).ok


def test_a_commit_whose_answer_is_lost_books_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection dies after the commit: the repetition finds the row and changes nothing."""
    ledger.reserve(attempt("first"))
    store: Any = ledger.store
    original, lost = PostgresStore._transact, []

    def transact(self: Any, *arguments: Any) -> Any:
        result = original(self, *arguments)
        if not lost:
            lost.append(True)
            self._writer.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return result

    monkeypatch.setattr(PostgresStore, "_transact", transact)
    ledger.reserve(attempt("a", 300))
    assert lost
    assert store.read(lambda session: session.rows("SELECT count(*) FROM ledger_attempts")) == [(2,)]
    assert ledger.left_micro_usd("north") == 998_700


def test_an_unreachable_server_refuses_cloud_and_serves_local(tmp_path: Any) -> None:
    """No fail-open switch; the url and its password are in no message; local attempts do not wait for it."""
    url = f"postgresql://user:hidden-word@/base?host={tmp_path}"
    ledger = open_ledger(state_dir=tmp_path, url=url, limits=LIMITS, clock=real_clock())
    with pytest.raises(LedgerUnavailable) as refusal:
        ledger.reserve(attempt("a"))
    assert "hidden-word" not in f"{refusal.value!r} {refusal.value.__cause__}"
    assert refusal.value.__suppress_context__
    assert local_is_served(ledger)
    assert ledger.snapshot().problem


def test_a_server_that_went_away_refuses_cloud_and_serves_local() -> None:
    """Stopped between two calls: refused, and nothing is booked in part when it is back."""
    with servers.postgres() as url:
        ledger = Ledger(PostgresStore(url, real_clock()), LIMITS, real_clock())
        held = ledger.reserve(attempt("a"))
    with pytest.raises(LedgerUnavailable):
        ledger.reserve(attempt("b"))
    with pytest.raises(LedgerUnavailable):
        ledger.settle(held, Usage(1))
    assert local_is_served(ledger)
    ledger.close()


def test_a_locked_ledger_is_refused_in_time(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hangs inside its transaction costs the others a bounded wait."""
    monkeypatch.setattr("engine.budget.ledger._PAID_WAIT_MS", 50)
    monkeypatch.setattr("engine.budget.ledger._FREE_WAIT_MS", 20)
    ledger.reserve(attempt("a"))
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))
        with pytest.raises(LedgerUnavailable, match="lock"):
            ledger.reserve(attempt("b"))
        assert local_is_served(ledger)
    ledger.reserve(attempt("b"))


def test_the_server_cuts_off_a_client_that_hangs(ledger: Ledger) -> None:
    """Every connection asks for it."""
    ledger.reserve(attempt("a"))
    store: Any = ledger.store
    (limit,) = store._writer.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert limit == "5s"


def test_a_newer_schema_is_refused(ledger: Ledger, url: str) -> None:
    ledger.reserve(attempt("a"))
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "UPDATE ledger_meta SET value = %s WHERE name = 'schema_version'", (str(len(STEPS) + 1),)
        )
    newer = Ledger(PostgresStore(url, real_clock()), LIMITS, real_clock())
    with pytest.raises(NewerSchema):
        newer.reserve(attempt("b"))
    assert local_is_served(newer)
    newer.close()


def test_a_reservation_is_on_the_servers_disk_before_it_returns(ledger: Ledger) -> None:
    """synchronous_commit is on for what may be sent, off for what may be lost without losing money."""
    seen = []
    for durable in (True, False):
        ledger.store.write(
            lambda session: seen.append(session.rows("SHOW synchronous_commit")), durable=durable
        )
    assert seen == [[("on",)], [("off",)]]


def test_eight_clients_make_the_tables_once_and_share_one_limit(url: str) -> None:
    """They start together on an empty schema; ten reservations of a tenth fit, the eleventh does not (litellm
    #40095)."""
    outcomes: list[object] = []
    barrier = threading.Barrier(8)

    def use(number: int) -> None:
        ledger = Ledger(PostgresStore(url, real_clock()), LIMITS, real_clock())
        barrier.wait()
        for each in range(3):
            try:
                outcomes.append(ledger.reserve(attempt(f"{number}.{each}", 100_000)).recorded)
            except BudgetExceeded:
                outcomes.append("refused")
            except BaseException as error:
                outcomes.append(error)
        ledger.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True"] * 10 + ["refused"] * 14


def test_threads_write_in_the_order_they_came(url: str) -> None:
    """A thread that asks again at once stands behind those that wait, so none starves."""
    store = PostgresStore(url, real_clock())
    order: list[int] = []

    def write(number: int) -> None:
        store.write(lambda session: order.append(number), durable=False, wait_ms=300_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    store._writers.take()
    for waiting, thread in enumerate(threads, 1):
        thread.start()
        while len(store._writers._waiting) < waiting:
            time.sleep(0.001)
    store._writers.give()
    write(4)
    for thread in threads:
        thread.join()
    store.close()
    assert order == [0, 1, 2, 3, 4]
