"""Two policies -> the rules that differ between them, and which of them bear on a task.

A rule is the same when it has the same name, condition, effect and watch; where it stands and why it is there
do not count. So a `let` that changes changes the rules that use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.condition_fold import holds
from engine.config.catalogue import Model
from engine.decision.facts import Facts
from engine.language.checked_policy import Condition, Effect, Rule
from engine.language.source import Span
from engine.policy import Policy


@dataclass(frozen=True, slots=True)
class ChangedRule:
    """A rule as it was and as it is; None where it was not, or is no more. `span` is its place in the new
    policy, or the end of what stood before it."""

    name: str
    old: Rule | None
    new: Rule | None
    span: Span

    @property
    def verb(self) -> str:
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    def bears_on(self, facts: Facts) -> bool:
        """Whether it does something else for a task."""
        return _effect(self.old, facts) != _effect(self.new, facts)


def changed_rules(old: Policy, new: Policy) -> tuple[ChangedRule, ...]:
    """Every rule that differs, in the order of the new policy; those that are no more come last."""
    before = {rule.name: rule for rule in old.checked.rules}
    after = {rule.name: rule for rule in new.checked.rules}
    changed = [
        ChangedRule(name, before.get(name), rule, rule.name_span)
        for name, rule in after.items()
        if name not in before or _meaning(before[name]) != _meaning(rule)
    ]
    gone = [name for name in before if name not in after]
    return (
        *changed,
        *(ChangedRule(name, before[name], None, _where(before[name], old, new)) for name in gone),
    )


def changed_models(old: Policy, new: Policy) -> dict[str, Model]:
    """The models of the new policy that are new or differ, by key."""
    before = {model.key: model for model in old.catalogue.models}
    return {model.key: model for model in new.catalogue.models if before.get(model.key) != model}


def _meaning(rule: Rule) -> tuple[Condition, Effect, bool]:
    return rule.condition, rule.effect, rule.watch


def _effect(rule: Rule | None, facts: Facts) -> Effect | None:
    if rule is None or rule.watch or not holds(rule.condition, facts):
        return None
    return rule.effect


def _where(rule: Rule, old: Policy, new: Policy) -> Span:
    """Where a rule would be that is no more: after the rule that stood before it and still stands."""
    file = rule.span.source.name
    sources = (*new.folder.routes, *([new.folder.policies] if new.folder.policies else ()))
    source = next((source for source in sources if source.name == file), None)
    if source is None:
        return new.folder.models.span(0, 0)
    left = {each.name: each.span for each in new.checked.rules if each.span.source.name == file}
    return _end_of_last(left, rule, old.checked.rules) or source.span(0, 0)


def _end_of_last(left: dict[str, Span], rule: Rule, rules: Sequence[Rule]) -> Span | None:
    before = [
        left[each.name]
        for each in rules
        if each.name in left
        and each.span.source.name == rule.span.source.name
        and each.span.start < rule.span.start
    ]
    return before[-1].source.span(before[-1].end, before[-1].end) if before else None
