"""A policy and what is to replace it -> whether the new one lets more out, or spends more: the one judgement
behind `diff`, a reload, the language server and whoever else takes an edit.

It is exact within a stated amount of work, and what that did not decide counts as wider. A leak is a task
for which a cloud model is in the new chain and was not in the old, a task that the old policy did not
take, or another place that requests go to (`destinations`). Money is judged apart (`spending`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.analysis.answer_text import facts_to_state, task_text
from engine.analysis.axes import Domain
from engine.analysis.destinations import other_destinations
from engine.analysis.first_models import moved_to_cloud
from engine.analysis.policy_diff import Comparison
from engine.analysis.questions import Chains
from engine.analysis.search import OutOfWork, Work, find
from engine.analysis.space import Box, Space
from engine.analysis.spending import limits_and_prices
from engine.decision.cubes import OTHER
from engine.decision.evaluator import Evaluator
from engine.decision.facts import INDEX, Facts
from engine.language.checked_policy import FactValue
from engine.language.source import Span
from engine.language.vocabulary import FactOrigin, given_by
from engine.language.wording import listed
from engine.policy import Policy

MOST_WORK = 2_000_000
"""Steps of the search (see `search`) that one judgement may take, unless its caller allows more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One way in which the new policy lets more out or spends more. `given` is the plainest task that shows
    it, `before` and `after` are its chains; None and empty where no task is needed to see it.

    `modes` are the modes of the two sides where the task names none and their default is another. `span` is
    the place in the new YAML files of what needs no task to be seen, where it has one.
    """

    text: str
    given: Mapping[str, FactValue] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    modes: tuple[str, str] | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a new policy lets out and spends beyond the old one. `undecided` says what the `work` steps taken
    did not decide."""

    leaks: tuple[Change, ...]
    spending: tuple[Change, ...]
    undecided: tuple[str, ...]
    work: int
    leaks_undecided: bool = False
    """Whether some of what is undecided is a leak."""

    @property
    def lets_more_out(self) -> bool | None:
        """None when that was not decided."""
        return True if self.leaks else None if self.leaks_undecided else False

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence each: why the new policy is not to be taken unasked. Empty when it may be."""
        return (*(change.text for change in (*self.leaks, *self.spending)), *self.undecided)


def judge(old: Policy, new: Policy, most_work: int = MOST_WORK) -> Judgement:
    """Whether `new` in the place of `old` lets more out or spends more."""
    return _Judge(old, new, most_work).judgement()


class _Judge:
    def __init__(self, old: Policy, new: Policy, most_work: int) -> None:
        self._old, self._new, self._work = old, new, Work(most_work)

    def judgement(self) -> Judgement:
        old, new = self._old, self._new
        comparison = Comparison(old, new)
        leaks = [Change(text, span=span) for text, span in other_destinations(old.catalogue, new.catalogue)]
        leaks += map(Change, (*_other_clock(old, new, comparison.space), *_forgotten_sooner(old, new)))
        spending = [Change(text, span=span) for text, span in limits_and_prices(old, new)]
        undecided: list[str] = []
        is_leak_undecided = False
        for question, found, answers in (
            ("whether a task gets a cloud model it was kept from", leaks, self._joining(comparison)),
            ("whether a task that names no mode gets a cloud model", leaks, self._default_mode()),
            ("whether a task of a new name gets a cloud model", leaks, self._new_names()),
            ("whether a task goes to the cloud first", spending, self._moved(comparison)),
        ):
            try:
                found += answers
            except OutOfWork as capped:
                is_leak_undecided |= found is leaks
                undecided.append(f"{question} was not decided: {capped.done:,} steps did not suffice")
                self._work.done = min(self._work.done, self._work.most // 2)
        return Judgement(tuple(leaks), tuple(spending), tuple(undecided), self._work.done, is_leak_undecided)

    # --- Tasks that both policies take ---

    def _joining(self, comparison: Comparison) -> Iterator[Change]:
        witness = comparison.joining(self._work, _as_limited(self._old, self._new, comparison.space))
        if witness is not None:
            yield self._shown(*comparison.facts(witness), comparison.domain.defaults)

    def _default_mode(self) -> Iterator[Change]:
        modes = self._old.settings.default_mode, self._new.settings.default_mode
        if modes[0] == modes[1]:
            return
        comparison = Comparison(self._old, self._new, modes)
        witness = comparison.joining(self._work, _as_limited(self._old, self._new, comparison.space))
        if witness is not None:
            defaults = comparison.domain.defaults._replace(mode=modes[1])
            yield self._shown(*comparison.facts(witness), defaults, modes)

    def _moved(self, comparison: Comparison) -> Iterator[Change]:
        witness = moved_to_cloud(comparison, self._work)
        if witness is not None:
            change = self._shown(*comparison.facts(witness), comparison.domain.defaults)
            firsts = f"`{change.after[0]}` instead of `{change.before[0]}`"
            text = f"{firsts} is first for {_task(change)}, for example"
            yield Change(text, change.given, change.before, change.after)

    def _shown(
        self, before: Facts, after: Facts, defaults: Facts, modes: tuple[str, str] | None = None
    ) -> Change:
        old, new = Evaluator(self._old.compiled).decide(before), Evaluator(self._new.compiled).decide(after)
        known = {(model.provider, model.key) for model in old.chain if model.locality == "cloud"}
        joined = [
            model.key
            for model in new.chain
            if model.locality == "cloud" and (model.provider, model.key) not in known
        ]
        given = facts_to_state(after, defaults)
        change = Change(
            "",
            given,
            tuple(model.key for model in old.chain),
            tuple(model.key for model in new.chain),
            modes,
        )
        why = "" if modes is None else f", now that the default mode is {modes[1]} and not {modes[0]}"
        text = f"{listed([f'`{key}`' for key in joined])} may get {_task(change)}, for example{why}"
        return Change(text, given, change.before, change.after, modes)

    # --- Tasks that the old policy does not take ---

    def _new_names(self) -> Iterator[Change]:
        new, compiled = self._new, self._new.compiled
        space = Space(compiled.cubes, Domain.of(new.names))
        chains = Chains(compiled)
        goals = [
            chains.in_chain(place) for place, model in enumerate(compiled.models) if model.locality == "cloud"
        ]
        for kind, fact, name, box in _new_boxes(self._old, new, space):
            witness = find(space, goals, self._work, [box])
            if witness is not None:
                facts = witness.facts if name is None else _named(witness.facts, fact, name, new.names.labels)
                given = facts_to_state(facts, space.domain.defaults)
                shown = "of any name" if name is None else f"`{name}`"
                text = (
                    f"the {kind} {shown} was not known, and its tasks may go to the cloud, for example "
                    f"{task_text(given)}"
                )
                chain = Evaluator(compiled).decide(facts).chain
                yield Change(text, given, (), tuple(model.key for model in chain))


def _task(change: Change) -> str:
    assert change.given is not None
    return f"the task {task_text(change.given)}"


def _as_limited(old: Policy, new: Policy, space: Space) -> Box:
    """Tasks for which nothing is used up that has a limit in the old policy only: a limit that goes is money,
    and judged there."""
    gone = {*old.names.limited_providers} - {*new.names.limited_providers}
    shares = {INDEX[name] for name in new.names.unlimited - old.names.unlimited}
    providers = INDEX["budget.exhausted_providers"]
    unspent: Box = {}
    for number, axis in enumerate(space.axes):
        if axis.fact == providers and axis.element in gone:
            unspent[number] = 1
        elif axis.fact in shares and axis.usual is not None:
            unspent[number] = 1 << axis.usual
    return unspent


def _forgotten_sooner(old: Policy, new: Policy) -> Iterator[str]:
    """Sessions whose labels are remembered for less time: what a label keeps home is let out again."""
    before, after = old.settings.sessions, new.settings.sessions
    if before.labels_stay != () and after.forget_after_days < before.forget_after_days:
        days = f"{after.forget_after_days} days now, and was after {before.forget_after_days}"
        yield f"what an unused session carried is forgotten after {days}"


def _other_clock(old: Policy, new: Policy, space: Space) -> Iterator[str]:
    """The rules' clock in another time zone: an hour that they keep home is another instant."""
    before, after = old.settings.budgets.time_zone, new.settings.budgets.time_zone
    clock = {INDEX[fact.name] for fact in given_by(FactOrigin.CLOCK)}
    if before != after and any(axis.fact in clock for axis in space.axes):
        yield f"the clock of the rules is {after}'s now, and was {before}'s"


def _new_boxes(old: Policy, new: Policy, space: Space) -> Iterator[tuple[str, str, str | None, Box]]:
    """Modes, task types, labels and groups that only the new policy takes, and the tasks that have them: what
    it is, its fact, its name (None for any), and where it stands in the space."""
    for kind, fact, before, after in (
        ("mode", "mode", tuple(old.names.modes), tuple(new.names.modes)),
        ("task type", "task.type", old.names.task_types, new.names.task_types),
        ("label", "task.labels", old.names.labels, new.names.labels),
        ("group", "task.group", old.names.groups, new.names.groups),
    ):
        if before is None:
            continue  # every name was known
        if after is None:
            yield kind, fact, None, _any_other(space, fact, before)
        else:
            for name in after:
                if name not in before:
                    yield kind, fact, name, _with_name(space, fact, name)


def _with_name(space: Space, fact: str, name: str) -> Box:
    axes = {axis.element: number for number, axis in enumerate(space.axes) if axis.fact == INDEX[fact]}
    if None in axes:
        return {axes[None]: 1 << space.axes[axes[None]].cell(name)}
    number = axes.get(name, axes.get(OTHER))
    return {} if number is None else {number: 2}  # no rule asks for it: such a task is decided as any


def _named(facts: Facts, fact: str, name: str, labels: tuple[str, ...] | None) -> Facts:
    """A task of a box in which no name of the fact matters but as one of many: with this name."""
    values: list[FactValue] = list(facts)
    if fact == "task.labels":
        values[INDEX[fact]] = frozenset({name, *(each for each in facts.labels if each in (labels or ()))})
    else:
        values[INDEX[fact]] = name
    named: Facts = Facts._make(values)
    return named


def _any_other(space: Space, fact: str, names: tuple[str, ...]) -> Box:
    """Tasks with a name that is none of these."""
    for number, axis in enumerate(space.axes):
        if axis.fact == INDEX[fact]:
            if axis.element == OTHER:
                return {number: 2}
            if axis.element is None:
                known = sum(
                    1 << cell
                    for cell, value in enumerate(axis.values)
                    if value in names and cell != axis.others
                )
                return {number: axis.domain & ~known}
    return {}
