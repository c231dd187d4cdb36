"""Limits in dollars -> the accounts an attempt is booked on.

Every attempt is booked on four accounts: the day, the month, and the same two for its provider, whether or
not they have a limit, so that a limit set at noon counts what was spent since midnight. One that belongs to a
session, to agents or to a group is booked on theirs too. An account is known by its id, never by the text or
the limit that describes it: no edit resets usage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.budget.money import limit_from_usd
from engine.budget.windows import Period


@dataclass(frozen=True, slots=True)
class Account:
    """One book: its period (None: it never begins anew), its provider (None: all of them), and its limit in
    micro-dollars (None: no limit)."""

    account_id: str
    period: Period | None
    provider: str | None
    limit_micro_usd: int | None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an attempt is: a session, agents from the one that calls up to the root of its tree, a group.

    Sessions and agents by their keys (`sessions.SessionBook`), the group by its name.
    """

    session: str | None = None
    agents: tuple[str, ...] = ()
    group: str | None = None


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent, in US dollars: by day and by month of `time_zone` (an IANA name), in all and by
    provider and group; and over the whole life of a session and of an agent with those below it.

    An absent limit is no limit; a limit of zero is zero. Raises ValueError for a bad amount or zone,
    TypeError for a float.
    """

    daily_usd: Decimal | int | None = None
    monthly_usd: Decimal | int | None = None
    per_provider_daily: Mapping[str, Decimal | int] = field(default_factory=dict)
    per_provider_monthly: Mapping[str, Decimal | int] = field(default_factory=dict)
    time_zone: str = "UTC"
    session_usd: Decimal | int | None = None
    agent_usd: Decimal | int | None = None
    per_group_daily: Mapping[str, Decimal | int] = field(default_factory=dict)
    per_group_monthly: Mapping[str, Decimal | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"no such time zone: {self.time_zone}") from error
        for account in self.limited_accounts():
            assert account.limit_micro_usd is not None
        for usd in (
            self.session_usd,
            self.agent_usd,
            *self.per_group_daily.values(),
            *self.per_group_monthly.values(),
        ):
            _micro(usd)

    def accounts_of(self, provider: str, owner: Owner = NOBODY) -> tuple[Account, ...]:
        """The accounts an attempt of `owner` at `provider` is booked on, sorted by id."""
        general = [self.account(period, name) for period in Period for name in (None, provider)]
        return tuple(
            sorted((*general, *self.accounts_of_owner(owner)), key=lambda account: account.account_id)
        )

    def accounts_of_owner(self, owner: Owner) -> Iterator[Account]:
        """The accounts of a session, of agents and of a group."""
        if owner.session is not None:
            yield Account(session_account(owner.session), None, None, _micro(self.session_usd))
        for agent in owner.agents:
            yield Account(agent_account(agent), None, None, _micro(self.agent_usd))
        if owner.group is not None:
            for period in Period:
                by_group = self.per_group_daily if period is Period.DAILY else self.per_group_monthly
                limit = _micro(by_group.get(owner.group))
                yield Account(group_account(owner.group, period), period, None, limit)

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
        return Account(account_id(period, provider), period, provider, _micro(amount))

    def closed_by_breach(self, provider: str, owner: Owner = NOBODY) -> str | None:
        """The account that closes when `provider` bills more than was held: the first with a limit.

        None where none has one: then no promise was broken, and nothing is refused.
        """
        limits = {each.account_id: each.limit_micro_usd for each in self.accounts_of(provider, owner)}
        return next((name for _, name in breach_order(provider, owner) if limits[name] is not None), None)

    def _per_provider(self, period: Period) -> Mapping[str, Decimal | int]:
        return self.per_provider_daily if period is Period.DAILY else self.per_provider_monthly


def account_id(period: Period, provider: str | None) -> str:
    """The stable name of an account: `daily`, `monthly`, `provider/NAME/daily`, `provider/NAME/monthly`."""
    return period.value if provider is None else f"provider/{provider}/{period.value}"


def session_account(key: str) -> str:
    """The account of a session over its whole life."""
    return f"session/{key}"


def agent_account(key: str) -> str:
    """The account of an agent, and of the agents below it, over its whole life."""
    return f"agent/{key}"


def group_account(group: str, period: Period) -> str:
    """The account of a group: `group/NAME/daily`, `group/NAME/monthly`."""
    return f"group/{group}/{period.value}"


def _micro(usd: Decimal | int | None) -> int | None:
    return None if usd is None else limit_from_usd(usd)


def breach_order(provider: str, owner: Owner = NOBODY) -> Iterator[tuple[Period | None, str]]:
    """The accounts of an attempt, in the order in which a breach looks for one with a limit.

    The provider is at fault, so it is stopped alone where that is possible, and everybody else goes on; else
    all that could reach it are stopped; the attempt's owner only where nothing wider has a limit. A day comes
    before a month, and a whole life last.
    """
    for name in (provider, None):
        for period in Period:
            yield period, account_id(period, name)
    if owner.group is not None:
        for period in Period:
            yield period, group_account(owner.group, period)
    if owner.session is not None:
        yield None, session_account(owner.session)
    for agent in owner.agents:
        yield None, agent_account(agent)
