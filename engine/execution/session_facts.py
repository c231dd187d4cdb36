"""What a decision knows of the session, the agent and the group that a call belongs to, as facts.

The session store and the ledger fill these in for a task that names a session; a task that names none has the
defaults.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.language.vocabulary import NONE, FactOrigin, given_by


class SessionFacts(NamedTuple):
    """The facts of a session, one field a row of theirs; `sources` says where each that differs from a test's
    default comes from."""

    session_labels: frozenset[str] = NONE
    session_warm: frozenset[str] = NONE
    session_calls: int = 0
    session_used: Decimal = Decimal(0)
    agent_used: Decimal = Decimal(0)
    group_daily_used: Decimal = Decimal(0)
    group_monthly_used: Decimal = Decimal(0)
    sources: Mapping[str, str] = {}


if SessionFacts._fields != (*(fact.field for fact in given_by(FactOrigin.SESSION)), "sources"):
    raise TypeError("SessionFacts has other fields than the fact table rows of a session, or another order")

NO_SESSION = SessionFacts()
"""The facts of a call that names no session, agent or group."""
