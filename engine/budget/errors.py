"""Everything the ledger says no with.

BudgetError
├── BudgetExceeded        the reservation does not fit; names account, limit, needed and left
│   └── AccountClosed     an account was closed by a breach and waits for a person
├── UnknownPrice          a cost that cannot be computed is refused, never taken as zero
├── UnboundedInput        content whose tokens have no known upper bound
├── ClockSuspect          the wall clock jumped ahead; charges could land in the wrong window
├── AttemptConflict       an attempt id used again for something else, or after its end
├── UnknownAttempt        no such attempt was ever reserved
└── LedgerUnavailable     unreachable, locked, full, damaged
    ├── LedgerReplaced    gone, emptied or exchanged; nothing is booked until somebody adopts what is there
    └── NewerSchema       written by a newer version of this program

Amounts are integer micro-dollars; messages show dollars.
"""
# ruff: noqa: N818 - the names say what happened, and are part of the interface

from decimal import Decimal

from engine.errors import EngineError


def _dollars(micro_usd: int) -> str:
    return f"${Decimal(micro_usd).scaleb(-6):f}"


class BudgetError(EngineError):
    """The root of the tree above; `command` is what helps, and ends the message."""

    command = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.command}" if self.command else message


class BudgetExceeded(BudgetError):
    """The worst case of an attempt does not fit into what an account has left in its current window."""

    def __init__(
        self, account_id: str, limit_micro_usd: int, needed_micro_usd: int, left_micro_usd: int
    ) -> None:
        self.account_id = account_id
        self.limit_micro_usd = limit_micro_usd
        self.needed_micro_usd = needed_micro_usd
        self.left_micro_usd = left_micro_usd
        super().__init__(
            f"budget {account_id}: {_dollars(needed_micro_usd)} needed at worst, "
            f"{_dollars(left_micro_usd)} left "
            f"of {_dollars(limit_micro_usd)}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (
            type(self),
            (self.account_id, self.limit_micro_usd, self.needed_micro_usd, self.left_micro_usd),
        )


class AccountClosed(BudgetExceeded):
    """A provider billed more than was reserved; the account admits nothing until `Ledger.reopen` or a new
    window."""

    def __str__(self) -> str:
        return (
            f"budget {self.account_id} is closed: an attempt cost more than its reservation; look at `engine "
            f"ledger show`, then `engine ledger reopen {self.account_id}`"
        )


class UnknownPrice(BudgetError):
    """A model, or a token class it reports, has no price."""


class UnboundedInput(BudgetError):
    """A message part whose token count cannot be bounded before the call."""


class ClockSuspect(BudgetError):
    """The wall clock moved ahead of the machine's uptime by more than the tolerance."""

    command = "set it right, or take it as it is with `engine ledger accept-clock`"


class AttemptConflict(BudgetError):
    """The attempt id is taken: by other terms, or by an attempt that has gone further."""


class UnknownAttempt(BudgetError):
    """The ledger has no row with this attempt id."""


class LedgerUnavailable(BudgetError):
    """The ledger cannot be read or written, so nothing that costs money may start."""

    command = "see `engine doctor`"


class LedgerReplaced(LedgerUnavailable):
    """The ledger is not the one whose identity was noted beside it."""

    command = "bring the old one back, or go on with what is there by `engine ledger adopt`"


class NewerSchema(LedgerUnavailable):
    """The ledger was written by a newer version; this one must not touch it."""

    command = ""
