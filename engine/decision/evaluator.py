"""A compiled policy and facts -> a decision: the chain and its exact scores, or a refusal.

Each fact falls into a cell; a combination of cells that was seen before is looked up, a new one is decided by
ANDing the masks of its cells. Both give the same answer, at any size of policy. Nothing here explains
(`explanation`) or calls a model.
"""

from collections.abc import Sequence
from operator import call, itemgetter
from typing import Any, NamedTuple

from engine.config.catalogue import Model
from engine.decision.compiler import CompiledPolicy
from engine.decision.facts import Facts
from engine.decision.partitions import MOST_REMEMBERED
from engine.language.checked_policy import Rule


class Decision(NamedTuple):
    """What a policy says to a task. An empty chain is a refusal.

    `totals` are the exact scores of the chain's models, in whole units of 10^-scale of the policy; `tiers`
    says how many of the chain's models each tier gave; `live` are the cubes that hold, from which an
    explanation is made.
    """

    chain: tuple[Model, ...]
    totals: tuple[int, ...]
    tiers: tuple[int, ...]
    route: Rule | None
    weigh: Rule
    live: int


class Evaluator:
    """Decides for one compiled policy. Thread-safe: its memory only ever gains equal answers."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        positions = [column.position for column in policy.columns]
        self._pick = itemgetter(*positions, positions[0])  # one more, so that the answer is always a tuple
        self._lookups = tuple(column.lookup for column in policy.columns)
        self._masks = tuple(column.mask for column in policy.columns)
        self._known: dict[tuple[Any, ...], Decision] = {}

    def decide(self, facts: Facts) -> Decision:
        """The decision for these facts."""
        cells = tuple(map(call, self._lookups, self._pick(facts)))
        return self._known.get(cells) or self._decide_anew(cells)

    def _decide_anew(self, cells: tuple[Any, ...]) -> Decision:
        live = self.policy.full
        for mask, cell in zip(self._masks, cells, strict=True):
            live &= mask(cell)
        decision = decide_live(self.policy, live)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[cells] = decision
        return decision


def decide_live(policy: CompiledPolicy, live: int) -> Decision:
    """The decision when exactly these cubes hold."""
    return rank(policy, live, [not live & guard for guard in policy.guards])


def rank(policy: CompiledPolicy, live: int, eligible: Sequence[bool]) -> Decision:
    """The route's tiers, filled with the eligible models by score."""
    route, weigh = first_rule(policy, live & policy.routes), first_rule(policy, live & policy.weighs)
    assert weigh is not None, "the lowered settings weigh every mode"
    rules, models, scores, favours, ties = (
        policy.rules,
        policy.models,
        policy.scores[weigh],
        policy.favours,
        policy.ties,
    )
    chain: list[Model] = []
    totals: list[int] = []
    counts: list[int] = []
    placed: set[int] = set()
    for tier in policy.default if route is None else policy.tiers[route]:
        ranked = []
        for model in tier.members(live):
            if eligible[model] and model not in placed:
                placed.add(model)
                applied = live & favours[model].mask
                total = scores[model] + favours[model].total(applied) if applied else scores[model]
                ranked.append((-total, ties[model], model))
        ranked.sort()
        counts.append(len(ranked))
        for negative, _, model in ranked:
            chain.append(models[model])
            totals.append(-negative)
    return Decision(
        tuple(chain),
        tuple(totals),
        tuple(counts),
        None if route is None else rules[route],
        rules[weigh],
        live,
    )


def first_rule(policy: CompiledPolicy, live: int) -> int | None:
    """The index of the first rule that has a live bit; bits stand in rule order."""
    return policy.owners[(live & -live).bit_length() - 1] if live else None
