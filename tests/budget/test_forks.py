"""A ledger inherited through `fork`: the child has connections and locks of its own, the parent keeps its."""

import os
import threading
from collections.abc import Callable

import pytest

from engine.budget import Attempt, BudgetExceeded, Ledger, Limits, Rates, TokenPrices, postgres_store

PRICES = TokenPrices(Rates.from_usd(1, 1))
OpenLedger = Callable[..., Ledger]


def paid(name: str) -> Attempt:
    return Attempt(name, "decision", "north", "model", False, 250_000, PRICES, 60)


def in_child(work: Callable[[], object]) -> bool:
    """True when `work` ended without an error in a forked child."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_books_in_the_same_limit(open_ledger: OpenLedger) -> None:
    """Parent and child take turns, and both see what the other booked."""
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(paid("a"))
    assert in_child(lambda: ledger.reserve(paid("b")))
    ledger.reserve(paid("c"))
    assert in_child(lambda: ledger.reserve(paid("d")))
    with pytest.raises(BudgetExceeded):
        ledger.reserve(paid("e"))


def test_a_child_forked_in_the_middle_of_a_write_holds_nothing(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent's passage ends when the parent says so, although the child inherited it."""
    # A fork may take long on a busy machine; the server shall not lose patience with the passage.
    monkeypatch.setattr(postgres_store, "WAIT_MS", 60_000)
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(paid("a"))
    forked, may_end = threading.Event(), threading.Event()
    reader, writer = os.pipe()

    def slow(session: object) -> None:
        forked.set()
        may_end.wait(30)

    thread = threading.Thread(target=lambda: ledger.store.write(slow, durable=False))
    thread.start()
    assert forked.wait(30)
    pid = os.fork()
    if not pid:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    may_end.set()
    thread.join()
    ledger.reserve(paid("b"))
    other = open_ledger(Limits(daily_usd=1))
    other.reserve(paid("c"))
    os.close(writer)
    os.waitpid(pid, 0)


def test_what_a_child_books_stays_when_its_parent_closes(open_ledger: OpenLedger) -> None:
    """The parent's closing takes nothing away that the child goes on with."""
    ledger = open_ledger(Limits(daily_usd=1))
    ledger.reserve(paid("a"))
    booked, closed = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            ledger.reserve(paid("b"))
            os.write(booked[1], b"b")
            os.read(closed[0], 1)
            ledger.reserve(paid("c"))
            code = 0
        finally:
            os._exit(code)
    os.read(booked[0], 1)
    ledger.left_micro_usd("north")
    ledger.close()
    os.write(closed[1], b"c")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for end in (*booked, *closed):
        os.close(end)
    assert open_ledger(Limits(daily_usd=1)).left_micro_usd("north") == 250_000
