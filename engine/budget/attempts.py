"""The values of an attempt: what is about to be called, the receipt for it, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum

from engine.budget.accounts import NOBODY, Owner
from engine.budget.money import LARGEST_MICRO_USD, TokenPrices

# The states of an attempt that has not ended, for SQL.
OPEN_STATES = "('reserved', 'dispatched')"


class State(StrEnum):
    """Where an attempt stands; the last three are final."""

    RESERVED = "reserved"
    DISPATCHED = "dispatched"
    SETTLED = "settled"
    RELEASED = "released"
    FORFEITED = "forfeited"


class Basis(StrEnum):
    """How a charge is known."""

    MEASURED = "measured"  # the provider reported the usage
    ESTIMATED = "estimated"  # the usage was counted here
    RESERVED = "reserved"  # nobody knows; the whole reservation is charged


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one model, as it is about to be made.

    A retry, a fallback and a hedge are attempts of their own.

    `amount_micro_usd` is the worst case (`estimate.worst_case_micro_usd`). `prices` None is an unknown price,
    which is refused; a free model has `money.FREE`. `alternative_*` is the dearest cloud model that this task
    was allowed to use, for showing what was saved. `owner` is whose it is. `lease_s` is the time, in seconds,
    after which the attempt counts as lost: the total deadline plus twice the grace for settling.
    """

    attempt_id: str
    decision_id: str
    provider: str
    model: str
    local: bool
    amount_micro_usd: int
    prices: TokenPrices | None
    lease_s: int
    alternative_model: str | None = None
    alternative_prices: TokenPrices | None = None
    policy_digest: str = ""
    owner: Owner = NOBODY

    def __post_init__(self) -> None:
        if not self.attempt_id or not self.provider or not self.model:
            raise ValueError("an attempt has an id, a provider and a model")
        if not 0 <= self.amount_micro_usd <= LARGEST_MICRO_USD:
            raise ValueError(f"not an amount to reserve: {self.amount_micro_usd} micro-dollars")
        if self.amount_micro_usd == 0 and self.prices is not None and not self.prices.free:
            raise ValueError("a model with a price cannot be called with nothing reserved")
        if self.lease_s <= 0:
            raise ValueError("a lease lasts longer than nothing")

    @property
    def free_and_local(self) -> bool:
        """True for what no budget and no broken ledger may stop."""
        return self.local and self.amount_micro_usd == 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The ledger's receipt for an attempt.

    `recorded` is False only for a free local one it could not write down.
    """

    attempt_id: str
    amount_micro_usd: int
    free_and_local: bool
    recorded: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt stands after a call.

    `breach`: it cost more than was reserved, and its accounts are closed.
    """

    attempt_id: str
    state: State
    charge_micro_usd: int
    breach: bool = False
