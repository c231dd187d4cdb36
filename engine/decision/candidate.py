"""One model in one decision: its verdict, its score, and the rules that block it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from engine.config.catalogue import Model
from engine.decision.scoring import Parts
from engine.language.checked_policy import Rule

Verdict: TypeAlias = Literal["chosen", "fallback", "blocked", "unused"]


@dataclass(frozen=True, slots=True)
class Score:
    """An exact total, its unweighted parts (0 to 100), and the preferences applied, `avoid` below zero."""

    total: Decimal
    parts: Parts
    preferences: tuple[tuple[Rule, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model of the catalogue in one decision. `score` is None outside the chain.

    `blockers` are all guards that block it, `watched` those that would if they were not being watched, in
    file order.
    """

    model: Model
    verdict: Verdict
    score: Score | None
    blockers: tuple[Rule, ...]
    watched: tuple[Rule, ...]
