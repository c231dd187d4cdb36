"""What an earlier call of a session was -> what it leaves for a later call.

A later call has every label of an earlier one among `session.labels`, at least one call more, no less used of
the session's budget, and the same group. Nothing else of an earlier call reaches a later one.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.language.vocabulary import NONE, FactValue


def extended(later: Mapping[str, FactValue], earlier: Mapping[str, FactValue]) -> dict[str, FactValue]:
    """The facts given of a later call, with what the earlier one leaves; what is given of both is the
    larger."""
    facts = dict(later)
    labels = _set(facts, "session.labels") | _set(earlier, "task.labels") | _set(earlier, "session.labels")
    if labels:
        facts["session.labels"] = labels
    calls = _whole(earlier, "session.calls") + 1
    facts["session.calls"] = max(_whole(facts, "session.calls"), calls)
    used = max(_share(facts), _share(earlier))
    if used:
        facts["session.used"] = used
    if "task.group" in earlier:
        facts.setdefault("task.group", earlier["task.group"])
    return facts


def _set(facts: Mapping[str, FactValue], name: str) -> frozenset[str]:
    value = facts.get(name, NONE)
    assert isinstance(value, frozenset)
    return value


def _whole(facts: Mapping[str, FactValue], name: str) -> int:
    value = facts.get(name, 0)
    assert isinstance(value, int)
    return value


def _share(facts: Mapping[str, FactValue]) -> Decimal:
    value = facts.get("session.used", Decimal(0))
    assert isinstance(value, Decimal)
    return value
