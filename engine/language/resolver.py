"""Statements of all files -> one namespace: who declares which name, and lets in an order in which each can
be read.

Rules, lets and proofs share the namespace, those of base.route and of lowered YAML included. Nothing here
looks at what an expression means; of a let it only asks which other lets it is made of.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from engine.language import syntax_tree as tree
from engine.language.checked_policy import Origin
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.known_names import Names
from engine.language.messages import names as messages
from engine.language.source import Span
from engine.language.vocabulary import LOCALITIES


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a name was declared as, and whose it is."""

    statement: tree.Declaration
    origin: Origin

    @property
    def noun(self) -> str:
        """What an author calls it."""
        match self.statement:
            case tree.Let():
                return "let"
            case tree.Prove():
                return "proof"
            case tree.Guard(kind=kind) | tree.Preference(kind=kind):
                return kind
            case tree.Weigh():
                return "weigh"
            case tree.Route():
                return "route"
            case _:
                assert_never(self.statement)


@dataclass(frozen=True, slots=True)
class Namespace:
    """Every name of a policy, once.

    `lets` holds each let that can be read, after the lets it is made of; `made_of` says which these are.
    Names in `unreadable` were declared by a statement that an error left out, or by lets that go round in a
    cycle: a statement that uses one is not reported for it.
    """

    declared: Mapping[str, Declaration]
    lets: tuple[tree.Let, ...]
    made_of: Mapping[str, tuple[str, ...]]
    unreadable: frozenset[str]

    def may_be(self, name: str) -> bool:
        """Whether the name may be declared by a statement that could not be read: by its own name, or by one
        without."""
        return name in self.unreadable or "" in self.unreadable

    def let(self, name: str) -> tree.Let | None:
        """The let of this name, if that is what the name stands for."""
        declaration = self.declared.get(name)
        if declaration is not None and isinstance(declaration.statement, tree.Let):
            return declaration.statement
        return None


def resolve(
    user: Sequence[tree.File],
    lowered: Sequence[tree.Rule],
    base: Sequence[tree.File],
    names: Names,
    problems: Problems,
) -> Namespace:
    """Gather every declaration; a name declared twice, a let that may not be called so, lets in a cycle are
    problems."""
    declared = _declarations(user, lowered, base, names, problems)
    lets = [
        statement
        for file in (*user, *base)
        for statement in file.statements
        if isinstance(statement, tree.Let)
    ]
    references = {id(let): _lets_in(let, declared) for let in lets}
    ordered, cyclic = _in_order(lets, references, declared, problems)
    broken = {name for file in (*user, *base) for name in file.broken}
    return Namespace(
        declared=declared,
        lets=tuple(ordered),
        made_of={let.name.text: tuple(word.text for word in references[id(let)]) for let in reversed(lets)},
        unreadable=frozenset(broken | cyclic),
    )


def _declarations(
    user: Sequence[tree.File],
    lowered: Sequence[tree.Rule],
    base: Sequence[tree.File],
    names: Names,
    problems: Problems,
) -> dict[str, Declaration]:
    # The engine's own names come first, so that of two equal names the author's is the one to be changed.
    declared: dict[str, Declaration] = {}
    taken = _names_no_let_may_have(names)
    groups: list[tuple[Origin, Sequence[tree.Statement]]] = [
        *((Origin.BASE, file.statements) for file in base),
        (Origin.YAML, lowered),
        *((Origin.USER, file.statements) for file in user),
    ]
    for origin, statements in groups:
        for statement in statements:
            if isinstance(statement, tree.Language | tree.Test):
                continue
            name = statement.name
            first = declared.get(name.text)
            if first is not None:
                problems.add(
                    messages.duplicate_name(name.span, first.statement.name.span, _owner(first.origin))
                )
            elif isinstance(statement, tree.Let) and name.text in taken:
                what = taken[name.text]
                place = names.places.get((f"{what}s", name.text))
                problems.add(messages.let_name_taken(name.span, what, place))
            else:
                declared[name.text] = Declaration(statement, origin)
    return declared


def _names_no_let_may_have(names: Names) -> dict[str, str]:
    """Each such name with what it already is."""
    return {
        **{model.id: "model" for model in names.models},
        **dict.fromkeys(names.providers, "provider"),
        **dict.fromkeys((*LOCALITIES, "any"), "selector"),
        "mode": "fact",
    }


def _owner(origin: Origin) -> str:
    match origin:
        case Origin.USER:
            return "declared here"
        case Origin.YAML:
            return "the rule that policies.yaml stands for here"
        case Origin.BASE:
            return "the engine's own, declared here"


def _lets_in(let: tree.Let, declared: Mapping[str, Declaration]) -> tuple[tree.Word, ...]:
    """The words of a let that name other lets."""
    if isinstance(let.value, tree.List):
        return ()
    return tuple(
        word
        for word in words_that_may_be_lets(let.value)
        if word.text in declared and isinstance(declared[word.text].statement, tree.Let)
    )


def words_that_may_be_lets(node: tree.Node) -> Iterator[tree.Word]:
    """The words inside a node that stand where a let can stand, in the order of the text."""
    for each in tree.walk(node):
        match each:
            case tree.Name(value=tree.Word() as word):
                yield word
            case tree.Membership(right=tree.Word() as word) | tree.HasSome(right=tree.Word() as word):
                yield word
            case _:
                pass


def _in_order(
    lets: Sequence[tree.Let],
    references: Mapping[int, tuple[tree.Word, ...]],
    declared: Mapping[str, Declaration],
    problems: Problems,
) -> tuple[list[tree.Let], set[str]]:
    """Each let after those it is made of, and the names of the lets that go round in a cycle.

    Depth-first, with the way walked so far on a stack of our own: a let may stand on ten thousand others.
    """
    ordered: list[tree.Let] = []
    cyclic: set[str] = set()
    finished: set[int] = set()
    for root in lets:
        way = [(root, iter(references[id(root)]))] if id(root) not in finished else []
        on_way = {id(root): 0}
        while way:
            let, following = way[-1]
            word = next(following, None)
            if word is None:
                way.pop()
                del on_way[id(let)]
                finished.add(id(let))
                if let.name.text not in cyclic or declared[let.name.text].statement is not let:
                    ordered.append(let)
                continue
            target = declared[word.text].statement
            assert isinstance(target, tree.Let)
            if id(target) in on_way:
                around = [step for step, _ in way[on_way[id(target)] :]]
                if cyclic.isdisjoint(step.name.text for step in around):
                    problems.add(_cycle(around, references))
                cyclic.update(step.name.text for step in around)
            elif id(target) not in finished:
                on_way[id(target)] = len(way)
                way.append((target, iter(references[id(target)])))
    return ordered, cyclic


def _cycle(around: Sequence[tree.Let], references: Mapping[int, tuple[tree.Word, ...]]) -> Diagnostic:
    names = [step.name.text for step in around]
    uses: list[Span] = []
    for step, following in zip(around, [*names[1:], names[0]], strict=True):
        uses.append(next(word.span for word in references[id(step)] if word.text == following))
    return messages.let_cycle(around[0].name.span, names, uses)
