"""The ledger, as asyncio code may use it: in a thread of its own, never longer than there is time, and never
half-known.

A reservation whose caller has gone while it was being made is given back as soon as it is known. The ledger
is opened when it is first needed; one that cannot be opened is a ledger that says no to everything that costs
money.

What no answer depends on (rows of free local attempts, lines of the decision log) is put by for a moment and
written many at a time: a thread that wakes takes the interpreter from the loop just when the answer is on its
way.

INVARIANT: everything is done in the order it was asked for, what was put by included; nothing put by outlives
`flush`, `aclose` or the end of the program.
"""

import asyncio
import concurrent.futures
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TypeVar

from engine.budget import Attempt, BudgetError, Ledger, LedgerUnavailable, Limits, Reservation, Snapshot
from engine.forks import after_fork

T = TypeVar("T")

PATIENCE_S = 2.0
"""How long a decision or a paid call waits for the ledger."""
IMPATIENCE_S = 0.02
"""How long a decision waits for a ledger that did not answer last time."""
SILENT_S = 1.0
"""How long rows of free attempts are not offered to a ledger that could not write one."""

PUT_BY_S = 0.02
MOST_PUT_BY = 64


class AsyncLedger:
    """`open_ledger` may raise LedgerUnavailable or ValueError; it is tried again at the next call."""

    def __init__(self, open_ledger: Callable[[Limits], Ledger], limits: Limits) -> None:
        self._open_ledger = open_ledger
        self._limits = limits
        self._ledger: Ledger | None = None
        self._put_by: list[Callable[[], None]] = []
        # For a program that ends without `aclose`, after the worker has ended.
        weakref.finalize(self, _do_all, self._put_by)
        self._last = Snapshot(Decimal(0), Decimal(0), frozenset(), ())
        self._silent_until = 0.0
        self._begin()
        after_fork(self, AsyncLedger._begin)

    def _begin(self) -> None:
        """Without threads: at first, and in the child of a fork, whose parent writes what it was given."""
        self._lock = threading.Lock()
        # Not the lock above, which is held while the ledger opens.
        self._queue = threading.RLock()
        self._worker: ThreadPoolExecutor | None = None
        self._asked: Future[Snapshot] | None = None
        self._put_by.clear()
        self._timer_of: asyncio.AbstractEventLoop | None = None

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits if self._ledger is None else self._ledger.limits

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
        """The budget facts, after all that was posted; a ledger that cannot be opened or read, or does not
        answer soon, says so in `problem`."""
        asked, patience_s = self._ask()
        try:
            return asked.result(patience_s)
        except concurrent.futures.TimeoutError:
            return self._unanswered()

    async def snapshot_soon(self) -> Snapshot:
        """The same, without holding up the event loop."""
        asked, patience_s = self._ask()
        try:
            return await self._result(asked, patience_s)
        except TimeoutError:
            return self._unanswered()

    def _ask(self) -> "tuple[Future[Snapshot], float]":
        """The question under way, or a new one, and how long to wait for it."""
        with self._queue:
            is_waited_for = self._asked is not None and not self._asked.done()
            if not is_waited_for:
                self._asked = self._submit(self._snapshot)
            assert self._asked is not None
            is_silent = self._last.problem is not None
            return self._asked, IMPATIENCE_S if is_silent else PATIENCE_S

    def _unanswered(self) -> Snapshot:
        self._silent_until = time.monotonic() + SILENT_S
        self._last = replace(self._last, problem="the ledger does not answer; see `engine doctor`")
        return self._last

    @property
    def last_snapshot(self) -> Snapshot:
        """The budget facts as last read."""
        return self._last

    def flush(self) -> None:
        """Wait until everything that was posted is written."""
        self._submit(lambda: None).result()

    async def reserve(self, attempt: Attempt, within_s: float) -> Reservation:
        """Hold the worst case of an attempt. Raises what `Ledger.reserve` raises, TimeoutError when there is
        no time.

        A free local attempt holds nothing and is refused by nobody: its row is written behind it.
        """
        if attempt.free_and_local and attempt.prices is not None:
            self.post(lambda ledger: ledger.reserve(attempt), _unrecorded, behind=True)
            return Reservation(attempt.attempt_id, 0, free_and_local=True, recorded=True)
        if time.monotonic() < self._silent_until:
            raise LedgerUnavailable("the ledger did not answer a moment ago")
        asked = self._submit(lambda: self._reserve(attempt))
        try:
            return await self._result(asked, min(within_s, PATIENCE_S))
        except LedgerUnavailable:
            self._silent_until = time.monotonic() + SILENT_S
            raise
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, TimeoutError):
                self._silent_until = time.monotonic() + SILENT_S
            asked.add_done_callback(self._give_back)
            raise

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` gives on the ledger's thread, after all that was asked before. Raises what it raises,
        and LedgerUnavailable when there is no answer in time."""
        if time.monotonic() < self._silent_until:
            raise LedgerUnavailable("the ledger did not answer a moment ago")
        asked = self._submit(work)
        try:
            return await self._result(asked, PATIENCE_S)
        except TimeoutError:
            self._silent_until = time.monotonic() + SILENT_S
        except LedgerUnavailable:
            self._silent_until = time.monotonic() + SILENT_S
            raise
        raise LedgerUnavailable("the ledger did not answer in time")

    async def grow(self, reservation: Reservation, amount_micro_usd: int, within_s: float) -> Reservation:
        """Hold so much in all. Raises what `Ledger.grow` raises, TimeoutError when there is no time: then
        more may be held than is known here."""
        asked = self._submit(lambda: self.ledger().grow(reservation, amount_micro_usd))
        return await self._result(asked, within_s)

    def post(
        self,
        work: Callable[[Ledger], object],
        failed: Callable[[BudgetError], None],
        *,
        behind: bool = False,
    ) -> None:
        """Have `work` run after all that was asked before, in a moment if `behind`; `failed` is told when it
        cannot be done."""

        def run() -> None:
            # Rows that nothing depends on do not queue up behind a ledger that does not answer.
            if behind and time.monotonic() < self._silent_until:
                return
            try:
                done = work(self.ledger())
            except BudgetError as error:
                failed(error)
            else:
                if isinstance(done, Reservation) and not done.recorded:
                    self._silent_until = time.monotonic() + SILENT_S

        if behind:
            self.later(run)
        else:
            self._submit(run).add_done_callback(_loud)

    def later(self, work: Callable[[], None]) -> None:
        """Have `work` done in a moment, after all that was asked before; off the way of an answer."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._submit(work).add_done_callback(_loud)
            return
        with self._queue:
            self._put_by.append(work)
            is_full, has_timer = len(self._put_by) >= MOST_PUT_BY, self._timer_of is loop
            self._timer_of = loop
        if is_full:
            self._take_up()
        elif not has_timer:
            loop.call_later(PUT_BY_S, self._time_is_up)

    async def aclose(self, *, close_ledger: bool = True) -> None:
        """Finish what is under way and give back connections. It may be used again."""
        self._take_up()
        with self._queue:
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

    def _snapshot(self) -> Snapshot:
        try:
            self._last = self.ledger().snapshot()
        except LedgerUnavailable as unavailable:
            self._last = replace(self._last, problem=str(unavailable))
        return self._last

    def _reserve(self, attempt: Attempt) -> Reservation:
        try:
            return self.ledger().reserve(attempt)
        except LedgerUnavailable:
            if not attempt.free_and_local:
                raise
        return Reservation(attempt.attempt_id, 0, free_and_local=True, recorded=False)

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        with self._queue:
            worker = self._worker_for_all()
            if self._put_by:
                worker.submit(partial(_do_all, self._all_put_by()))
            return worker.submit(work)

    def _take_up(self) -> None:
        """Hand over what was put by."""
        with self._queue:
            if self._put_by:
                self._worker_for_all().submit(partial(_do_all, self._all_put_by()))

    def _time_is_up(self) -> None:
        self._timer_of = None
        self._take_up()

    def _worker_for_all(self) -> ThreadPoolExecutor:
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine-ledger")
        return self._worker

    def _all_put_by(self) -> list[Callable[[], None]]:
        """What was put by; the list itself stays, because the program's end looks into it."""
        works = self._put_by.copy()
        self._put_by.clear()
        return works

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


def _do_all(works: list[Callable[[], None]]) -> None:
    """Do one after the other; a bug in one is told and stops no other."""
    for work in works:
        try:
            work()
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)


def _unrecorded(error: BudgetError) -> None:
    """A free local attempt is recorded when that is possible, and goes on when it is not."""


def _loud(done: "Future[None]") -> None:
    """A bug in what nobody waits for is told as any bug is."""
    error = None if done.cancelled() else done.exception()
    if error is not None:
        sys.excepthook(type(error), error, error.__traceback__)


def _heard(done: "Future[T] | asyncio.Future[T]") -> None:
    """Take note of a failure, so that nobody calls it forgotten."""
    if not done.cancelled():
        done.exception()
