"""The ledger, the circuits and the counters -> the facts of a decision that this machine knows, at most a
second old.

A decision takes them from memory: the ledger is read when a second is over, or when something happened here
that moved them.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.budget import AccountState, Period, Snapshot
from engine.execution.async_ledger import AsyncLedger
from engine.execution.concurrency import Slots
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.provider_health import HealthTracker
from engine.language.vocabulary import FactOrigin, given_by

FRESH_S = 1.0
_SPENT = Decimal(100)


class RuntimeFacts(NamedTuple):
    """The facts that this machine knows, one field a row of theirs; `sources` says where each that differs
    from a test's default comes from. `models_capable` is empty here: it depends on the task, and the planner
    fills it in."""

    budget_daily_used: Decimal
    budget_monthly_used: Decimal
    budget_exhausted_providers: frozenset[str]
    provider_down: frozenset[str]
    provider_busy: frozenset[str]
    models_warm: frozenset[str]
    models_capable: frozenset[str]
    sources: Mapping[str, str]


def _check_against_rows() -> None:
    """Raises TypeError when RuntimeFacts and the rows of the fact table differ, naming the field."""
    rows = (*(fact.field for fact in given_by(FactOrigin.RUNTIME)), "sources")
    different = {*rows} ^ {*RuntimeFacts._fields}
    if different:
        raise TypeError(f"RuntimeFacts and the fact table differ in {', '.join(sorted(different))}")
    if rows != RuntimeFacts._fields:
        raise TypeError("RuntimeFacts has its fields in another order than the fact table its rows")


_check_against_rows()


class RuntimeFactsCache:
    """The runtime facts of whatever snapshot asks. Thread-safe: what is remembered is replaced whole."""

    def __init__(
        self, async_ledger: AsyncLedger, tracker: HealthTracker, slots: Slots, monotonic: Callable[[], float]
    ) -> None:
        self._async_ledger, self._tracker, self._slots = async_ledger, tracker, slots
        self._monotonic = monotonic
        self._known: tuple[PolicySnapshot, RuntimeFacts] | None = None
        self._until = self._books_until = 0.0

    def forget(self) -> None:
        """Health or a counter moved: gather anew at the next decision, from the books as last read."""
        self._until = 0.0

    def forget_books(self) -> None:
        """Money moved: read the ledger, too, at the next decision."""
        self._until = self._books_until = 0.0

    def known(self, snapshot: PolicySnapshot) -> RuntimeFacts | None:
        """What is remembered and fresh."""
        known = self._known
        if known is not None and known[0] is snapshot and self._monotonic() < self._until:
            return known[1]
        return None

    def now(self, snapshot: PolicySnapshot, *, needs_keys: bool) -> RuntimeFacts:
        """The facts now. Waits for the ledger when they are older than a second."""
        if (known := self.known(snapshot)) is not None:
            return known
        books = self._async_ledger.last_snapshot if self._has_books else self._async_ledger.snapshot()
        return self._gather(snapshot, books, needs_keys=needs_keys)

    async def soon(self, snapshot: PolicySnapshot, *, needs_keys: bool) -> RuntimeFacts:
        """The same, for asyncio."""
        if (known := self.known(snapshot)) is not None:
            return known
        books = (
            self._async_ledger.last_snapshot if self._has_books else await self._async_ledger.snapshot_soon()
        )
        return self._gather(snapshot, books, needs_keys=needs_keys)

    @property
    def _has_books(self) -> bool:
        return self._monotonic() < self._books_until

    def _gather(self, snapshot: PolicySnapshot, budgets: Snapshot, *, needs_keys: bool) -> RuntimeFacts:
        """The facts as the ledger's snapshot and this process's own knowledge have them."""
        now = self._monotonic()
        if now >= self._books_until:
            self._books_until = now + FRESH_S
        self._until = self._books_until
        sources: dict[str, str] = {}
        down, why_down = self._down(snapshot, needs_keys=needs_keys)
        if down:
            sources["provider.down"] = why_down
        busy = frozenset(
            name
            for name, configured in snapshot.configured.items()
            if configured.max_concurrent is not None and self._slots.taken(name) >= configured.max_concurrent
        )
        if busy:
            sources["provider.busy"] = "calls under way"
        loaded = set(self._tracker.warm())
        warm = frozenset(
            model.key
            for model in snapshot.policy.catalogue.models
            if loaded
            and not loaded.isdisjoint({(model.provider, model.id), (model.provider, f"{model.id}:latest")})
        )
        if warm:
            sources["models.warm"] = "discovered, or used a moment ago"
        daily, monthly, exhausted = budgets.daily_used, budgets.monthly_used, budgets.exhausted_providers
        if budgets.problem is not None:
            # Fail closed: without books nothing that costs money may start, and local models go on.
            daily = max(daily, _SPENT)
            sources["budget.daily.used"] = f"counted as spent, because {budgets.problem}"
        else:
            sources |= _budget_sources(snapshot, budgets)
        known = frozenset(snapshot.configured)
        runtime_facts = RuntimeFacts(
            daily, monthly, exhausted & known, down, busy, warm, frozenset(), sources
        )
        self._known = snapshot, runtime_facts
        return runtime_facts

    def _down(self, snapshot: PolicySnapshot, *, needs_keys: bool) -> tuple[frozenset[str], str]:
        """The providers nothing can be asked of now, and why."""
        reasons: dict[str, str] = {}
        missing = snapshot.missing_variables() if needs_keys else {}
        for name, configured in snapshot.configured.items():
            if name in missing:
                continue
            reason = self._tracker.down(name)
            if reason is None and configured.models:
                resting = [self._tracker.resting((name, model.id)) for model in configured.models]
                reason = resting[0] if all(resting) else None
            if reason is not None:
                reasons[name] = reason
        told = [f"not set: {', '.join(sorted(set(missing.values())))}"] if missing else []
        told += [f"{name}: {reason}" for name, reason in sorted(reasons.items())]
        return frozenset({*missing, *reasons}), "; ".join(told)


def _budget_sources(snapshot: PolicySnapshot, budgets: Snapshot) -> dict[str, str]:
    sources: dict[str, str] = {}
    variables = {Period.DAILY: "DAILY_BUDGET_LIMIT", Period.MONTHLY: "MONTHLY_BUDGET_LIMIT"}
    environment = {
        Period.DAILY: snapshot.environment.daily_limit_usd,
        Period.MONTHLY: snapshot.environment.monthly_limit_usd,
    }
    for state in budgets.accounts:
        period = state.account.period
        if period is not None and state.account.provider is None and state.used_percent > 0:
            by = variables[period] if environment[period] is not None else "policies.yaml"
            sources[f"budget.{period.value}.used"] = f"ledger, {_of_limit(state)} ({by}); see `engine usage`"
    if budgets.exhausted_providers:
        closed = [
            f"{state.account.account_id} is closed after a breach: `engine ledger reopen "
            f"{state.account.account_id}`"
            for state in budgets.accounts
            if state.closed and state.account.provider in budgets.exhausted_providers
        ]
        sources["budget.exhausted_providers"] = "; ".join(["ledger", *closed]) + "; see `engine usage`"
    return sources


def _of_limit(state: AccountState) -> str:
    limit = state.account.limit_micro_usd
    spent = Decimal(state.spent_micro_usd).scaleb(-6)
    return f"${spent:.2f} of ${Decimal(limit or 0).scaleb(-6):.2f}"
