"""The cases of a policy's tests -> which rules they put to the test, and which conditions they saw both true
and false.

A rule decided a case when the chain would be another without it; it mattered when it had a part in the
outcome: it is the route or weigh taken, blocked a model of the tiers, or gave points to one of the chain.
What no case decides can be changed without a test noticing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.analysis.condition_fold import holds
from engine.analysis.policy_tests import CaseReport
from engine.config.catalogue import Model
from engine.decision.compiler import CompiledPolicy, selectors_of
from engine.decision.evaluator import decide_live
from engine.decision.facts import Facts
from engine.decision.partitions import mask_of
from engine.language.checked_policy import (
    Condition,
    Constant,
    Origin,
    Rule,
    children,
    subjects,
    walk,
)
from engine.language.source import Span
from engine.language.vocabulary import FACTS
from engine.policy import Policy


@dataclass(slots=True)
class ConditionCoverage:
    """One comparison with a fact as it is written, perhaps in a let; of a model it is asked for each one."""

    span: Span
    was_true: bool = False
    was_false: bool = False

    @property
    def is_covered(self) -> bool:
        return self.was_true and self.was_false


@dataclass(slots=True)
class RuleCoverage:
    """A rule of the author's, and how many cases it decided and mattered in. A rule on watch decides
    nothing; `mattered` is then in how many cases it would have blocked a model."""

    rule: Rule
    decided: int = 0
    mattered: int = 0
    conditions: list[ConditionCoverage] = field(default_factory=list)

    @property
    def is_covered(self) -> bool:
        return bool(self.mattered if self.rule.watch else self.decided)


def coverage(policy: Policy, reports: Sequence[CaseReport]) -> list[RuleCoverage]:
    """Every rule that the author wrote, those that policies.yaml stands for among them, in the order that
    decides."""
    compiled = policy.compiled
    bits: dict[int, list[int]] = {}
    for bit, owner in enumerate(compiled.owners):
        bits.setdefault(owner, []).append(bit)
    seen: dict[Span, ConditionCoverage] = {}
    tasks = [report.explanation.facts for report in reports]
    found = []
    for index, rule in enumerate(policy.checked.rules):
        if rule.origin is Origin.BASE or (rule.origin is Origin.YAML and not _is_written(rule, policy)):
            continue
        covered = RuleCoverage(rule)
        mine = mask_of(bits.get(index, ()))
        for report in reports:
            live = report.explanation.decision.live
            covered.decided += bool(live & mine) and _decided(compiled, live, mine)
            covered.mattered += bool(live & mine) and _mattered(rule, report)
        if rule.origin is Origin.USER:
            covered.conditions = _conditions(rule, tasks, compiled.models, seen)
        found.append(covered)
    return found


def _is_written(rule: Rule, policy: Policy) -> bool:
    """Whether the author's own policies.yaml says it, not the engine where that is silent."""
    return policy.folder.policies is not None and rule.span.source.name == policy.folder.policies.name


def _decided(policy: CompiledPolicy, live: int, mine: int) -> bool:
    """Whether the chain is another without the rule."""
    rest = live & ~mine
    if not rest & policy.weighs:
        return True  # nothing else says how to score
    return decide_live(policy, live).chain != decide_live(policy, rest).chain


def _mattered(rule: Rule, report: CaseReport) -> bool:
    explanation = report.explanation
    if rule.watch:
        return any(rule in candidate.watched for candidate in explanation.candidates)
    return explanation.mattered(rule.name)


# --- Conditions -----------------------------------------------------------------------------------------


def _conditions(
    rule: Rule, tasks: Iterable[Facts], models: Sequence[Model], seen: dict[Span, ConditionCoverage]
) -> list[ConditionCoverage]:
    """The comparisons of a rule, each once; what a let says is asked once for all its rules."""
    conditions = []
    for part in (rule.condition, *selectors_of(rule)):
        for atom in comparisons(part):
            if not _turns_on_the_task(atom):
                continue  # what the catalogue alone decides is no matter of tests
            covered = seen.get(atom.span)
            if covered is None:
                covered = seen[atom.span] = ConditionCoverage(atom.span)
                _look(covered, atom, tasks, models)
            if covered not in conditions:
                conditions.append(covered)
    return conditions


def _look(
    covered: ConditionCoverage, atom: Condition, tasks: Iterable[Facts], models: Sequence[Model]
) -> None:
    asked: Sequence[Model | None] = (None,) if _speaks_of_facts_only(atom) else models
    for facts in tasks:
        for model in asked:
            if holds(atom, facts, model):
                covered.was_true = True
            else:
                covered.was_false = True
        if covered.is_covered:
            return


def comparisons(condition: Condition) -> Iterator[Condition]:
    """The comparisons of a condition as they are written. One that stands for several tests has one span
    for them all."""
    pending = [condition]
    while pending:
        node = pending.pop()
        parts = children(node)
        if any(part.span != node.span for part in parts):
            pending.extend(reversed(parts))
        elif not any(isinstance(each, Constant) for each in (node, *parts)):
            yield node


def _turns_on_the_task(condition: Condition) -> bool:
    """Whether a test in it has a fact on a side, or the cost of the call, which grows with the size of the
    task."""
    return any(subject in FACTS or subject.startswith("model.call_cost") for subject in _subjects(condition))


def _speaks_of_facts_only(condition: Condition) -> bool:
    return all(subject in FACTS for subject in _subjects(condition))


def _subjects(condition: Condition) -> Iterator[str]:
    return (subject for each in walk([condition]) for subject in subjects(each))
