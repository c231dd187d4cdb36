"""A condition and a model -> disjunctive normal form over facts: the cubes in which the condition holds.

A cube fixes some variables and leaves the rest open. A variable is a single-valued fact ("task.type") or one
element of a set fact (("task.labels", "pii")), so that labels stay independent of each other. With the model
at hand, tests of its attributes are constants and comparisons of a fact with an attribute are comparisons
with a constant: that is what keeps every question about a policy exactly answerable.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import floor
from typing import NamedTuple, TypeAlias, assert_never

from engine.config.catalogue import Model
from engine.language.checked_policy import (
    All,
    Any,
    Compare,
    Condition,
    Constant,
    CrossCompare,
    CrossName,
    CrossSets,
    Has,
    In,
    IsEmpty,
    Not,
    Order,
    PriceUnknown,
    SubjectTest,
    children,
    subjects,
    walk,
)
from engine.language.vocabulary import FACTS, SESSION_COST, Kind

MOST_CUBES = 4096
"""Cubes one condition may come to; beyond it the author is asked to split the rule (`rule-too-complex`)."""

OTHER = "\0other"
"""The element that stands for every name a policy never mentions; no name can be spelled so."""

MOST_OVER_MODELS = 65_536
"""Cubes one selector may come to over all models together, for the same reason and to the same end."""

Variable: TypeAlias = str | tuple[str, str]


class NameSet(NamedTuple):
    """A constraint on a name fact: it is one of the members (inside), or none of them."""

    inside: bool
    members: frozenset[str]


Edge: TypeAlias = tuple[int | Decimal, int]
"""A place on a number line: just below the number (0) or just above it (1)."""

LOWEST: Edge = (-1, 0)


class Interval(NamedTuple):
    """A constraint on a number fact: from the first edge up to the second, None being no end."""

    low: Edge
    high: Edge | None


Constraint: TypeAlias = NameSet | Interval | bool
Cube: TypeAlias = Mapping[Variable, Constraint]
ALWAYS: tuple[Cube, ...] = ({},)
NEVER: tuple[Cube, ...] = ()


class TooManyCubes(Exception):  # noqa: N818
    """The condition comes to more than MOST_CUBES cubes, or to more than MOST_OVER_MODELS over all models
    (`over_models`)."""

    def __init__(self, *, over_models: bool = False) -> None:
        super().__init__()
        self.over_models = over_models


class Elements:
    """Which elements of each set fact a policy mentions, and which list the set is drawn from, when it is
    closed."""

    def __init__(self, universes: Mapping[str, tuple[str, ...] | None]) -> None:
        self._universes = universes
        self._mentioned: dict[str, set[str]] = {}

    def mention(self, fact: str, names: Iterable[str]) -> None:
        self._mentioned.setdefault(fact, set()).update(name for name in names if name != OTHER)

    def all_of(self, fact: str) -> tuple[str, ...]:
        """Every element that emptiness depends on: the closed list, or the mentioned names and all OTHERs."""
        universe = self._universes.get(fact)
        if universe is not None:
            return universe
        return (*sorted(self._mentioned.get(fact, ())), OTHER)


def mention_elements(
    condition: Condition, models: tuple[Model, ...], elements: Elements, seen: set[int]
) -> None:
    """Notes every element of a set fact that the condition speaks of; shared nodes are visited once."""
    for node in walk([condition], seen):
        match node:
            case Has(subject, element):
                elements.mention(subject, (element,))
            case CrossName(fact, attribute) | CrossSets(fact, _, attribute):
                elements.mention(fact, (name for model in models for name in names_of(model, attribute)))
            case _:
                pass


class Distributor:
    """Turns conditions into cubes, one model at a time, and remembers what it has turned.

    A condition that speaks of no model has the same cubes for every model, and is turned once.
    """

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._known: dict[tuple[int, str | None, bool], tuple[Cube, ...]] = {}
        self._speaks: dict[int, bool] = {}
        self._kept: list[Condition] = []  # keeps ids of remembered nodes from being reused

    def cubes(self, condition: Condition, model: Model | None, *, negated: bool = False) -> tuple[Cube, ...]:
        """The cubes in which the condition holds for the model (or does not hold, when negated).

        Raises TooManyCubes."""
        if isinstance(condition, Not):
            return self.cubes(condition.part, model, negated=not negated)
        if isinstance(condition, CrossSets):
            assert model is not None, "a condition on models is asked with a model"
            return self._sets(condition, frozenset(names_of(model, condition.attribute)), negated)
        if isinstance(condition, Compare) and condition.subject == SESSION_COST:
            assert model is not None, "a condition on models is asked with a model"
            return self._session_cost(condition, model, negated)
        if not isinstance(condition, All | Any):
            return self._turn(with_model(condition, model), negated)
        # Only what combines is remembered: it may stand in many places (a let), and for many models.
        key = (id(condition), model.key if model and self.speaks_of_model(condition) else None, negated)
        found = self._known.get(key)
        if found is None:
            turned = [self.cubes(part, model, negated=negated) for part in condition.parts]
            found = conjunction(turned) if isinstance(condition, All) is not negated else disjunction(turned)
            self._known[key] = found
            self._kept.append(condition)
        return found

    def _sets(self, test: CrossSets, names: frozenset[str], negated: bool) -> tuple[Cube, ...]:
        """A set fact against the names that the model has there."""
        fact = test.fact
        if test.relation == "meets":
            return _some_or_none(fact, sorted(names), present=True, all_of=negated)
        if test.relation == "covers":
            return _some_or_none(fact, sorted(names), present=False, all_of=not negated)
        others = [element for element in self._elements.all_of(fact) if element not in names]
        return _some_or_none(fact, others, present=True, all_of=not negated)

    def _session_cost(self, test: Compare, model: Model, negated: bool) -> tuple[Cube, ...]:
        """A bound on the task's size for each price that the model has in a session."""
        fact = "session.warm"
        others = [each for each in self._elements.all_of(fact) if each != model.key]
        cold: tuple[Cube, ...] = ({(fact, model.key): False},)
        warm: tuple[Cube, ...] = ({(fact, model.key): True},)
        states = [(warm, _or(model.warm_price, model.price))]
        if model.written_price is None:
            states.append((cold, model.price))
        else:
            none = _some_or_none(fact, others, present=True, all_of=True)
            some = _some_or_none(fact, others, present=True, all_of=False)
            states.append((conjunction([cold, none]), model.price))
            states.append((conjunction([cold, some]), model.written_price))
        if all(price == model.price for _, price in states):
            return self._turn(_at_price(test, model.price), negated)
        parts = [conjunction([state, self._turn(_at_price(test, price), negated)]) for state, price in states]
        return disjunction(parts)

    def speaks_of_model(self, condition: Condition) -> bool:
        """Whether the cubes differ from model to model."""
        known = self._speaks.get(id(condition))
        if known is None:
            known = any(subject not in FACTS for subject in subjects(condition)) or any(
                map(self.speaks_of_model, children(condition))
            )
            self._speaks[id(condition)] = known
            self._kept.append(condition)
        return known

    def _turn(self, test: SubjectTest | Constant, negated: bool) -> tuple[Cube, ...]:
        match test:
            case Constant(value):
                return ALWAYS if value is not negated else NEVER
            case In(fact, names):
                return ({fact: NameSet(not negated, names)},)
            case Compare(fact, order, value):
                return compare(fact, order, value, negated)
            case Has(fact, element):
                return ({(fact, element): not negated},)
            case IsEmpty(fact):
                members = self._elements.all_of(fact)
                if negated:
                    return tuple({(fact, element): True} for element in members)
                return ({(fact, element): False for element in members},)
            case _:
                assert_never(test)


# --- Tests once the model is known --------------------------------------------------------------------


def _some_or_none(fact: str, elements: Sequence[str], *, present: bool, all_of: bool) -> tuple[Cube, ...]:
    """Some element of these is there (or is not, when not `present`); with `all_of` the opposite: none is."""
    if all_of:
        return ({(fact, element): not present for element in elements},) if elements else ALWAYS
    return tuple({(fact, element): present} for element in elements)


def with_model(
    test: Constant | SubjectTest | PriceUnknown | CrossCompare | CrossName, model: Model | None
) -> SubjectTest | Constant:
    """The same test with the model's own values put in: a test of a fact, or a constant."""
    match test:
        case Constant():
            return test
        case In(subject) | Compare(subject) | Has(subject) | IsEmpty(subject) if subject in FACTS:
            return test
    assert model is not None, "a condition on models is asked with a model"
    span = test.span
    match test:
        case In(attribute, names):
            return Constant(not names.isdisjoint(names_of(model, attribute)), span)
        case Has(attribute, element):
            return Constant(element in names_of(model, attribute), span)
        case IsEmpty(attribute):
            return Constant(not names_of(model, attribute), span)
        case PriceUnknown():
            return Constant(model.price is None, span)
        case Compare("model.max_context", order, value):
            return Constant(in_order(Fraction(model.max_context), order, Fraction(value)), span)
        case Compare("model.call_cost"):
            return _at_price(test, model.price)
        case Compare(_, order, value):
            # An unknown price makes every comparison false: it is neither above nor below anything.
            return Constant(model.price is not None and in_order(model.price, order, Fraction(value)), span)
        case CrossCompare(fact, order, _):
            return Compare(fact, order, model.max_context, span)
        case CrossName(fact, attribute):
            found = names_of(model, attribute)
            if not found:
                return Constant(False, span)
            is_set = FACTS[fact].kind is Kind.SET
            return Has(fact, found[0], span) if is_set else In(fact, frozenset(found), span)
        case _:
            assert_never(test)


def _or(price: Fraction | None, otherwise: Fraction | None) -> Fraction | None:
    return otherwise if price is None else price


def _at_price(cost: Compare, price: Fraction | None) -> Compare | Constant:
    """`model.call_cost` of a model at this price. An unknown one makes every comparison false: it is neither
    above nor below anything."""
    if price:
        return _on_context_size(cost, price)
    return Constant(price is not None and in_order(price, cost.order, Fraction(cost.value)), cost.span)


def _on_context_size(cost: Compare, price: Fraction) -> Compare | Constant:
    """`model.call_cost` against a constant: price x tokens / 10^6, so a threshold on the context size."""
    order, tokens = cost.order, Fraction(cost.value) * 1_000_000 / price
    whole = floor(tokens)
    if tokens != whole:
        # Between two whole numbers: "less" and "at most" mean the same, "is" never holds.
        match order:
            case "is":
                return Constant(False, cost.span)
            case "<" | "<=":
                order = "<="
            case ">" | ">=":
                order = ">"
            case _:
                assert_never(order)
    return Compare("task.context_size", order, whole, cost.span)


def names_of(model: Model, attribute: str) -> tuple[str, ...]:
    """The names that the model has there: the members of a set, or one; none where no zone is written."""
    match attribute:
        case "model.id":
            return (model.key,)
        case "model.provider":
            return (model.provider,)
        case "model.zone":
            return () if model.zone is None else (model.zone,)
        case "model.quality":
            return (model.quality,)
        case "model.latency":
            return (model.latency,)
        case "model.tools":
            return (model.tools,)
        case "locality":
            return (model.locality,)
        case "model.capabilities":
            return model.capabilities
        case "model.offers":
            return model.offers
        case "model.tags":
            return model.tags
    raise AssertionError(f"{attribute} is no name")


def in_order(left: Fraction, order: Order, right: Fraction) -> bool:
    match order:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case "is":
            return left == right
        case _:
            assert_never(order)


# --- Numbers ------------------------------------------------------------------------------------------


def compare(fact: str, order: Order, value: int | Decimal, negated: bool) -> tuple[Cube, ...]:
    """A number fact against a constant, as intervals. Whole numbers need only edges below a number: `> 5` is
    `>= 6`."""
    below: Edge = (value, 0)
    above: Edge = (value, 1) if FACTS[fact].kind is Kind.PERCENT else (value + 1, 0)
    match order, negated:
        case ("<", False) | (">=", True):
            return _intervals(fact, (LOWEST, below))
        case ("<=", False) | (">", True):
            return _intervals(fact, (LOWEST, above))
        case (">", False) | ("<=", True):
            return _intervals(fact, (above, None))
        case (">=", False) | ("<", True):
            return _intervals(fact, (below, None))
        case ("is", False):
            return _intervals(fact, (below, above))
        case _:
            return _intervals(fact, (LOWEST, below), (above, None))


def _intervals(fact: str, *intervals: tuple[Edge, Edge | None]) -> tuple[Cube, ...]:
    return tuple({fact: Interval(low, high)} for low, high in intervals if high is None or low < high)


# --- Combining ----------------------------------------------------------------------------------------


def conjunction(parts: list[tuple[Cube, ...]]) -> tuple[Cube, ...]:
    """The cubes in which every part holds, by distribution. Raises TooManyCubes."""
    parts = [part for part in parts if part is not ALWAYS]
    if not all(parts):
        return NEVER
    if len(parts) == 1:
        return parts[0]
    result: tuple[Cube, ...] = ALWAYS
    for part in sorted(parts, key=len):
        if len(result) * len(part) > 16 * MOST_CUBES:
            raise TooManyCubes
        met = [cube for left, right in product(result, part) if (cube := meet(left, right)) is not None]
        result = _without_absorbed(met)
        if not result:
            return NEVER
    return result


def disjunction(parts: list[tuple[Cube, ...]]) -> tuple[Cube, ...]:
    """The cubes in which some part holds. Raises TooManyCubes."""
    return _without_absorbed([cube for part in parts for cube in part])


def meet(left: Cube, right: Cube) -> Cube | None:
    """What both cubes allow, or None when that is nothing."""
    if not left:
        return right
    result = dict(left)
    for variable, constraint in right.items():
        mine = result.get(variable)
        both = constraint if mine is None else _meet_constraints(mine, constraint)
        if both is None:
            return None
        result[variable] = both
    return result


def _meet_constraints(left: Constraint, right: Constraint) -> Constraint | None:
    match left, right:
        case (bool(), bool()):
            return left if left is right else None
        case (NameSet(True, mine), NameSet(inside, other)):
            both = mine & other if inside else mine - other
            return NameSet(True, both) if both else None
        case (NameSet(False, _), NameSet(True, _)):
            return _meet_constraints(right, left)
        case (NameSet(False, mine), NameSet(False, other)):
            return NameSet(False, mine | other)
        case (Interval(), Interval()):
            low = max(left.low, right.low)
            ends = [end for end in (left.high, right.high) if end is not None]
            high = min(ends) if ends else None
            return Interval(low, high) if high is None or low < high else None
    raise AssertionError("two kinds of constraint on one variable")


def disjoint(cubes: tuple[Cube, ...], most: int = 64) -> tuple[Cube, ...] | None:
    """The same union as cubes of which no two overlap ("sharp" product), or None when that takes more than
    `most`."""
    apart: list[Cube] = []
    for cube in cubes:
        pieces: list[Cube] = [cube]
        for earlier in apart.copy():
            pieces = [piece for whole in pieces for piece in _without(whole, earlier)]
            if len(apart) + len(pieces) > most:
                return None
        apart += pieces
    return tuple(apart)


def _without(cube: Cube, taken: Cube) -> list[Cube]:
    """What the cube allows and the taken one does not, in cubes that do not overlap."""
    if meet(cube, taken) is None:
        return [cube]
    pieces: list[Cube] = []
    for variable, constraint in taken.items():
        for opposite in _opposites(constraint):
            piece = meet(cube, {variable: opposite})
            if piece is not None:
                pieces.append(piece)
        inside = meet(cube, {variable: constraint})
        assert inside is not None, "the two cubes overlap"
        cube = inside
    return pieces


def _opposites(constraint: Constraint) -> list[Constraint]:
    match constraint:
        case bool():
            return [not constraint]
        case NameSet(inside, members):
            return [NameSet(not inside, members)]
        case Interval(low, high):
            below: list[Constraint] = [Interval(LOWEST, low)] if low > LOWEST else []
            return below + ([] if high is None else [Interval(high, None)])


def _without_absorbed(cubes: list[Cube]) -> tuple[Cube, ...]:
    """Drops repeated cubes, and while they are few those that another one covers."""
    if len(cubes) <= 1:
        return tuple(cubes) if all(cubes) else ALWAYS
    unique = {frozenset(cube.items()): cube for cube in cubes}
    if frozenset() in unique:
        return ALWAYS
    if len(unique) > MOST_CUBES:
        raise TooManyCubes
    if len(unique) > 64:
        return tuple(unique.values())
    keys = list(unique)
    return tuple(cube for key, cube in unique.items() if not any(other < key for other in keys))
