"""A checked policy and its catalogue -> compiled rules: which cubes block, route, weigh or favour a model.

Every rule becomes cubes (see `cubes`), every cube one bit. What a decision asks of the live bits afterwards
is fixed here, once: one mask a model for its guards, the bits of routes and weights in rule order, points by
model. Nothing here decides.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import assert_never

from engine.config.catalogue import Model
from engine.decision.cubes import (
    ALWAYS,
    MOST_OVER_MODELS,
    Cube,
    Distributor,
    Elements,
    TooManyCubes,
    conjunction,
    disjoint,
    mention_elements,
)
from engine.decision.partitions import Column, columns_of, mask_of
from engine.decision.scoring import parts_of, scale_of, tie_order
from engine.language.checked_policy import (
    CheckedPolicy,
    Condition,
    Effect,
    Forbid,
    Prefer,
    Require,
    Rule,
    Use,
    Weigh,
)
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.known_names import Names
from engine.language.sentences import error
from engine.language.source import Span
from engine.language.vocabulary import GIVEN, Kind
from engine.language.wording import tick


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of a route: the models it always selects, and the bits under which it selects the others."""

    always: tuple[int, ...]
    depending: tuple[tuple[int, int], ...]

    def members(self, live: int) -> Iterable[int]:
        """Indices of the models selected, given the live bits."""
        if not self.depending:
            return self.always
        return [*self.always, *(model for model, mask in self.depending if mask & live)]


@dataclass(frozen=True, slots=True)
class Points:
    """What preferences add to one model, times the scale: a sum of points x live bits, and of points once if
    any is live."""

    mask: int
    each: tuple[tuple[int, int], ...]
    once: tuple[tuple[int, int], ...]

    def total(self, live: int) -> int:
        total = 0
        for points, mask in self.each:
            total += points * (live & mask).bit_count()
        for points, mask in self.once:
            if live & mask:
                total += points
        return total


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """Everything a decision needs, as masks over one numbering of cubes.

    `owners[bit]` is the index of the bit's rule. Per-model tuples follow the catalogue. Scores are whole
    numbers of 10^-`scale`. `default` is the tier of a task that no route speaks of: `use any`.
    """

    rules: tuple[Rule, ...]
    models: tuple[Model, ...]
    names: Names
    columns: tuple[Column, ...]
    cubes: tuple[Cube, ...] = field(repr=False)
    owners: tuple[int, ...] = field(repr=False)
    guards: tuple[int, ...] = field(repr=False)
    watched: tuple[int, ...] = field(repr=False)
    routes: int = field(repr=False)
    tiers: Mapping[int, tuple[Tier, ...]] = field(repr=False)
    weighs: int = field(repr=False)
    scores: Mapping[int, tuple[int, ...]] = field(repr=False)
    favours: tuple[Points, ...] = field(repr=False)
    ties: tuple[int, ...]
    scale: int
    default: tuple[Tier, ...]

    @property
    def full(self) -> int:
        """Every cube live: no fact asked yet."""
        return (1 << len(self.cubes)) - 1


_KINDS: tuple[type[Effect], ...] = (Use, Weigh, Prefer, Forbid, Require)


def compile_policy(
    policy: CheckedPolicy, models: tuple[Model, ...], names: Names, problems: Problems
) -> CompiledPolicy:
    """Compiles every rule; one whose condition comes to too many cubes is reported and left out."""
    return _Compilation(policy, models, names, problems).run()


class _Compilation:
    """The tables of a compiled policy while they grow."""

    def __init__(
        self, policy: CheckedPolicy, models: tuple[Model, ...], names: Names, problems: Problems
    ) -> None:
        self._policy, self._models, self._names, self._problems = policy, models, names, problems
        self._closed = {fact.name: names.known_values(fact) for fact in GIVEN}
        elements = Elements({fact.name: self._closed[fact.name] for fact in GIVEN if fact.kind is Kind.SET})
        seen: set[int] = set()
        for rule in policy.rules:
            for condition in (rule.condition, *selectors_of(rule)):
                mention_elements(condition, models, elements, seen)
        self._distributor = Distributor(elements)
        self._selections: dict[tuple[Condition, bool], list[tuple[int, tuple[Cube, ...]]]] = {}
        self._parts = [parts_of(model) for model in models]
        self._cubes: list[Cube] = []
        self._owners: list[int] = []
        self._guards: list[list[int]] = [[] for _ in models]
        self._watched: list[list[int]] = [[] for _ in models]
        self._routes: list[int] = []
        self._tiers: dict[int, tuple[Tier, ...]] = {}
        self._weighs: list[int] = []
        self._scores: dict[int, tuple[int, ...]] = {}
        self._each: list[dict[int, list[int]]] = [{} for _ in models]
        self._once: list[list[tuple[int, int]]] = [[] for _ in models]

    def run(self) -> CompiledPolicy:
        rules = self._policy.rules
        points = [rule.effect.points for rule in rules if isinstance(rule.effect, Prefer)]
        weighs = [rule.effect for rule in rules if isinstance(rule.effect, Weigh)]
        scale = scale_of(points, weighs)
        # INVARIANT: within one kind bits stand in rule order, so the first live bit is the first rule that
        # holds. Kinds stand one after the other, the small ones first, so that asking them of the live bits
        # is asking few digits.
        for index, rule in sorted(enumerate(rules), key=lambda item: _KINDS.index(type(item[1].effect))):
            try:
                self._add(index, rule, scale)
            except TooManyCubes as many:
                self._problems.add(_rule_too_complex(rule.name_span, rule.name, over_models=many.over_models))
        return CompiledPolicy(
            rules=rules,
            models=self._models,
            names=self._names,
            columns=columns_of(self._cubes, self._closed),
            cubes=tuple(self._cubes),
            owners=tuple(self._owners),
            guards=tuple(map(mask_of, self._guards)),
            watched=tuple(map(mask_of, self._watched)),
            routes=mask_of(self._routes),
            tiers=self._tiers,
            weighs=mask_of(self._weighs),
            scores=self._scores,
            favours=tuple(map(_points, self._each, self._once)),
            ties=tie_order(self._models),
            scale=scale,
            default=(Tier(tuple(range(len(self._models))), ()),),
        )

    def _add(self, index: int, rule: Rule, scale: int) -> None:
        numbering = _Numbering(index, self._cubes, self._owners)
        match rule.effect:
            case Forbid(selector):
                self._add_guard(rule, selector, numbering, negated=False)
            case Require(selector):
                # What a require does not select, it forbids: one mechanism for both guards.
                self._add_guard(rule, selector, numbering, negated=True)
            case Prefer(selector, points):
                self._add_favour(rule, selector, _scaled(points, scale), numbering)
            case Weigh() as weights:
                self._weighs.extend(numbering.bits(self._distributor.cubes(rule.condition, None)))
                self._scores[index] = tuple(_scaled(parts.weighed(weights), scale) for parts in self._parts)
            case Use(tiers):
                cubes = self._distributor.cubes(rule.condition, None)
                self._tiers[index] = tuple(self._tier(tier, numbering) for tier in tiers)
                self._routes.extend(numbering.bits(cubes, afresh=True))
            case _:
                assert_never(rule.effect)

    def _add_guard(self, rule: Rule, selector: Condition, numbering: "_Numbering", *, negated: bool) -> None:
        blocked = self._watched if rule.watch else self._guards
        for position, cubes in self._applies(rule, selector, negated):
            blocked[position].extend(numbering.bits(cubes))

    def _add_favour(self, rule: Rule, selector: Condition, points: int, numbering: "_Numbering") -> None:
        for position, cubes in self._applies(rule, selector, negated=False):
            apart = disjoint(cubes) if len(cubes) > 1 else cubes
            if apart is None:
                self._once[position].append((points, mask_of(numbering.bits(cubes))))
            else:
                # At most one cube of a rule is live, so live bits can be counted.
                self._each[position].setdefault(points, []).extend(numbering.bits(apart))

    def _applies(
        self, rule: Rule, selector: Condition, negated: bool
    ) -> Iterator[tuple[int, tuple[Cube, ...]]]:
        """For each model that the selector may hold for (or not hold for, when negated): where the rule
        applies to it."""
        condition, distributor = rule.condition, self._distributor
        shared = None if distributor.speaks_of_model(condition) else distributor.cubes(condition, None)
        for position, selected in self._selected(selector, negated):
            holds = distributor.cubes(condition, self._models[position]) if shared is None else shared
            yield position, holds if selected is ALWAYS else conjunction([selected, holds])

    def _selected(self, selector: Condition, negated: bool) -> list[tuple[int, tuple[Cube, ...]]]:
        """The models a selector may hold for, and where; many rules of a policy share a selector."""
        found = self._selections.get((selector, negated))
        if found is None:
            found, together = [], 0
            for position, model in enumerate(self._models):
                where = self._distributor.cubes(selector, model, negated=negated)
                if where:
                    found.append((position, where))
                together += len(where)
                if together > MOST_OVER_MODELS:
                    raise TooManyCubes(over_models=True)
            self._selections[selector, negated] = found
        return found

    def _tier(self, selector: Condition, numbering: "_Numbering") -> Tier:
        selected = self._selected(selector, negated=False)
        always = tuple(position for position, cubes in selected if cubes is ALWAYS)
        depending = tuple(
            (position, mask_of(numbering.bits(cubes))) for position, cubes in selected if cubes is not ALWAYS
        )
        return Tier(always, depending)


class _Numbering:
    """Hands out one bit for each different cube of one rule."""

    def __init__(self, rule: int, cubes: list[Cube], owners: list[int]) -> None:
        self._rule, self._cubes, self._owners = rule, cubes, owners
        self._bits: dict[frozenset[object], int] = {}
        self._whole: dict[int, list[int]] = {}
        self._kept: list[tuple[Cube, ...]] = []

    def bits(self, cubes: tuple[Cube, ...], *, afresh: bool = False) -> list[int]:
        """The bits of these cubes; `afresh` when they must not be shared with what was numbered before."""
        if afresh:
            self._bits, self._whole = {}, {}
        found = self._whole.get(id(cubes))
        if found is None:
            found = self._whole[id(cubes)] = [self._bit(cube) for cube in cubes]
            self._kept.append(cubes)
        return found

    def _bit(self, cube: Cube) -> int:
        key = frozenset(cube.items())
        bit = self._bits.get(key)
        if bit is None:
            bit = self._bits[key] = len(self._cubes)
            self._cubes.append(cube)
            self._owners.append(self._rule)
        return bit


def selectors_of(rule: Rule) -> tuple[Condition, ...]:
    """The selectors of a rule's effect."""
    match rule.effect:
        case Forbid(selector) | Require(selector) | Prefer(selector, _):
            return (selector,)
        case Use(tiers):
            return tiers
        case Weigh():
            return ()
        case _:
            assert_never(rule.effect)


def _points(each: dict[int, list[int]], once: list[tuple[int, int]]) -> Points:
    sums = tuple((points, mask_of(bits)) for points, bits in each.items())
    everything = 0
    for _, mask in (*sums, *once):
        everything |= mask
    return Points(everything, sums, tuple(once))


def _scaled(number: Decimal, scale: int) -> int:
    return int(number.scaleb(scale))


def _rule_too_complex(span: Span, name: str, *, over_models: bool) -> Diagnostic:
    if over_models:
        return error(
            "rule-too-complex",
            span,
            f"the selector of {tick(name)} comes to more than {MOST_OVER_MODELS:,} alternatives over all "
            "models",
            "list fewer models, or fewer different capabilities: each is an alternative for every model "
            "without it",
        )
    return error(
        "rule-too-complex",
        span,
        f"the condition of {tick(name)} comes to more than 4096 alternatives",
        "split this rule: every `or` inside an `and` multiplies, and several rules of one kind act together",
    )
