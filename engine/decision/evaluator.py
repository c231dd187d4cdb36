"""A compiled policy and facts -> a decision: the chain and its exact scores, or a refusal.

Each fact falls into a cell; a combination of cells that was seen before is looked up, a new one is decided by
ANDing the masks of its cells. Both give the same answer, at any size of policy. Nothing here explains
(`explanation`) or calls a model.
"""

from collections.abc import Callable, Sequence
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

    decide: Callable[[Facts], Decision]
    """The decision for these facts."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self.policy = policy
        self._masks = tuple(column.mask for column in policy.columns)
        self._known: dict[tuple[Any, ...], Decision] = {}
        self.decide = self._written_out()

    def _written_out(self) -> Callable[[Facts], Decision]:
        """`decide` for this policy's columns: a look-up of each fact's cell, then one of the decision.

        Written as source once a policy, because a loop over the columns takes twice as long. The source holds
        positions, and nothing that an author wrote.
        """
        names: dict[str, Any] = {"known": self._known, "decide_anew": self._decide_anew}
        cells = []
        for number, column in enumerate(self.policy.columns):
            opens, closes = "()" if column.table is None else "[]"
            names[f"cell{number}"] = column.lookup if column.table is None else column.table
            cells.append(f"cell{number}{opens}facts[{column.position}]{closes}")
        source = f"""
def decide(facts):
    cells = ({", ".join(cells)},)
    return known.get(cells) or decide_anew(cells)
"""
        exec(source, names)
        decide: Callable[[Facts], Decision] = names["decide"]
        return decide

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
