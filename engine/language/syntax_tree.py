"""What was written: one node for each form of the grammar, and nothing of what it means.

The parser builds these, the formatter prints them, the resolver reads them. Values are as the author
wrote them (`32k` stays "32k"); nothing is looked up. Every node carries its span, which is no part of
its equality, so that two files that say the same compare equal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Literal, TypeAlias, TypeVar, cast

from engine.language.source import Source, Span


def span_field() -> Span:
    """The field every node has: where it was written. Not part of what it says."""
    return field(repr=False, compare=False)  # type: ignore[no-any-return]


# --- Values -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name: a fact, an attribute, a let, a provider, a model or a value.

    `task.type`, `llama3.1:8b`.
    """

    text: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Text:
    """A name in double quotes, escapes already undone. Never a fact, a let or a keyword."""

    text: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written, with its unit: `8192`, `32k`, `1.5M`, `80%`, `$0.05`, `0.25`."""

    text: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class List:
    """`[a, b]`; may be empty here, the type checker says that it must not be."""

    items: tuple["Word | Text | Number", ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Range:
    """`22..6`, `mon..fri`."""

    low: "Word | Number"
    high: "Word | Number"
    span: Span = span_field()


Value: TypeAlias = Word | Text | Number

# --- Expressions: conditions and selectors are written alike ------------------------------------------

Operator: TypeAlias = Literal["is", "is not", "<", "<=", ">", ">=", "has"]


@dataclass(frozen=True, slots=True)
class Name:
    """A name standing alone: a yes/no fact, a let, `local`, a provider, a model."""

    value: Word | Text
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Comparison:
    """`task.criticality >= high`, `model.capabilities has task.type`."""

    left: Value
    operator: Operator
    right: Value
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Membership:
    """`task.type in [a, b]`, `clock.hour not in 22..6`, `task.type in agents` (a named list)."""

    left: Value
    negated: bool
    right: List | Range | Word
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class HasSome:
    """`task.labels has any [a, b]`, `has all phi`."""

    left: Value
    quantifier: Literal["any", "all"]
    right: List | Word
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """`X is empty`, `X is not empty`. After a fact that is no set, `empty` is a value."""

    left: Value
    negated: bool
    word: Word  # the word `empty` itself
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Not:
    part: "Expression"
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class And:
    """n-ary, as written in one go; brackets make a new node (see `Group`)."""

    parts: tuple["Expression", ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Expression", ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Group:
    """Brackets, kept because the formatter keeps the author's."""

    part: "Expression"
    span: Span = span_field()


Expression: TypeAlias = Name | Comparison | Membership | HasSome | IsEmpty | Not | And | Or | Group


# --- Statements -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identifier:
    """The kebab-case name of a rule, let or proof."""

    text: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Clauses:
    """What may close a statement, in this order: `when C`, `unless C`, `because "..."`."""

    when: Expression | None = None
    unless: Expression | None = None
    because: Text | None = None


@dataclass(frozen=True, slots=True)
class Language:
    version: Number
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Let:
    name: Identifier
    value: Expression | List
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Guard:
    """`forbid NAME: SELECTOR`, `require NAME (watch): SELECTOR`."""

    kind: Literal["forbid", "require"]
    name: Identifier
    watch: bool
    selector: Expression
    clauses: Clauses
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Preference:
    """`prefer NAME: SELECTOR by POINTS`, `avoid ...`."""

    kind: Literal["prefer", "avoid"]
    name: Identifier
    selector: Expression
    points: Number
    clauses: Clauses
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Share:
    """One part of a `weigh`: `cost 0.1`."""

    part: Word  # the type checker says which parts there are
    weight: Number
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Weigh:
    name: Identifier
    shares: tuple[Share, ...]
    clauses: Clauses
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Route:
    """`route NAME: use TIER, then TIER, ...`."""

    name: Identifier
    tiers: tuple[Expression, ...]
    clauses: Clauses
    span: Span = span_field()


# --- Tests and proofs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GivenIs:
    """`task.type is planning`, `budget.daily.used is 80%`."""

    fact: Word
    value: Value
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class GivenHas:
    """`task.labels has pii`."""

    fact: Word
    value: Value
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class GivenEmpty:
    fact: Word
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class GivenFlag:
    """A bare yes/no fact, or `not` and one."""

    fact: Word
    value: bool
    span: Span = span_field()


SingleGiven: TypeAlias = GivenIs | GivenHas | GivenEmpty | GivenFlag


@dataclass(frozen=True, slots=True)
class GivenHistory:
    """`session had [task.labels has pii, session.calls is 3]`: what an earlier call of the session was."""

    word: Word  # `session`; the type checker says that it must be this
    given: tuple[SingleGiven, ...]
    span: Span = span_field()


Given: TypeAlias = SingleGiven | GivenHistory


@dataclass(frozen=True, slots=True)
class ExpectFirst:
    """The chosen model satisfies the selector."""

    selector: Expression
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class ExpectChain:
    """`only S`, `never S`, `some S`: over the whole chain, as in `prove`."""

    quantifier: Literal["only", "never", "some"]
    selector: Expression
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class ExpectModels:
    """`chain a, b` (the whole chain) or `chain a, b, ...` (its beginning: `is_open`)."""

    models: tuple[Word | Text, ...]
    is_open: bool
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class ExpectRoute:
    """`route NAME`."""

    name: Identifier
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class ExpectRefused:
    span: Span = span_field()


Claim: TypeAlias = ExpectFirst | ExpectChain | ExpectRoute | ExpectRefused
Expectation: TypeAlias = ExpectFirst | ExpectChain | ExpectModels | ExpectRoute | ExpectRefused


@dataclass(frozen=True, slots=True)
class Case:
    """One `given ... expect ... [because NAME]` of a test."""

    given: tuple[Given, ...]
    expectation: Expectation
    because: Identifier | None
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Test:
    title: Text
    cases: tuple[Case, ...]
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class Prove:
    """`prove NAME: CLAIM after CONDITION when CONDITION`. `never refused` is written as a selector."""

    name: Identifier
    claim: Claim
    after: Expression | None
    clauses: Clauses  # `because` is never set here
    span: Span = span_field()


Rule: TypeAlias = Guard | Preference | Weigh | Route
Declaration: TypeAlias = Let | Rule | Prove  # a statement that gives a name
Statement: TypeAlias = Language | Declaration | Test


@dataclass(frozen=True, slots=True)
class Comment:
    """From `#` to the end of the line, `#` included."""

    text: str
    span: Span = span_field()


@dataclass(frozen=True, slots=True)
class File:
    """One `*.route` file: its well-formed statements in order, and every comment.

    `broken` holds the name of each statement that an error left out ("" where it had none that could be read;
    a test's title does not count), so that later phases do not call a name unknown that was merely written
    badly.
    """

    source: Source
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = ()
    broken: tuple[str, ...] = ()


# --- One traversal ------------------------------------------------------------------------------------

Node: TypeAlias = (
    Statement | Expression | Value | List | Range | Identifier | Clauses | Share | Case | Given | Expectation
)
AnyNode = TypeVar("AnyNode", bound=Node)


def _held(node: Node) -> Iterator[tuple[str, object]]:
    """What the fields of a node hold, its span left out."""
    return ((name, getattr(node, name)) for name in type(node).__slots__ if name != "span")


def children(node: Node) -> Iterator[Node]:
    """The nodes directly inside a node, in the order of the text.

    These are whatever its fields hold, alone or in a tuple: a new form needs no line here.
    """
    for _, held in _held(node):
        if isinstance(held, tuple):
            yield from held
        elif is_dataclass(held):
            yield cast(Node, held)


def walk(node: Node) -> Iterator[Node]:
    """A node and every node inside it, each before what it holds, in the order of the text."""
    pending = [node]
    while pending:
        each = pending.pop()
        yield each
        pending.extend(reversed([*children(each)]))


def rewrite(node: AnyNode, change: Callable[[Node], Node]) -> AnyNode:
    """The tree with `change` applied to every node, the inner ones first; what is left as it was stays the
    same object.

    `change` answers with a node that may stand where its argument stood. Recursive: the parser bounds the
    nesting.
    """
    changed: dict[str, object] = {}
    for name, held in _held(node):
        if isinstance(held, tuple):
            inner = tuple(rewrite(each, change) for each in held)
            if any(new is not old for new, old in zip(inner, held, strict=True)):
                changed[name] = inner
        elif is_dataclass(held):
            new = rewrite(cast(Node, held), change)
            if new is not held:
                changed[name] = new
    return cast(AnyNode, change(replace(node, **changed) if changed else node))  # type: ignore[arg-type]
