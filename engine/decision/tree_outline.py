"""A diagram of outcomes -> the rows of its picture: what is asked, what each answer comes to, and why.

Each question is the one that leaves the least to draw, be it a fact or a condition that the author named.
Answers that lead the same way are one branch, a number whose answers all end is one row (a ladder), and what
several branches share is drawn where it is first met. The rows are the same function as the diagram.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from engine.decision.cubes import OTHER
from engine.decision.diagrams import Diagram, End, Fork, Region, parts, questions, values
from engine.decision.outcome_tree import OutcomeTree, asks_number
from engine.decision.outcomes import Outcome, Place
from engine.decision.partitions import Question
from engine.language.checked_policy import Rule
from engine.language.vocabulary import FACTS, Kind

MOST_DEPTH = 200
MOST_WORK = 3_000_000
"""Parts of a diagram looked at to choose questions well; beyond them the diagram's own order is taken."""

Grain: TypeAlias = Callable[[Outcome], Hashable]
"""Which outcomes are drawn apart."""


def _kind(outcome: Outcome) -> tuple[str, tuple[int, ...]]:
    """A place and its deciding rule. Refusals are one kind: each needs a rule for either side, and a picture
    that told all pairs of them apart would show little else."""
    return outcome.place.value, () if outcome.place is Place.REFUSED else outcome.rules[:1]


GRAINS: dict[str, Grain] = {
    "outcomes": _kind,
    "models": lambda outcome: (_kind(outcome), outcome.chain[:1]),
    "chains": lambda outcome: (_kind(outcome), outcome.chain),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What some tasks come to. `values` says which answers of a ladder they give, `condition` says the same
    exactly, as a policy would; both are empty outside a ladder.

    `rules` decide for all of them; for a refusal also those that decide for some only, behind the others.
    `chains` are the chains there are, each once.
    """

    values: str
    condition: str
    place: Place
    rules: tuple[Rule, ...]
    chains: tuple[tuple[str, ...], ...]

    @property
    def firsts(self) -> tuple[str, ...]:
        """The models that come first, each once."""
        return tuple(dict.fromkeys(chain[0] for chain in self.chains if chain))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture. It asks (`question`), or says what it comes to (`results`, and `question` too
    where they are a ladder), or refers to the row where the same was drawn (`again`).

    `number` is the row's place, `parent` the row it hangs on. `branch` is the answer that leads here, and
    `condition` the same as a policy says it, exact for all who are asked. Where the picture was cut, `cut` is
    how many more rows there would be, and `results` what they come to.
    """

    number: int
    parent: int | None
    level: int
    branch: str
    condition: str
    last: bool
    question: str
    results: tuple[Result, ...]
    again: int | None = None
    cut: int = 0


def depth_of(rows: Sequence[Row]) -> int:
    """How many questions deep the rows are."""
    return max(1, max(row.level for row in rows))


@dataclass(frozen=True, slots=True)
class _Way:
    """One branch of a question: how it reads, and where it is taken, also as a condition, exact for all who
    are asked."""

    label: str
    condition: str
    region: Region


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and its branches. Every way of a ladder ends."""

    title: str
    ways: tuple[_Way, ...]
    ladder: bool = False

    @property
    def regions(self) -> list[Region]:
        return [way.region for way in self.ways]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is left to draw below some answers: the function of the picture, the outcomes themselves, and what
    is left to know of the conditions with a name; None for those that have no say any more."""

    shape: Diagram[Hashable]
    outcomes: Diagram[Outcome]
    named: tuple[Region | None, ...]

    @property
    def key(self) -> Hashable:
        """Parts with one key are drawn alike, and their questions mean the same."""
        return self.shape, self.named


@dataclass(frozen=True, slots=True)
class _Draft:
    """A row before it is known what it comes to: the way that leads to it, and what it asks."""

    part: _Part
    parent: int | None
    level: int
    way: _Way
    last: bool
    asked: _Asked | None = None
    again: int | None = None
    cut: bool = False


class Outline:
    """The picture of one tree. `leaves` is a name in GRAINS: which outcomes are drawn apart."""

    def __init__(self, tree: OutcomeTree, leaves: str = "outcomes") -> None:
        self._tree, grain = tree, GRAINS[leaves]
        self._diagrams = tree.diagrams
        self._chosen: dict[Hashable, _Asked] = {}
        self._work = 0
        shape = tree.diagrams.mapped(tree.root, grain)
        self._whole = _Part(shape, tree.root, self._named(shape, [named.region for named in tree.regions]))

    def rows(self, depth: int | None = None) -> list[Row]:
        """The rows, parents before children; no more than `depth` questions deep."""
        drafts = self._drafts(MOST_DEPTH if depth is None else min(depth, MOST_DEPTH))
        met = self._outcomes_met(drafts)
        return [self._row(number, draft, met[number]) for number, draft in enumerate(drafts)]

    def _drafts(self, most: int) -> list[_Draft]:
        """What stands on each row, and which it hangs on."""
        drafts: list[_Draft] = []
        drawn: dict[Hashable, int] = {}
        stack = [_Draft(self._whole, None, 0, _Way("", "", self._diagrams.everywhere), True)]
        while stack:
            draft = stack.pop()
            part, number = draft.part, len(drafts)
            again = drawn.get(part.key)
            asked = None if isinstance(part.shape, End) else self._asked(part)
            cut = asked is not None and not asked.ladder and again is None and draft.level >= most
            draft = replace(draft, asked=asked, again=again, cut=cut)
            drafts.append(draft)
            if asked is not None and not (asked.ladder or cut or again is not None):
                drawn[part.key] = number
                for place, way in enumerate(reversed(asked.ways)):
                    below = self._below(part, way.region)
                    stack.append(_Draft(below, number, draft.level + 1, way, place == 0))
        return drafts

    def _outcomes_met(self, drafts: Sequence[_Draft]) -> list[dict[Diagram[Outcome], None]]:
        """The outcomes below each row: its own, and those of every row that refers to it."""
        met: list[dict[Diagram[Outcome], None]] = [{} for _ in drafts]
        children: dict[int, list[int]] = {}
        for number, draft in enumerate(drafts):
            if draft.parent is not None:
                children.setdefault(draft.parent, []).append(number)
        pending = [(number, draft.part.outcomes) for number, draft in enumerate(drafts)]
        while pending:
            number, outcomes = pending.pop()
            if outcomes in met[number]:
                continue
            met[number][outcomes] = None
            again = drafts[number].again
            if again is not None:
                pending.append((again, outcomes))
            for child in children.get(number, ()):
                pending.append((child, self._diagrams.narrowed(outcomes, drafts[child].way.region)))
        return met

    def _row(self, number: int, draft: _Draft, met: Iterable[Diagram[Outcome]]) -> Row:
        asked, results = draft.asked, list[Result]()
        if asked is None or draft.cut:
            results = self._results(met, _Way("", "", self._diagrams.everywhere))
        elif asked.ladder:
            results = [result for way in asked.ways for result in self._results(met, way)]
        return Row(
            number,
            draft.parent,
            draft.level,
            draft.way.label,
            draft.way.condition,
            draft.last,
            "" if asked is None else asked.title,
            tuple(results),
            draft.again,
            self._rows_below(draft.part) if draft.cut else 0,
        )

    def _below(self, part: _Part, region: Region) -> _Part:
        narrowed = self._diagrams.narrowed
        shape = narrowed(part.shape, region)
        named = [None if one is None else narrowed(one, region) for one in part.named]
        return _Part(shape, narrowed(part.outcomes, region), self._named(shape, named))

    def _named(self, shape: Diagram[Hashable], named: Sequence[Region | None]) -> tuple[Region | None, ...]:
        """The conditions that still have a say: both answers leave less of the shape."""
        narrowed, opposite = self._diagrams.narrowed, self._diagrams.opposite

        def has_a_say(region: Region) -> bool:
            return isinstance(region, Fork) and not any(
                narrowed(shape, answer) is shape for answer in (region, opposite(region))
            )

        return tuple(one if one is not None and has_a_say(one) else None for one in named)

    def _rows_below(self, part: _Part) -> int:
        """How many rows a part that is cut off would take."""
        met, count, stack = set[Hashable](), 0, [part]
        while stack:
            one = stack.pop()
            count += 1
            if isinstance(one.shape, Fork) and one.key not in met:
                met.add(one.key)
                asked = self._asked(one)
                if not asked.ladder:
                    stack += [self._below(one, region) for region in asked.regions]
        return count - 1

    def _results(self, met: Iterable[Diagram[Outcome]], way: _Way) -> list[Result]:
        """What the tasks on a way come to, one result for each place and deciding rule."""
        found: dict[Hashable, dict[Outcome, None]] = {}
        for diagram in met:
            for outcome in values(self._diagrams.narrowed(diagram, way.region)):
                found.setdefault(_kind(outcome), {})[outcome] = None
        return [
            Result(
                way.label,
                way.condition,
                next(iter(outcomes)).place,
                tuple(self._tree.policy.rules[rule] for rule in _deciding(list(outcomes))),
                tuple(dict.fromkeys(outcome.chain for outcome in outcomes)),
            )
            for outcomes in found.values()
        ]

    # --- Which question is asked ------------------------------------------------------------------------

    def _asked(self, part: _Part) -> _Asked:
        if part.key not in self._chosen:
            self._chosen[part.key] = self._choose(part)
        return self._chosen[part.key]

    def _choose(self, part: _Part) -> _Asked:
        """The question that leaves the least to draw; of equal ones a condition with a name, which says more.
        A number that does not end here comes last: it would split everything behind it."""
        shape, facts = part.shape, sorted(questions(part.shape))
        size = sum(1 for _ in parts(shape))
        self._work += size * len(facts)
        if self._work > MOST_WORK:
            return self._fact(shape, next(self._askable(facts)))

        def left(asked: _Asked) -> int:
            ways = (self._diagrams.narrowed(shape, region) for region in asked.regions)
            return sum(isinstance(one, Fork) for way in ways for one in parts(way))

        candidates = [(False, asked) for asked in self._conditions(part)]
        for place in self._askable(facts):
            asked = self._fact(shape, place)
            candidates.append((asks_number(self._tree.questions[place]) and not asked.ladder, asked))
        return min(candidates, key=lambda candidate: (candidate[0], left(candidate[1])))[1]

    def _askable(self, facts: Sequence[int]) -> Iterator[int]:
        """The questions that can be put into words: what nobody mentions of a set (see `set_title`) only once
        nothing else of it is left to ask."""
        asked = [self._tree.questions[place] for place in facts]
        for place, question in zip(facts, asked, strict=True):
            others = (other for other in asked if other.fact == question.fact and other is not question)
            if question.element != OTHER or not any(others):
                yield place

    def _conditions(self, part: _Part) -> Iterator[_Asked]:
        for named, region in zip(self._tree.regions, part.named, strict=True):
            if region is not None:
                answers = (
                    _Way("yes", named.title, region),
                    _Way("no", f"not ({named.title})", self._diagrams.opposite(region)),
                )
                yield _Asked(named.title, answers)

    def _fact(self, shape: Diagram[Hashable], place: int) -> _Asked:
        question = self._tree.questions[place]
        ways = [
            self._diagrams.narrowed(shape, self._region(place, [branch.cell])) for branch in question.branches
        ]
        if asks_number(question) and all(isinstance(way, End) for way in ways):
            runs = [list(cells) for _, cells in groupby(range(len(ways)), key=lambda cell: id(ways[cell]))]
            return self._branching(place, runs, _steps(question, runs), ladder=True)
        together: dict[Diagram[Hashable], list[int]] = {}
        for cell, way in enumerate(ways):
            together.setdefault(way, []).append(cell)
        groups = list(together.values())
        if question.element is not None:
            groups.sort(reverse=True)  # yes before no
        rest = _rest(question, groups)
        if rest is not None:
            groups.append(groups.pop(rest))
        labels = [_label(question, cells) for cells in groups]
        if rest is not None:
            labels[-1] = f"any other {question.fact.removeprefix('task.')}"
        return self._branching(place, groups, labels)

    def _branching(
        self, place: int, groups: Sequence[Sequence[int]], labels: Sequence[str], *, ladder: bool = False
    ) -> _Asked:
        question = self._tree.questions[place]
        ways = (
            _Way(label, question.reads(cells).condition, self._region(place, cells))
            for label, cells in zip(labels, groups, strict=True)
        )
        return _Asked(question.title, tuple(ways), ladder)

    def _region(self, place: int, cells: Sequence[int]) -> Region:
        """Where a question has one of these answers."""
        count = len(self._tree.questions[place].branches)
        return self._diagrams.fork(place, [self._diagrams.end(cell in cells) for cell in range(count)])


def _deciding(outcomes: Sequence[Outcome]) -> list[int]:
    """The rules that decide for all of these outcomes of one kind, then those that decide for some."""
    if outcomes[0].place is not Place.REFUSED:
        return list(outcomes[0].rules[:1])
    every = list(dict.fromkeys(rule for outcome in outcomes for rule in outcome.rules))
    return sorted(every, key=lambda rule: not all(rule in outcome.rules for outcome in outcomes))


def _rest(question: Question, groups: Sequence[Sequence[int]]) -> int | None:
    """The group of names that reads better as `any other`: a long one, of names that have no order."""
    if asks_number(question) or question.element is not None or FACTS[question.fact].scale:
        return None
    longest = max(range(len(groups)), key=lambda place: len(groups[place]))
    names = question.reads(groups[longest]).labels
    long = len(names) > 3 or names[0].startswith("not in ")
    return longest if len(groups) > 1 and long else None


def _label(question: Question, cells: Sequence[int]) -> str:
    labels = question.reads(sorted(cells)).labels
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} or {labels[-1]}"


def _steps(question: Question, runs: Sequence[Sequence[int]]) -> list[str]:
    """A ladder from the bottom up: `<= 8192`, `<= 32k`, `more`."""
    if FACTS[question.fact].kind not in (Kind.TOKENS, Kind.COUNT, Kind.PERCENT):
        return [_label(question, cells) for cells in runs]
    return [*(_label(question, range(cells[-1] + 1)) for cells in runs[:-1]), "more"]
