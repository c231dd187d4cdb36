"""What a policy means: names resolved, lets put in place, types checked, constants read.

Three statement families remain. A `Rule` is the one form that guards, preferences, weights, routes, lowered
YAML and the engine's own rules all have; `PolicyTest` and `Proof` are questions to be asked of them.

A `Condition` is a formula over facts and one model. After `when` of a route, weigh or proof it holds no model
test, in a selector no bare fact test; a cross test compares a fact with an attribute of the model and becomes
a plain fact test once the model is known. Derived facts (`budget.exhausted`, `mode.allow_cloud`, ...) are
already replaced by what they follow from. A let that is used twice is one shared node.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Literal, TypeAlias, assert_never

from engine.language.source import Span
from engine.language.syntax_tree import span_field
from engine.language.vocabulary import FactValue as FactValue

Order: TypeAlias = Literal["<", "<=", ">", ">=", "is"]
Relation: TypeAlias = Literal["within", "covers", "meets"]

# --- Conditions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Condition", ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple["Condition", ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class In:
    """The subject's name is one of these; ordered comparisons and ranges are already spelled out.

    The subject is a fact with one value (a yes/no fact has the names "yes" and "no"), a name attribute of the
    model (`model.id` by key), or `locality` ("local" or "cloud"), which has no name of its own in the
    language.
    """

    subject: str
    names: frozenset[str]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Compare:
    """A number against a constant: int for tokens, hours and buckets, Decimal for percentages and dollars.

    An unknown price makes every comparison of `model.price` and `model.call_cost` false.
    """

    subject: str
    order: Order
    value: int | Decimal
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Has:
    """The subject, a set, has the element."""

    subject: str
    element: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """The subject, a set, has no element."""

    subject: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class PriceUnknown:
    """`model.price is unknown`."""

    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class CrossCompare:
    """Tokens of the task against tokens of the model: FACT ORDER ATTRIBUTE, turned round if written so."""

    fact: str
    order: Order
    attribute: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class CrossName:
    """The fact and the model's attribute have a name in common; at most one of the two is a set.

    `task.type is model.zone`, `provider.down has model.provider`, `model.capabilities has task.type`.
    """

    fact: str
    attribute: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class CrossSets:
    """A set fact and a set attribute of the model: the fact's members are all the model's (`within`), the
    model's are all the fact's (`covers`), or they have one in common (`meets`)."""

    fact: str
    relation: Relation
    attribute: str
    span: Span = span_field()


SubjectTest: TypeAlias = In | Compare | Has | IsEmpty
"""A test of one subject: of a fact, or of an attribute of the model."""

CrossTest: TypeAlias = CrossCompare | CrossName | CrossSets
"""A test of a fact against an attribute of the model."""

Test: TypeAlias = Constant | SubjectTest | PriceUnknown | CrossTest
Condition: TypeAlias = All | Any | Not | Test


def children(condition: Condition) -> tuple[Condition, ...]:
    """The conditions that a condition is made of; a test is made of none."""
    match condition:
        case All(parts) | Any(parts):
            return parts
        case Not(part):
            return (part,)
        case _:
            return ()


def subjects(condition: Condition) -> tuple[str, ...]:
    """The facts and attributes that a test speaks of; a formula speaks of none but through its parts."""
    match condition:
        case In(subject) | Compare(subject) | Has(subject) | IsEmpty(subject):
            return (subject,)
        case CrossCompare(fact, _, attribute) | CrossName(fact, attribute) | CrossSets(fact, _, attribute):
            return fact, attribute
        case PriceUnknown():
            return ("model.price",)
        case Constant() | All() | Any() | Not():
            return ()
        case _:
            assert_never(condition)


def walk(conditions: Iterable[Condition], seen: set[int] | None = None) -> Iterator[Condition]:
    """Conditions and everything they are made of, in the order of the text; a shared node once.

    `seen` holds the ids of nodes that were visited before, and is added to.
    """
    visited = set() if seen is None else seen
    for condition in conditions:
        pending = [condition]
        while pending:
            node = pending.pop()
            if id(node) not in visited:
                visited.add(id(node))
                yield node
                pending.extend(reversed(children(node)))


# --- Rules ------------------------------------------------------------------------------------------


class Origin(Enum):
    """Whose rule it is; also the order in which rules stand."""

    USER = "user"
    YAML = "yaml"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Forbid:
    """No model the selector holds for is eligible."""

    selector: Condition


@dataclass(frozen=True, slots=True)
class Require:
    """Only models the selector holds for are eligible."""

    selector: Condition


@dataclass(frozen=True, slots=True)
class Prefer:
    """Adds points to the score of the models selected; below zero for `avoid`."""

    selector: Condition
    points: Decimal


@dataclass(frozen=True, slots=True)
class Weigh:
    """The weights of the score; the three sum to 1."""

    cost: Decimal
    quality: Decimal
    latency: Decimal


@dataclass(frozen=True, slots=True)
class Use:
    """The tiers of a route, in order."""

    tiers: tuple[Condition, ...]


Effect: TypeAlias = Forbid | Require | Prefer | Weigh | Use


@dataclass(frozen=True, slots=True)
class Rule:
    """When `condition` holds, `effect` is had; `watch` only notes that it would have been."""

    name: str
    effect: Effect
    condition: Condition
    because: str | None
    watch: bool
    origin: Origin
    span: Span = span_field()
    name_span: Span = span_field()


# --- Questions --------------------------------------------------------------------------------------

Quantifier: TypeAlias = Literal["only", "never", "some"]


@dataclass(frozen=True, slots=True)
class FirstIs:
    selector: Condition


@dataclass(frozen=True, slots=True)
class ChainIs:
    """`only` and `never` hold for a refusal, `some` does not."""

    quantifier: Quantifier
    selector: Condition


@dataclass(frozen=True, slots=True)
class ModelsAre:
    """The chain, by model keys; only its beginning when open."""

    models: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class RouteIs:
    route: str


@dataclass(frozen=True, slots=True)
class Refused:
    pass


@dataclass(frozen=True, slots=True)
class Answered:
    """`never refused`."""


Expectation: TypeAlias = FirstIs | ChainIs | ModelsAre | RouteIs | Refused
Claim: TypeAlias = FirstIs | ChainIs | RouteIs | Refused | Answered


@dataclass(frozen=True, slots=True)
class TestCase:
    """`given` holds only the facts the author gave; the rest take a test's defaults."""

    given: Mapping[str, FactValue]
    expectation: Expectation
    because: str | None
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class PolicyTest:
    title: str
    cases: tuple[TestCase, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Proof:
    """What holds for every task in `condition`; with `after`, for every later call of a session in which an
    earlier call was in that."""

    name: str
    expectation: Claim
    after: Condition | None
    condition: Condition
    span: Span = span_field()
    name_span: Span = span_field()


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    """A policy without errors: rules in the order that decides (user files, lowered YAML, base)."""

    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...] = ()
    proofs: tuple[Proof, ...] = ()
    lets: Mapping[str, Span] = field(default_factory=dict, compare=False)
    let_conditions: Mapping[str, Condition] = field(default_factory=dict, compare=False)
    """What each let stands for that is a condition, and no list."""
