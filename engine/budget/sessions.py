"""What the calls of a session leave behind for the next one: labels, agents, warm caches, money.

A session and an agent are known by keyed hashes of their names (HMAC-SHA256 with a random key of this
ledger); the names themselves are nowhere. It lives in the ledger's own database, so that a label and a
reservation are as durable as each other and shared by the same processes and machines.

INVARIANT: a label that was written down is among the session's labels until the session is forgotten.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.budget.account_states import AccountState, account_state
from engine.budget.accounts import Account, Limits, Owner, agent_account, session_account
from engine.budget.attempts import OPEN_STATES
from engine.budget.ledger import Ledger
from engine.budget.store import Session, integer
from engine.budget.windows import ALWAYS

DEEPEST = 16
"""Agents above an agent that are charged with it; a deeper tree is charged to the nearest so many."""

_US_A_DAY = 24 * 3600 * 1_000_000
_FORGOTTEN_AT_ONCE = 50
_MOST_KEPT = 8


@dataclass(frozen=True, slots=True)
class SessionName:
    """What a caller calls its session, its agent and the agent that started that one. Never shown."""

    session: str = field(repr=False)
    agent: str | None = field(default=None, repr=False)
    parent_agent: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LabelOrigin:
    """When a label came into the session, in microseconds since the epoch, and with which decision; None for
    one that was said of the session itself."""

    at_us: int
    decision_id: str | None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as it is before the next call.

    `owner` is whom that call is booked on; `caches` is when each model, by provider and id, last answered, in
    microseconds since the epoch; `accounts` is how the owner's accounts stand; `now_us` when all this was
    read.
    """

    owner: Owner
    calls: int = 0
    labels: Mapping[str, LabelOrigin] = field(default_factory=dict)
    caches: Mapping[tuple[str, str], int] = field(default_factory=dict)
    accounts: tuple[AccountState, ...] = ()
    now_us: int = 0


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line about a session: money in micro-dollars, times in microseconds since the epoch."""

    key: str
    calls: int
    first_us: int
    last_us: int
    spent_micro_usd: int
    held_micro_usd: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """An agent of a session and the one that started it; `spent_micro_usd` counts those below it."""

    key: str
    parent_key: str | None
    spent_micro_usd: int
    held_micro_usd: int


class SessionBook:
    """The sessions of a ledger. Thread-safe; every method raises LedgerUnavailable, and then nothing was
    written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._secret: bytes | None = None

    def key_of(self, session: str) -> str:
        """The key of a session by its name: the same for every process of this ledger."""
        return self._hashed(session)

    def read(self, name: SessionName | None, group: str | None, limits: Limits) -> SessionRecord:
        """What is known ahead of a call of this session and group, read fresh."""
        if name is None:
            owner = Owner(group=group)
            return self._ledger.store.read(lambda session: self._record(session, owner, limits))
        key, agent, parent = self._keys(name)

        def read(session: Session) -> SessionRecord:
            owner = Owner(key, _line(session, key, agent, parent), group)
            return self._record(session, owner, limits)

        return self._ledger.store.read(read)

    def begin(
        self,
        name: SessionName,
        labels: Iterable[str],
        decision_id: str,
        *,
        durable: bool,
        forget_after_days: int,
    ) -> None:
        """Count a call and write down the labels it carries; on disk before this returns if `durable`."""
        key, agent, parent = self._keys(name)
        wanted = sorted(set(labels))

        def begin(session: Session) -> None:
            self._forget_unused(session, forget_after_days)
            _touch(session, key, calls=1)
            _write_labels(session, key, wanted, decision_id)
            if agent is not None:
                _write_agent(session, key, agent, parent)

        self._ledger.store.write(begin, durable=durable)

    def answered(self, name: SessionName, provider: str, model: str) -> None:
        """Note that a model answered in this session, so that its prompt cache holds the session's
        beginning."""
        key, _, _ = self._keys(name)

        def note(session: Session) -> None:
            session.run(
                "INSERT INTO session_caches (session_key, provider, model, used_us) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (session_key, provider, model) DO UPDATE SET used_us = excluded.used_us",
                (key, provider, model, session.now_us),
            )
            session.run(
                "DELETE FROM session_caches WHERE session_key = ? AND used_us NOT IN (SELECT used_us FROM "
                "session_caches WHERE session_key = ? ORDER BY used_us DESC LIMIT ?)",
                (key, key, _MOST_KEPT),
            )

        self._ledger.store.write(note, durable=False)

    # -- what a person asks for

    def label(self, session: str, labels: Iterable[str]) -> None:
        """Say that a session carries these labels from now on; on disk before this returns."""
        self.label_key(self.key_of(session), labels)

    def label_key(self, key: str, labels: Iterable[str]) -> None:
        """The same, by the session's key."""
        wanted = sorted(set(labels))

        def label(session: Session) -> None:
            _touch(session, key, calls=0)
            _write_labels(session, key, wanted, None)

        self._ledger.store.write(label, durable=True)

    def all(self, most: int = 100) -> tuple[SessionSummary, ...]:
        """The sessions, the last used first."""

        def read(session: Session) -> tuple[SessionSummary, ...]:
            rows = session.rows(
                "SELECT session_key FROM session_records ORDER BY last_us DESC, session_key LIMIT ?", (most,)
            )
            return tuple(_summary(session, str(row[0])) for row in rows)

        return self._ledger.store.read(read)

    def find(self, beginning: str) -> tuple[str, ...]:
        """The keys that begin so, at most three."""
        if not beginning or set(beginning) - set("0123456789abcdef"):
            return ()

        def read(session: Session) -> tuple[str, ...]:
            rows = session.rows(
                "SELECT session_key FROM session_records WHERE session_key LIKE ? ORDER BY session_key "
                "LIMIT 3",
                (f"{beginning}%",),
            )
            return tuple(str(row[0]) for row in rows)

        return self._ledger.store.read(read)

    def show(self, key: str) -> tuple[SessionSummary, SessionRecord, tuple[AgentSummary, ...]]:
        """All that is known of a session."""

        def read(session: Session) -> tuple[SessionSummary, SessionRecord, tuple[AgentSummary, ...]]:
            agents = session.rows(
                "SELECT agent_key, parent_key FROM session_agents WHERE session_key = ? ORDER BY agent_key",
                (key,),
            )
            told = []
            for agent, parent in agents:
                state = _state(session, agent_account(str(agent)))
                told.append(
                    AgentSummary(
                        str(agent),
                        None if parent is None else str(parent),
                        state.spent_micro_usd,
                        state.held_micro_usd,
                    )
                )
            record = self._record(session, Owner(key), self._ledger.limits)
            return _summary(session, key), record, tuple(told)

        return self._ledger.store.read(read)

    def forget(self, key: str) -> bool:
        """Forget a session with its labels; False when a call of it is still under way. What it cost stays in
        the days and months it was spent in."""
        return self._ledger.store.write(lambda session: _forget(session, key), durable=True)

    # -- keys

    def _keys(self, name: SessionName) -> tuple[str, str | None, str | None]:
        """The keys of the session, the agent and its parent. An agent's is its own in each session."""
        agent = None if name.agent is None else self._hashed(name.session, name.agent)
        parent = None if name.parent_agent is None else self._hashed(name.session, name.parent_agent)
        return self._hashed(name.session), agent, parent

    def _hashed(self, *words: str) -> str:
        if self._secret is None:
            self._secret = self._read_secret()
        said = b"".join(
            len(word := text.encode("utf-8", "surrogatepass")).to_bytes(8, "big") + word for text in words
        )
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()[:32]

    def _read_secret(self) -> bytes:
        """The key of the hashes, made by whoever asks first."""

        def read(session: Session) -> list[tuple[int | str | None, ...]]:
            return session.rows("SELECT value FROM ledger_meta WHERE name = 'session_secret'")

        def make(session: Session) -> None:
            session.run(
                "INSERT INTO ledger_meta (name, value) VALUES ('session_secret', ?) ON CONFLICT DO NOTHING",
                (secrets.token_hex(32),),
            )

        found = self._ledger.store.read(read)
        if not found:
            self._ledger.store.write(make, durable=True)
            found = self._ledger.store.read(read)
        return bytes.fromhex(str(found[0][0]))

    # -- reading and forgetting

    def _record(self, session: Session, owner: Owner, limits: Limits) -> SessionRecord:
        windows = self._ledger.windows(session)
        accounts = tuple(
            account_state(session, account, windows[account.period])
            for account in limits.accounts_of_owner(owner)
            if account.limit_micro_usd is not None
        )
        if owner.session is None:
            return SessionRecord(owner, accounts=accounts, now_us=session.now_us)
        calls = session.rows("SELECT calls FROM session_records WHERE session_key = ?", (owner.session,))
        labels = session.rows(
            "SELECT label, at_us, decision_id FROM session_labels WHERE session_key = ?", (owner.session,)
        )
        caches = session.rows(
            "SELECT provider, model, used_us FROM session_caches WHERE session_key = ?", (owner.session,)
        )
        return SessionRecord(
            owner,
            integer(calls[0][0]) if calls else 0,
            {
                str(label): LabelOrigin(integer(at), None if decision is None else str(decision))
                for label, at, decision in labels
            },
            {(str(provider), str(model)): integer(at) for provider, model, at in caches},
            accounts,
            session.now_us,
        )

    def _forget_unused(self, session: Session, days: int) -> None:
        """Forget a few sessions that nobody has used for so many days."""
        unused = session.rows(
            "SELECT session_key FROM session_records WHERE last_us < ? ORDER BY last_us LIMIT ?",
            (session.now_us - days * _US_A_DAY, _FORGOTTEN_AT_ONCE),
        )
        for (key,) in unused:
            _forget(session, str(key))


def _line(session: Session, key: str, agent: str | None, parent: str | None) -> tuple[str, ...]:
    """The agent and those above it, as first said; each once, so that no circle is followed."""
    line: list[str] = []
    said = parent
    while agent is not None and agent not in line and len(line) <= DEEPEST:
        line.append(agent)
        known = session.rows(
            "SELECT parent_key FROM session_agents WHERE agent_key = ? AND session_key = ?", (agent, key)
        )
        above = known[0][0] if known else said
        agent, said = None if above is None else str(above), None
    return tuple(line)


def _touch(session: Session, key: str, *, calls: int) -> None:
    session.run(
        "INSERT INTO session_records (session_key, calls, first_us, last_us) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (session_key) DO UPDATE SET calls = session_records.calls + ?, "
        "last_us = excluded.last_us",
        (key, calls, session.now_us, session.now_us, calls),
    )


def _write_labels(session: Session, key: str, labels: Iterable[str], decision_id: str | None) -> None:
    for label in labels:
        session.run(
            "INSERT INTO session_labels (session_key, label, at_us, decision_id) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (key, label, session.now_us, decision_id),
        )


def _write_agent(session: Session, key: str, agent: str, parent: str | None) -> None:
    """The first word on who started an agent holds: nobody gets away from a limit by another word later."""
    session.run(
        "INSERT INTO session_agents (agent_key, session_key, parent_key) VALUES (?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (agent, key, parent),
    )


def _state(session: Session, account_id: str) -> AccountState:
    return account_state(session, Account(account_id, None, None, None), ALWAYS)


def _summary(session: Session, key: str) -> SessionSummary:
    rows = session.rows(
        "SELECT calls, first_us, last_us FROM session_records WHERE session_key = ?", (key,)
    ) or [(0, 0, 0)]
    calls, first_us, last_us = rows[0]
    labels = session.rows("SELECT label FROM session_labels WHERE session_key = ? ORDER BY label", (key,))
    state = _state(session, session_account(key))
    return SessionSummary(
        key,
        integer(calls),
        integer(first_us),
        integer(last_us),
        state.spent_micro_usd,
        state.held_micro_usd,
        tuple(str(label) for (label,) in labels),
    )


def _forget(session: Session, key: str) -> bool:
    """Everything but its charges, labels last; False, and nothing, while an attempt of it is open."""
    under_way = session.rows(
        f"SELECT 1 FROM ledger_attempts WHERE session_key = ? AND state IN {OPEN_STATES} LIMIT 1", (key,)
    )
    if under_way:
        return False
    agents = session.rows("SELECT agent_key FROM session_agents WHERE session_key = ?", (key,))
    accounts = [session_account(key), *(agent_account(str(agent)) for (agent,) in agents)]
    for account in accounts:
        session.run("DELETE FROM ledger_windows WHERE account_id = ?", (account,))
    session.run(
        "UPDATE ledger_attempts SET session_key = NULL, agent_keys = NULL WHERE session_key = ?", (key,)
    )
    for table in ("session_caches", "session_agents", "session_records", "session_labels"):
        session.run(f"DELETE FROM {table} WHERE session_key = ?", (key,))
    return True
