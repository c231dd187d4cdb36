"""What became of the calls of many schedules, summed up for a reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call: `answered`, `left` by its caller, or an error's class and message."""

    became: str
    manner: str
    message: str = ""


@dataclass(slots=True)
class Report:
    """What was seen; `violations` must stay empty. Money in micro-dollars.

    `errors` has the first message of each class of error.
    """

    schedules: int = 0
    kills: int = 0
    limits: int = 0
    billed: float = 0
    booked: int = 0
    forfeited: int = 0
    worst_share_of_a_limit: float = 0
    violations: list[str] = field(default_factory=list)
    manners: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of some calls."""
        for outcome in outcomes:
            self.outcomes[outcome.became] += 1
            if outcome.message:
                self.errors.setdefault(outcome.became, outcome.message)

    def add(self, other: Mapping[str, Any]) -> None:
        """Take in another report, as `raw` has it."""
        self.worst_share_of_a_limit = max(self.worst_share_of_a_limit, other["worst_share_of_a_limit"])
        self.violations += other["violations"]
        self.manners.update(other["manners"])
        self.outcomes.update(other["outcomes"])
        self.errors = other["errors"] | self.errors
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + other[name])

    def raw(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def told(self) -> dict[str, Any]:
        """What a reader wants of it."""
        sums = {name: getattr(self, name) for name in _SUMS}
        return sums | {
            "calls": self.outcomes.total(),
            "outcomes": dict(self.outcomes.most_common()),
            "booked_of_billed": round(self.booked / self.billed, 3) if self.billed else None,
            "forfeited_of_billed": round(self.forfeited / self.billed, 3) if self.billed else None,
            "billed_of_limits": round(self.billed / self.limits, 3) if self.limits else None,
            "worst_share_of_a_limit": self.worst_share_of_a_limit,
            "violations": len(self.violations),
        }

    def what_happened(self) -> str:
        """The outcomes and the first error of each class, a line each."""
        lines = [
            f"{count:6} {became}: {self.errors.get(became, '')}"
            for became, count in self.outcomes.most_common()
        ]
        return "\n".join(lines)


_SUMS = ("schedules", "kills", "limits", "billed", "booked", "forfeited")
