"""`after CONDITION` of a proof -> the later calls that such an earlier call can have, as a condition of their
own facts.

An earlier call reaches a later one only through what grows or stays: its labels are among `session.labels`,
`session.calls` is more, `session.used` no less, and `task.group` the same. So the later calls are the earlier
ones projected on these facts: a union of boxes again, and no sequence is searched. Within a box every fact is
independent of the others, which is why the projection is exact.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.analysis.condition_fold import holds
from engine.analysis.questions import Asked, Questioned, TooComplex, some_live
from engine.analysis.search import Work, find
from engine.analysis.space import Box
from engine.config.catalogue import Model
from engine.decision.compiler import selectors_of
from engine.decision.cubes import LOWEST, OTHER, Cube, Elements, Interval, NameSet, mention_elements
from engine.decision.facts import Facts
from engine.decision.partitions import bits_of
from engine.language.checked_policy import (
    All,
    Any,
    CheckedPolicy,
    Compare,
    Condition,
    Constant,
    Has,
    In,
    Not,
)
from engine.language.known_names import Names
from engine.language.source import Source
from engine.language.staying import EARLIER, LABELS

_NOWHERE = Source("after", "").span(0, 0)


class LaterCalls:
    """The calls of a session behind one that a condition holds of. `condition` holds of exactly their facts.

    Raises TooComplex when the condition comes to more cubes than a rule may have.
    """

    def __init__(
        self, after: Condition, checked: CheckedPolicy, models: tuple[Model, ...], names: Names
    ) -> None:
        self._after = after
        mentions = _mentions(checked, models) if names.labels is None else ()
        self._labels = frozenset(element for _, element in mentions)
        alone = replace(checked, rules=(), tests=(), proofs=())
        asked = Asked(_mentioning(after, mentions))
        self._questioned = Questioned(alone, models, names, [asked])
        self._space = self._questioned.space
        self._boxes: list[tuple[Cube, Box]] = []
        for bit in bits_of(self._questioned.condition(0)):
            witness = find(self._space, [some_live(1 << bit)], Work())
            cells = self._space.cube(bit)
            if witness is not None and cells is not None:
                self._boxes.append((self._space.cubes[bit], witness.box))
        later = Any(tuple(_projected(cube) for cube, _ in self._boxes), _NOWHERE)
        self.condition: Condition = _mentioning(later, mentions)

    @property
    def are_none(self) -> bool:
        """Whether no call at all satisfies the condition."""
        return not self._boxes

    def earlier(self, later: Facts) -> Facts:
        """A plain earlier call that this later one can follow."""
        for cube, box in self._boxes:
            if holds(_projected(cube, later.session_labels - self._labels), later):
                facts = self._space.facts(box)
                facts = facts._replace(
                    labels=_within(facts.labels, later.session_labels),
                    session_labels=_within(facts.session_labels, later.session_labels),
                    group=later.group,
                    session_used=min(facts.session_used, later.session_used),
                )
                assert holds(self._after, facts), "an earlier call that the proof speaks of"
                return Facts(*facts)
        raise AssertionError("no earlier call of which the proof speaks has this later one")


def _mentions(checked: CheckedPolicy, models: Sequence[Model]) -> tuple[tuple[str, str], ...]:
    """Both facts of labels with every label that rules or proofs mention: only what neither mentions is alike
    to both."""
    elements, seen = Elements({}), set[int]()
    conditions: list[Condition] = [proof.condition for proof in checked.proofs]
    conditions += [proof.after for proof in checked.proofs if proof.after is not None]
    for rule in checked.rules:
        conditions += [rule.condition, *selectors_of(rule)]
    for condition in conditions:
        mention_elements(condition, tuple(models), elements, seen)
    labels = {*elements.all_of(LABELS), *elements.all_of(EARLIER)} - {OTHER}
    return tuple((fact, label) for label in sorted(labels) for fact in (LABELS, EARLIER))


def _mentioning(condition: Condition, mentions: Sequence[tuple[str, str]]) -> Condition:
    """The same condition, which mentions these elements too."""
    if not mentions:
        return condition
    never = Constant(False, _NOWHERE)
    named = tuple(Has(fact, element, _NOWHERE) for fact, element in mentions)
    return Any((condition, All((never, *named), _NOWHERE)), _NOWHERE)


def _projected(cube: Cube, others: frozenset[str] | None = None) -> Condition:
    """What a later call shows of an earlier one in the cube. `others` are the labels of a later call that
    nobody mentions, where they are known."""
    calls, parts = 0, list[Condition]()
    for variable, constraint in cube.items():
        match variable, constraint:
            case ("task.labels" | "session.labels", str(element)), True:
                if element == OTHER and others is not None:
                    parts.append(Constant(bool(others), _NOWHERE))
                else:
                    parts.append(Has(EARLIER, element, _NOWHERE))
            case "session.calls", Interval(low):
                calls = max(0, int(low[0]))
            case "session.used", Interval(low) if low != LOWEST:
                parts.append(Compare("session.used", ">" if low[1] else ">=", low[0], _NOWHERE))
            case "task.group", NameSet(inside, members):
                named = In("task.group", members, _NOWHERE)
                parts.append(named if inside else Not(named, _NOWHERE))
            case _:
                pass  # nothing of it reaches a later call
    return All((Compare("session.calls", ">=", calls + 1, _NOWHERE), *parts), _NOWHERE)


def _within(labels: frozenset[str], later: frozenset[str]) -> frozenset[str]:
    """The labels, with one of the later call's in place of each that stands for what nobody mentions."""
    if labels <= later:
        return labels
    spare = sorted(later - labels)
    return labels & later | frozenset(spare[:1])


__all__ = ["LaterCalls", "TooComplex"]
