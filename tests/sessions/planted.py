"""Bugs to plant in what is kept of sessions, each of which a check must see.

    python -m tests.sessions.planted [--plant NAME]

Prints what was seen of each; exit code 1 when one was not. A bug is planted by replacing a function, in this
process and in those that it forks.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.budget import charges, sessions
from engine.budget.accounts import Limits, Owner
from engine.budget.sessions import SessionBook
from engine.execution import prompt, session_calls
from engine.execution.session_calls import SessionCall

from . import sequences, spending
from .scenarios import SCENARIOS

Check = Callable[[], list[str]]


def some_sequences() -> list[str]:
    return sequences.run(100, 7).violations


def some_spending() -> list[str]:
    report = spending.Report()
    spending.run(report, processes=8, calls=70, kills=1, seed=5)
    return report.violations


def spending_of_few() -> list[str]:
    """Two processes: an agent's limit is reached long ahead of the session's."""
    report = spending.Report()
    spending.run(report, processes=2, calls=120, kills=0, seed=5)
    return report.violations


CHECKS: dict[str, Check] = {
    **SCENARIOS,
    "sequences": some_sequences,
    "spending": some_spending,
    "spending of few": spending_of_few,
}


@dataclasses.dataclass(frozen=True)
class Bug:
    """What is replaced by what, and the check that sees it."""

    owner: Any
    name: str
    replacement: Any
    seen_by: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        original = self.owner.__dict__[self.name]
        setattr(self.owner, self.name, self.replacement)
        try:
            yield
        finally:
            setattr(self.owner, self.name, original)


# -- labels

_memory: dict[str, dict[str, Any]] = {}
_read = SessionBook.read
_begin = SessionBook.begin
_call_begin = SessionCall.begin
_line = sessions._line
_accounts_of_owner = Limits.accounts_of_owner
_forget = sessions._forget


def _labels_in_memory(session: Any, key: str, labels: Any, decision_id: Any) -> None:
    """Known to nobody but this process, and here to nobody."""


async def _begin_late(self: SessionCall, decision_id: str) -> None:
    """Behind the answer instead of ahead of the byte."""
    self.books.async_ledger.later(
        lambda: self.books.book().begin(
            session_calls._name_of(self.task) or sessions.SessionName(""),
            self.new_labels,
            decision_id,
            durable=True,
            forget_after_days=30,
        )
    )


async def _begin_or_go_on(self: SessionCall, decision_id: str) -> None:
    """A label that cannot be written stops nobody."""
    try:
        await _call_begin(self, decision_id)
    except Exception:
        return


def _only_new_sessions(self: SessionBook, name: Any, group: Any, limits: Any) -> Any:
    """Read once and never again."""
    known = _memory.setdefault("reads", {})
    key = self.key_of(name.session) if name else group
    if key not in known:
        known[key] = _read(self, name, group, limits)
    return known[key]


def _unread_is_empty(books: Any, snapshot: Any, task: Any, labels: Any, problem: str) -> SessionCall:
    return SessionCall(books, snapshot, task)


# -- money


def _never_above(session: Any, key: str, agent: Any, parent: Any) -> tuple[str, ...]:
    """A child is charged alone."""
    return _line(session, key, agent, parent)[:1]


def _last_word(session: Any, key: str, agent: str, parent: Any) -> None:
    session.run("DELETE FROM session_agents WHERE agent_key = ?", (agent,))
    session.run(
        "INSERT INTO session_agents (agent_key, session_key, parent_key) VALUES (?, ?, ?)",
        (agent, key, parent),
    )


def _without(kind: str) -> Callable[[Limits, Owner], Iterator[Any]]:
    def accounts_of_owner(self: Limits, owner: Owner) -> Iterator[Any]:
        return (each for each in _accounts_of_owner(self, owner) if not each.account_id.startswith(kind))

    return accounts_of_owner


def _without_limits(kind: str) -> Callable[[Limits, Owner], Iterator[Any]]:
    """Booked, and never refused: as when the limit is looked at ahead of the transaction."""

    def accounts_of_owner(self: Limits, owner: Owner) -> Iterator[Any]:
        for each in _accounts_of_owner(self, owner):
            known = each.account_id.startswith(kind)
            yield dataclasses.replace(each, limit_micro_usd=None) if known else each

    return accounts_of_owner


def _settles_elsewhere(session_key: Any, agent_keys: Any, group_name: Any) -> Owner:
    """What was held for a session is never given back to it, nor charged."""
    return Owner()


def _hashed_without_lengths(self: SessionBook, *words: str) -> str:
    return hashlib.sha256("".join(words).encode()).hexdigest()[:32]


def _forget_at_once(session: Any, key: str) -> bool:
    """With a call under way too."""
    for table in ("session_caches", "session_agents", "session_records", "session_labels"):
        session.run(f"DELETE FROM {table} WHERE session_key = ?", (key,))
    return True


def _forget_all_but_labels(session: Any, key: str) -> bool:
    session.run("DELETE FROM session_records WHERE session_key = ?", (key,))
    return True


def _warm_for_ever(snapshot: Any, record: Any) -> Iterator[str]:
    for model in snapshot.policy.catalogue.models:
        if (model.provider, model.id) in record.caches:
            yield model.key


def _warm_for_all(snapshot: Any, record: Any) -> Iterator[str]:
    return (model.key for model in snapshot.policy.catalogue.models if model.cache_ttl_s)


def _touch_never(session: Any, key: str, *, calls: int) -> None:
    """No call is counted."""
    session.run(
        "INSERT INTO session_records (session_key, calls, first_us, last_us) VALUES (?, 0, ?, ?) "
        "ON CONFLICT (session_key) DO UPDATE SET last_us = excluded.last_us",
        (key, session.now_us, session.now_us),
    )


BUGS: dict[str, Bug] = {
    "label forgotten on restart": Bug(
        sessions, "_write_labels", _labels_in_memory, "label_ahead_of_the_byte"
    ),
    "label written after the byte": Bug(SessionCall, "begin", _begin_late, "label_ahead_of_the_byte"),
    "label lost where it cannot be written": Bug(
        SessionCall, "begin", _begin_or_go_on, "an_unreadable_session"
    ),
    "unread session taken for empty": Bug(
        session_calls, "_unread", _unread_is_empty, "an_unreadable_session"
    ),
    "labels of messages ignored": Bug(prompt, "_labels", lambda messages: frozenset(), "labels_of_messages"),
    "no label stays": Bug(session_calls, "staying", lambda *_: frozenset(), "sequences"),
    "session read once": Bug(SessionBook, "read", _only_new_sessions, "sequences"),
    "calls not counted": Bug(sessions, "_touch", _touch_never, "sequences"),
    "child not charged to the root": Bug(sessions, "_line", _never_above, "a_tree_of_agents"),
    "child not charged, seen by its bill": Bug(sessions, "_line", _never_above, "spending of few"),
    "last word on a parent": Bug(sessions, "_write_agent", _last_word, "a_tree_of_agents"),
    "session not held": Bug(Limits, "accounts_of_owner", _without("session/"), "held_with_the_rest"),
    "session limit checked outside the transaction": Bug(
        Limits, "accounts_of_owner", _without_limits("session/"), "held_with_the_rest"
    ),
    "session limit not kept, seen by its bill": Bug(
        Limits, "accounts_of_owner", _without_limits("session/"), "spending"
    ),
    "agent limit not kept": Bug(Limits, "accounts_of_owner", _without_limits("agent/"), "held_with_the_rest"),
    "group limit not kept": Bug(Limits, "accounts_of_owner", _without_limits("group/"), "held_with_the_rest"),
    "charge not booked on the session": Bug(charges, "owner_of", _settles_elsewhere, "held_with_the_rest"),
    "names hashed without their lengths": Bug(
        SessionBook, "_hashed", _hashed_without_lengths, "a_tree_of_agents"
    ),
    "forgotten with a call under way": Bug(sessions, "_forget", _forget_at_once, "forgetting"),
    "forgotten without its labels": Bug(sessions, "_forget", _forget_all_but_labels, "forgetting"),
    "cold cache taken for warm": Bug(session_calls, "_warm", _warm_for_ever, "warm_caches"),
    "another session's cache taken for its own": Bug(session_calls, "_warm", _warm_for_all, "warm_caches"),
}


def seen(bug: Bug) -> list[str]:
    """What the check sees of it."""
    _memory.clear()
    with bug.planted():
        return CHECKS[bug.seen_by]()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plant", choices=sorted(BUGS), help="one of them; all when nothing is said")
    asked = parser.parse_args()
    unseen = 0
    for name in [asked.plant] if asked.plant else BUGS:
        problems = seen(BUGS[name])
        unseen += not problems
        print(f"{name}: {problems[0] if problems else 'NOT SEEN'}")
    return 1 if unseen else 0


if __name__ == "__main__":
    raise SystemExit(main())
