"""The ledger, as asyncio code may use it: in a thread of its own, never longer than there is time, and never half-known.

A reservation whose caller has gone while it was being made is given back as soon as it is known. The ledger is opened
when it is first needed; one that cannot be opened is a ledger that says no to everything that costs money.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from engine.budget import Attempt, BudgetError, Ledger, LedgerUnavailable, Limits, Reservation, Snapshot

T = TypeVar("T")


class LedgerDesk:
    """`open_ledger` may raise LedgerUnavailable or ValueError; it is tried again at the next call."""

    def __init__(self, open_ledger: Callable[[Limits], Ledger], limits: Limits) -> None:
        self._open_ledger = open_ledger
        self._limits = limits
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._worker: ThreadPoolExecutor | None = None

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits

    def use_limits(self, limits: Limits) -> None:
        """Other limits from now on; usage stays."""
        self._limits = limits
        if self._ledger is not None:
            self._ledger.use_limits(limits)

    def ledger(self) -> Ledger:
        """The ledger itself. Raises LedgerUnavailable."""
        if self._ledger is None:
            with self._lock:
                if self._ledger is None:
                    self._ledger = self._opened()
        return self._ledger

    def snapshot(self) -> Snapshot:
        """The budget facts; a ledger that cannot be opened or read says so in `problem`."""
        try:
            return self.ledger().snapshot()
        except LedgerUnavailable as unavailable:
            from decimal import Decimal

            return Snapshot(Decimal(0), Decimal(0), frozenset(), (), problem=str(unavailable))

    async def reserve(self, attempt: Attempt, within_s: float) -> Reservation:
        """Hold the worst case of an attempt. Raises what `Ledger.reserve` raises, TimeoutError when there is no time."""
        asked = self._submit(lambda: self._reserve(attempt))
        try:
            return await self._result(asked, within_s)
        except (TimeoutError, asyncio.CancelledError):
            asked.add_done_callback(self._give_back)
            raise

    async def call(self, work: Callable[[Ledger], T], within_s: float) -> T:
        """Run `work` in the ledger's thread. Raises what it raises, and TimeoutError; it is run to its end all the same."""
        return await self._result(self._submit(lambda: work(self.ledger())), within_s)

    def post(self, work: Callable[[Ledger], object]) -> None:
        """Have `work` run soon, by nobody waited for."""
        self._submit(lambda: work(self.ledger())).add_done_callback(_heard)

    async def aclose(self, *, close_ledger: bool = True) -> None:
        """Finish what is under way and give back connections. It may be used again."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.shutdown)
        if close_ledger and self._ledger is not None:
            await asyncio.to_thread(self._ledger.close)

    def _opened(self) -> Ledger:
        try:
            return self._open_ledger(self._limits)
        except ValueError as error:
            reason = str(error)
        raise LedgerUnavailable(reason)

    def _reserve(self, attempt: Attempt) -> Reservation:
        try:
            return self.ledger().reserve(attempt)
        except LedgerUnavailable:
            if not attempt.free_and_local:
                raise
        return Reservation(attempt.attempt_id, 0, free_and_local=True, recorded=False)

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        with self._lock:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine-ledger")
            return self._worker.submit(work)

    @staticmethod
    async def _result(asked: "Future[T]", within_s: float) -> T:
        # Not `wait_for`, which would cancel: what was submitted is run, whoever goes away.
        waited = asyncio.wrap_future(asked)
        waited.add_done_callback(_heard)
        done, _ = await asyncio.wait((waited,), timeout=max(0.0, within_s))
        if not done:
            raise TimeoutError("the ledger did not answer in time")
        return waited.result()

    def _give_back(self, asked: "Future[Reservation]") -> None:
        if asked.cancelled() or asked.exception() is not None:
            return
        try:
            self.ledger().release(asked.result(), "never sent: its caller had gone")
        except BudgetError:
            return  # it stays held, and is charged when its lease ends


def _heard(done: "Future[T] | asyncio.Future[T]") -> None:
    """Take note of a failure, so that nobody calls it forgotten."""
    if not done.cancelled():
        done.exception()
