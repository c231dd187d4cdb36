"""One call of a session: what its earlier calls mean for the decision, and what it leaves behind itself.

The labels that stay are among the task's labels from the first call that carried them on. A call's own labels
are on disk before its first byte leaves; a call that brings a new one is refused where that cannot be done.
Where the session cannot be read, a call is decided as if every label that stays were there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from engine.budget import AccountState, BudgetError, Ledger, LedgerUnavailable
from engine.budget.accounts import NOBODY, Owner
from engine.budget.sessions import SessionBook, SessionName, SessionRecord
from engine.config.catalogue import Model
from engine.execution.async_ledger import AsyncLedger
from engine.execution.policy_snapshot import PolicySnapshot
from engine.execution.session_facts import NO_SESSION, SessionFacts
from engine.language.vocabulary import NOBODY as NO_GROUP
from engine.task_profiles import TaskProfile

_ALL = Decimal(100)
_NOTHING = Decimal(0)


class SessionBooks:
    """The session book of a router's ledger, opened when it is first needed."""

    def __init__(self, async_ledger: AsyncLedger) -> None:
        self.async_ledger = async_ledger
        self._book: tuple[Ledger, SessionBook] | None = None

    def book(self) -> SessionBook:
        """Raises LedgerUnavailable."""
        ledger = self.async_ledger.ledger()
        if self._book is None or self._book[0] is not ledger:
            self._book = ledger, SessionBook(ledger)
        return self._book[1]

    def call_now(self, snapshot: PolicySnapshot, task: TaskProfile, labels: frozenset[str]) -> "SessionCall":
        """The call of this task, with `labels` that its messages bring. Waits for the ledger."""
        if not _belongs(task):
            return SessionCall(self, snapshot, _with_labels(task, labels))
        try:
            record = self._read(snapshot, task)
        except LedgerUnavailable as error:
            return _unread(self, snapshot, task, labels, str(error))
        return _read(self, snapshot, task, labels, record)

    async def call(
        self, snapshot: PolicySnapshot, task: TaskProfile, labels: frozenset[str]
    ) -> "SessionCall":
        """The same, for asyncio."""
        if not _belongs(task):
            return SessionCall(self, snapshot, _with_labels(task, labels))
        try:
            record = await self.async_ledger.ask(lambda: self._read(snapshot, task))
        except LedgerUnavailable as error:
            return _unread(self, snapshot, task, labels, str(error))
        return _read(self, snapshot, task, labels, record)

    def _read(self, snapshot: PolicySnapshot, task: TaskProfile) -> SessionRecord:
        group = None if task.group == NO_GROUP else task.group
        return self.book().read(_name_of(task), group, snapshot.limits())


@dataclass(frozen=True, slots=True)
class SessionCall:
    """A task with the labels of its session, the facts of that session, and whom the call is booked on.

    `new_labels` are not written down yet; `stayed` says of each label that the session brought where it came
    from.
    """

    books: SessionBooks
    snapshot: PolicySnapshot
    task: TaskProfile
    facts: SessionFacts = NO_SESSION
    owner: Owner = NOBODY
    new_labels: frozenset[str] = frozenset()

    async def begin(self, decision_id: str) -> None:
        """Write down that the call is made and what labels it carries, before its first byte.

        Raises LedgerUnavailable where a new label cannot be written; what counts calls alone stops none.
        """
        name = _name_of(self.task)
        if name is None:
            return
        days = self.snapshot.policy.settings.sessions.forget_after_days
        is_new = bool(self.new_labels)

        def begin() -> None:
            self.books.book().begin(
                name, self.new_labels, decision_id, durable=is_new, forget_after_days=days
            )

        try:
            await self.books.async_ledger.ask(begin)
        except LedgerUnavailable as error:
            refused = error.args[0]
        else:
            return
        if is_new:
            labels = ", ".join(sorted(self.new_labels))
            raise LedgerUnavailable(f"the session's labels ({labels}) cannot be written down: {refused}")

    def answered(self, model: Model) -> None:
        """Note, in a moment, that a model whose prompt cache lasts has answered."""
        name = _name_of(self.task)
        if name is None or model.cache_ttl_s is None:
            return
        self.books.async_ledger.post(
            lambda _: self.books.book().answered(name, model.provider, model.id), _unnoted, behind=True
        )


def _unnoted(error: BudgetError) -> None:
    """A cache that is not known to be warm is priced as cold."""


def _belongs(task: TaskProfile) -> bool:
    return task.session is not None or task.group != NO_GROUP


def _name_of(task: TaskProfile) -> SessionName | None:
    return None if task.session is None else SessionName(task.session, task.agent, task.parent_agent)


def _with_labels(task: TaskProfile, labels: Iterable[str]) -> TaskProfile:
    every = frozenset(task.labels) | frozenset(labels)
    return task if every == task.labels else replace(task, labels=every)


def _read(
    books: SessionBooks,
    snapshot: PolicySnapshot,
    task: TaskProfile,
    labels: frozenset[str],
    record: SessionRecord,
) -> SessionCall:
    brought = frozenset(task.labels) | labels
    stays = staying(snapshot, record.labels)
    told = [
        f"{label} stays since {_moment(record.labels[label].at_us)}"
        + (f" ({origin})" if (origin := record.labels[label].decision_id) else " (said of the session)")
        for label in sorted(stays - brought)
    ]
    sources = {"task.labels": "; ".join(["task", *told])} if told else {}
    warm = frozenset(_warm(snapshot, record))
    for fact, is_there in (
        ("session.labels", record.labels),
        ("session.warm", warm),
        ("session.calls", record.calls),
    ):
        if is_there:
            sources[fact] = "earlier calls of the session"
    shares = _shares(record.accounts)
    sources |= {
        fact: f"ledger, account {state.account.account_id}"
        for fact, state in shares.items()
        if state.used_percent
    }

    def used(fact: str) -> Decimal:
        return shares[fact].used_percent if fact in shares else _NOTHING

    facts = SessionFacts(
        frozenset(record.labels),
        warm,
        record.calls,
        used("session.used"),
        used("agent.used"),
        used("group.daily.used"),
        used("group.monthly.used"),
        sources,
    )
    new = brought - record.labels.keys()
    return SessionCall(books, snapshot, _with_labels(task, labels | stays), facts, record.owner, new)


def _unread(
    books: SessionBooks, snapshot: PolicySnapshot, task: TaskProfile, labels: frozenset[str], problem: str
) -> SessionCall:
    """A call whose session is not known: every label that stays, and nothing left to spend."""
    brought = frozenset(task.labels) | labels
    stays = frozenset() if task.session is None else staying(snapshot, None)
    reason = f"counted as there, because {problem}"
    sources = {"task.labels": reason, "session.labels": reason} if stays else {}
    spent = set(_limited(snapshot, task))
    sources |= dict.fromkeys(spent, f"counted as spent, because {problem}")

    def used(fact: str) -> Decimal:
        return _ALL if fact in spent else _NOTHING

    facts = SessionFacts(
        stays,
        frozenset(),
        0,
        used("session.used"),
        used("agent.used"),
        used("group.daily.used"),
        used("group.monthly.used"),
        sources,
    )
    return SessionCall(books, snapshot, _with_labels(task, labels | stays), facts, new_labels=brought)


def staying(snapshot: PolicySnapshot, labels: Iterable[str] | None) -> frozenset[str]:
    """Those of `labels` that stay and that the policy knows; all that can be named when None."""
    settings = snapshot.policy.settings
    known = None if settings.labels is None else frozenset(placed.name for placed in settings.labels)
    chosen = settings.sessions.labels_stay
    if chosen is None:
        stay = known if known is not None else frozenset(snapshot.mentioned_labels)
        if labels is not None:
            return frozenset(labels) if known is None else frozenset(labels) & known
        return stay
    named = frozenset(placed.name for placed in chosen)
    named = named if known is None else named & known
    return named if labels is None else named & frozenset(labels)


def _warm(snapshot: PolicySnapshot, record: SessionRecord) -> Iterator[str]:
    """The models whose prompt cache still holds the session's beginning."""
    for model in snapshot.policy.catalogue.models:
        used_us = record.caches.get((model.provider, model.id))
        lasts_us = (model.cache_ttl_s or 0) * 1_000_000
        if used_us is not None and 0 <= record.now_us - used_us < lasts_us:
            yield model.key


def _shares(accounts: Iterable[AccountState]) -> dict[str, AccountState]:
    """The account that each fact of a share speaks of; of an agent and those above it the fullest."""
    fullest: dict[str, AccountState] = {}
    for state in accounts:
        kind, _, rest = state.account.account_id.partition("/")
        fact = f"group.{rest.rpartition('/')[2]}.used" if kind == "group" else f"{kind}.used"
        if fact not in fullest or state.used_percent > fullest[fact].used_percent:
            fullest[fact] = state
    return fullest


def _limited(snapshot: PolicySnapshot, task: TaskProfile) -> Iterator[str]:
    """The shares of limits that this task has."""
    limits = snapshot.limits()
    if task.session is not None and limits.session_usd is not None:
        yield "session.used"
    if task.agent is not None and limits.agent_usd is not None:
        yield "agent.used"
    if task.group in limits.per_group_daily:
        yield "group.daily.used"
    if task.group in limits.per_group_monthly:
        yield "group.monthly.used"


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
