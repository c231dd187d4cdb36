"""Limits in dollars -> the accounts an attempt is booked on.

Every attempt is booked on four accounts: the day, the month, and the same two for its provider, whether or
not they have a limit, so that a limit set at noon counts what was spent since midnight. An account is known
by its id, never by the text or the limit that describes it: no edit resets usage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.budget.money import limit_from_usd
from engine.budget.windows import Period


@dataclass(frozen=True, slots=True)
class Account:
    """One book: its period, its provider (None: all of them), and its limit in micro-dollars (None: no
    limit)."""

    account_id: str
    period: Period
    provider: str | None
    limit_micro_usd: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent, in US dollars, by day and by month of `time_zone` (an IANA name).

    An absent limit is no limit; a limit of zero is zero. Raises ValueError for a bad amount or zone,
    TypeError for a float.
    """

    daily_usd: Decimal | int | None = None
    monthly_usd: Decimal | int | None = None
    per_provider_daily: Mapping[str, Decimal | int] = field(default_factory=dict)
    per_provider_monthly: Mapping[str, Decimal | int] = field(default_factory=dict)
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"no such time zone: {self.time_zone}") from error
        for account in self.limited_accounts():
            assert account.limit_micro_usd is not None

    def accounts_of(self, provider: str) -> tuple[Account, ...]:
        """The four accounts an attempt at `provider` is booked on, sorted by id."""
        return tuple(
            sorted(
                (self.account(period, name) for period in Period for name in (None, provider)),
                key=lambda account: account.account_id,
            )
        )

    def limited_accounts(self) -> Iterator[Account]:
        """Every account that has a limit."""
        for period in Period:
            for name in (None, *sorted(self._per_provider(period))):
                account = self.account(period, name)
                if account.limit_micro_usd is not None:
                    yield account

    def account(self, period: Period, provider: str | None) -> Account:
        """One account by what it counts."""
        if provider is None:
            amount = self.daily_usd if period is Period.DAILY else self.monthly_usd
        else:
            amount = self._per_provider(period).get(provider)
        limit = None if amount is None else limit_from_usd(amount)
        return Account(account_id(period, provider), period, provider, limit)

    def _per_provider(self, period: Period) -> Mapping[str, Decimal | int]:
        return self.per_provider_daily if period is Period.DAILY else self.per_provider_monthly


def account_id(period: Period, provider: str | None) -> str:
    """The stable name of an account: `daily`, `monthly`, `provider/NAME/daily`, `provider/NAME/monthly`."""
    return period.value if provider is None else f"provider/{provider}/{period.value}"
