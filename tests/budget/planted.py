"""Planted bugs: each is a fault some gateway really had.

A soak that does not see one proves nothing when it is green.

`plant(name)` patches the ledger in this process; a soak's workers call it after the fork. The tables of a
planted run have no CHECK constraints on money (`unchecked_steps`), so that the soak's own eyes are tested and
not the database's.
"""

import multiprocessing
import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import BrokenBarrierError
from typing import Any

from engine import forks
from engine.budget import Ledger, admission, charges, errors, identity
from engine.budget.accounts import account_id
from engine.budget.attempts import Attempt, Outcome, Reservation, State
from engine.budget.money import Usage
from engine.budget.schema import STEPS
from engine.budget.sqlite_store import SqliteStore
from engine.budget.windows import Period, window_at

_PATIENCE_S = 60
_meeting = multiprocessing.Barrier(1)


def meet(workers: int) -> None:
    """Let this many workers wait for each other in the middle of a planted race; to be called before the
    fork.

    A race that is left to chance is seen on some machines and not on others. With the meeting all workers are
    between the two halves at once, whatever the machine does.
    """
    global _meeting
    _meeting = multiprocessing.Barrier(workers)


def _wait_for_the_others() -> None:
    """All workers go on together; without those that were killed, after a minute."""
    with suppress(BrokenBarrierError):
        _meeting.wait(_PATIENCE_S)


_original: dict[str, Any] = {
    "admit": admission.admit,
    "ensure_window": admission.ensure_window,
    **{name: getattr(charges, name) for name in ("book", "settle", "release", "forfeit", "cost_micro_usd")},
}
_original_reserve = Ledger.reserve
_original_settle = Ledger.settle


def unchecked_steps() -> tuple[tuple[str, ...], ...]:
    """The schema without the constraints that would catch a planted bug for us."""

    def unchecked(statement: str) -> str:
        without = re.sub(r"DEFAULT 0 CHECK \(\w+_micro_usd >= 0\)", "DEFAULT 0", statement)
        if "CREATE TABLE ledger_windows" in without:
            head = without.split("CHECK (start_s < end_s)")[0].rstrip().rstrip(",")
            return head + ") {strict}"
        if "CREATE TABLE ledger_attempts" in without:
            head = without.split("CHECK (state NOT IN")[0].rstrip().rstrip(",")
            return head + ") {strict}"
        return without

    return tuple(tuple(unchecked(statement) for statement in step) for step in STEPS)


def charge_after_the_call() -> None:
    """Nothing is held; the answer is charged when it came. All reserve before the first answer comes."""

    def admit(session: Any, account: Any, window: Any, amount: int) -> None:
        _original["admit"](session, account, window, 0)

    def book(session: Any, row: Any, *, reserved: int = 0, **moves: Any) -> None:
        _original["book"](session, row, **moves)

    def reserve(self: Ledger, attempt: Attempt) -> Reservation:
        try:
            return _original_reserve(self, attempt)
        finally:
            _wait_for_the_others()

    admission.admit, charges.book = admit, book
    Ledger.reserve = reserve  # type: ignore[method-assign]


def check_outside_the_lock() -> None:
    """What is left is read first, and booked unseen in a second transaction.

    All read before the first books.
    """

    def reserve(self: Ledger, attempt: Attempt) -> Reservation:
        left = self.left_micro_usd(attempt.provider)
        _wait_for_the_others()
        if left is not None and left < attempt.amount_micro_usd:
            raise errors.BudgetExceeded("some", 0, attempt.amount_micro_usd, left)
        return _original_reserve(self, attempt)

    def admit(session: Any, account: Any, window: Any, amount: int) -> None:
        _original["admit"](session, replace(account, limit_micro_usd=None), window, amount)

    Ledger.reserve, admission.admit = reserve, admit  # type: ignore[method-assign]


def shrink_to_the_remainder() -> None:
    """A reservation that does not fit is made as small as what is left."""

    def reserve(self: Ledger, attempt: Attempt) -> Reservation:
        try:
            return _original_reserve(self, attempt)
        except errors.BudgetExceeded as refusal:
            if refusal.left_micro_usd <= 0:
                raise
            smaller = replace(attempt, amount_micro_usd=min(refusal.left_micro_usd, attempt.amount_micro_usd))
            return _original_reserve(self, smaller)

    Ledger.reserve = reserve  # type: ignore[method-assign]


def refund_on_expiry() -> None:
    """A lost attempt gets its reservation back."""

    def forfeit(session: Any, attempt_id: str, reason: str) -> Any:
        end = "release" if reason == "lease over" else "forfeit"
        return _original[end](session, attempt_id, reason)

    charges.forfeit = forfeit


def early_settle() -> None:
    """The charge is guessed when the call begins, and the real usage comes too late."""

    def dispatched(self: Ledger, reservation: Reservation) -> None:
        _original_settle(self, reservation, Usage(1, 1))

    def settle(self: Ledger, reservation: Reservation, usage: Usage, **_: Any) -> Any:
        return Outcome(reservation.attempt_id, State.SETTLED, 0)

    Ledger.dispatched, Ledger.settle = dispatched, settle  # type: ignore[method-assign]


def swapped_account_order() -> None:
    """Receipts come back in another order, and the wrong provider's account is given its money back."""

    def book(session: Any, row: Any, **moves: Any) -> None:
        other = {"north": "south", "south": "north"}[row.provider]
        _original["book"](session, replace(row, provider=other), **moves)

    charges.book = book


def float_rounding() -> None:
    """Costs go through binary fractions and are rounded to the nearest."""

    def cost(prices: Any, usage: Usage) -> int:
        rates = prices.rates
        dollars = usage.input_tokens * (rates.input / 1e12) + usage.output_tokens * (rates.output / 1e12)
        return round(dollars * 1e6)

    charges.cost_micro_usd = cost


def reset_by_last_write() -> None:
    """Whoever sees a new day first sets its counters to zero; so does whoever sees it second."""
    seen: set[tuple[str, int]] = set()

    def admit(session: Any, account: Any, window: Any, amount: int) -> None:
        if (account.account_id, window.start_s) not in seen:
            seen.add((account.account_id, window.start_s))
            session.run(
                "UPDATE ledger_windows SET settled_micro_usd = 0, forfeited_micro_usd = 0, "
                "corrected_micro_usd = 0 "
                "WHERE account_id = ? AND start_s = ?",
                (account.account_id, window.start_s),
            )
        _original["admit"](session, account, window, amount)

    admission.admit = admit


def settled_twice() -> None:
    """A repeated settle charges again."""

    def settle(session: Any, attempt_id: str, *how: Any, **more: Any) -> Any:
        row = charges.load(session, attempt_id)
        outcome = _original["settle"](session, attempt_id, *how, **more)
        if row.state is State.SETTLED:
            _original["book"](session, row, settled=row.charge_micro_usd, breach=False)
        return outcome

    charges.settle = settle


def refund_when_unknown() -> None:
    """A call that failed without an answer is taken for unbilled."""
    charges.forfeit = _original["release"]


def charge_moves_with_the_clock() -> None:
    """The charge goes into the window of the answer instead of the reservation's."""

    def book(session: Any, row: Any, *, reserved: int = 0, **moves: Any) -> None:
        _original["book"](session, row, reserved=reserved, breach=False)
        now = {period: window_at(period, row.time_zone, session.now_us // 1_000_000) for period in Period}
        for period, window in now.items():
            for provider in (None, row.provider):
                _original["ensure_window"](session, account_id(period, provider), window)
        starts = {period: window.start_s for period, window in now.items()}
        _original["book"](session, replace(row, starts_s=starts), **moves)

    charges.book = book


def part_of_the_accounts() -> None:
    """Only the first account that refuses is heard; provider limits come after it and are not asked."""

    def admit(session: Any, account: Any, window: Any, amount: int) -> None:
        limit = account.limit_micro_usd if account.provider is None else None
        _original["admit"](session, replace(account, limit_micro_usd=limit), window, amount)

    admission.admit = admit


def forgotten_reservation() -> None:
    """Settling charges and does not give the hold back: phantom exhaustion."""

    def book(session: Any, row: Any, *, reserved: int = 0, **moves: Any) -> None:
        _original["book"](session, row, **moves)

    charges.book = book


def priced_at_the_cheapest() -> None:
    """Cached tokens are taken for free."""

    def cost(prices: Any, usage: Usage) -> int:
        return int(_original["cost_micro_usd"](prices, replace(usage, cached_input_tokens=0)))

    charges.cost_micro_usd = cost


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        charge_after_the_call,
        check_outside_the_lock,
        shrink_to_the_remainder,
        refund_on_expiry,
        early_settle,
        swapped_account_order,
        float_rounding,
        reset_by_last_write,
        settled_twice,
        refund_when_unknown,
        charge_moves_with_the_clock,
        part_of_the_accounts,
        forgotten_reservation,
        priced_at_the_cheapest,
    )
}


RACES = ("charge-after-the-call", "check-outside-the-lock")
"""The bugs that need calls at the same time; `meet` brings them together."""


def plant(name: str) -> None:
    """Put the bug into this process."""
    BUGS[name]()


def identity_not_checked() -> None:
    """A ledger is taken for the one that was used before, whatever stands in its place."""
    identity.Sidecar.check = staticmethod(lambda *_: None)  # type: ignore[assignment]
    SqliteStore._check_place = lambda self: None  # type: ignore[method-assign]


def fork_not_noticed() -> None:
    """A child goes on with its parent's locks and connections."""
    forks._begin_again.clear()
    forks._around.clear()
    forks._begin_again = forks._around = _Forgetful()


class _Forgetful(weakref.WeakKeyDictionary[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        """Nobody is called after a fork."""


LOSSES: dict[str, Callable[[], None]] = {
    "identity-not-checked": identity_not_checked,
    "fork-not-noticed": fork_not_noticed,
}
"""What no soak meets, each with a property of its own in `losses.py`."""
