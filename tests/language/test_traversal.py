"""The traversals of both trees reach every node, whatever its form.

Random nodes are built from the annotations of the classes, and looked into field by field. A new form of node
that a traversal does not know fails here without a line of test being written for it.
"""

import random
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from itertools import cycle

import pytest

from engine.language import checked_policy, syntax_tree
from engine.language.source import Source, Span

_NOWHERE = Source("main.route", "").span(0, 0)


def flat(union: object) -> set[type]:
    return {member for each in typing.get_args(union) for member in (flat(each) or {each})}


NODES = sorted(flat(syntax_tree.Node), key=lambda kind: kind.__name__)
CONDITIONS = sorted(flat(checked_policy.Condition), key=lambda kind: kind.__name__)


class _Builder:
    """Random values for annotations; `depth` bounds how far nodes stand in each other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def node(self, kind: type, depth: int = 3) -> typing.Any:
        hints = typing.get_type_hints(kind)
        return kind(**{each.name: self._value(hints[each.name], depth - 1) for each in fields(kind)})

    def _value(self, hint: typing.Any, depth: int) -> object:
        origin, inside = typing.get_origin(hint), typing.get_args(hint)
        if hint is Span:
            return _NOWHERE
        if origin is typing.Literal:
            return self._random.choice(inside)
        if origin is tuple:
            return tuple(self._value(inside[0], depth) for _ in range(self._random.randint(1, 3)))
        if origin is frozenset:
            return frozenset({"a", "b"})
        if origin in (typing.Union, types.UnionType):
            kinds = sorted(flat(hint), key=lambda kind: kind.__name__)
            leaves = [kind for kind in kinds if not is_dataclass(kind) or not _holds_itself(kind)]
            return self._value(self._random.choice(kinds if depth > 0 else leaves), depth)
        if is_dataclass(hint):
            return self.node(typing.cast(type, hint), depth)
        simple = {str: "x", bool: True, int: 1, Decimal: Decimal(1), types.NoneType: None}
        return simple[hint]


def _holds_itself(kind: type) -> bool:
    return bool({"part", "parts"} & {each.name for each in fields(kind)})


def _nested(node: typing.Any) -> Iterator[typing.Any]:
    """A node and every one that its fields hold, found without the traversal."""
    yield node
    for each in fields(node):
        held = getattr(node, each.name)
        for inner in held if isinstance(held, tuple) else (held,):
            if is_dataclass(inner) and not isinstance(inner, Span):
                yield from _nested(inner)


@pytest.mark.parametrize("kind", NODES, ids=lambda kind: kind.__name__)
def test_walk_reaches_every_node_that_a_field_holds(kind: type) -> None:
    """Each nested node is visited once, in the order of the fields, which is that of the text."""
    for seed in range(40):
        node = _Builder(seed).node(kind)
        assert [id(each) for each in _nested(node)] == [id(each) for each in syntax_tree.walk(node)]


@pytest.mark.parametrize("kind", NODES, ids=lambda kind: kind.__name__)
def test_a_rewrite_that_changes_nothing_gives_the_same_object(kind: type) -> None:
    """A tree is not copied where it stays as it is."""
    for seed in range(40):
        node = _Builder(seed).node(kind)
        assert node is syntax_tree.rewrite(node, lambda each: each)


@pytest.mark.parametrize("kind", NODES, ids=lambda kind: kind.__name__)
def test_a_rewrite_changes_every_node_inside(kind: type) -> None:
    """Every word, text, number and identifier is changed, wherever it stands, and nothing else is."""

    def louder(node: syntax_tree.Node) -> syntax_tree.Node:
        return replace(node, text=node.text + "!") if hasattr(node, "text") else node

    for seed in range(40):
        node = _Builder(seed).node(kind)
        changed = syntax_tree.rewrite(node, louder)
        before, after = list(_nested(node)), list(_nested(changed))
        assert [type(each) for each in before] == [type(each) for each in after]
        assert [f"{each.text}!" for each in before if hasattr(each, "text")] == [
            each.text for each in after if hasattr(each, "text")
        ]


def test_every_class_of_the_syntax_tree_is_a_node() -> None:
    """A statement or expression that is left out of `Node` has no traversal that mypy could check."""
    here = {
        each
        for each in vars(syntax_tree).values()
        if isinstance(each, type) and is_dataclass(each) and each.__module__ == syntax_tree.__name__
    }
    assert here - {syntax_tree.File, syntax_tree.Comment} == set(NODES)


@pytest.mark.parametrize("kind", CONDITIONS, ids=lambda kind: kind.__name__)
def test_walk_reaches_every_part_of_a_condition(kind: type) -> None:
    """Each condition inside a condition is visited once, in the order of the text."""
    for seed in range(40):
        condition = _Builder(seed).node(kind)
        assert [id(each) for each in _nested(condition)] == [
            id(each) for each in checked_policy.walk([condition])
        ]


def test_walk_visits_a_shared_condition_once() -> None:
    """A chain of lets that each use the one before twice is walked in steps of its length, not of its size as
    text."""
    node: checked_policy.Condition = checked_policy.Constant(True, _NOWHERE)
    for form in (form for form, _ in zip(cycle([checked_policy.All, checked_policy.Any]), range(200))):
        node = form((node, node), _NOWHERE)
    assert sum(1 for _ in checked_policy.walk([node])) == 201
