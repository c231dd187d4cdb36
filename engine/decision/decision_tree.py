"""A compiled policy -> its decision tree: questions about facts, and finished chains at the leaves.

A node is what is still undecided: the cubes that may yet hold and matter, and the models already blocked.
Equal nodes are one node (hash-consing), nodes are made when first reached, and each asks the first question,
in an order the tree picks once, that can still change the outcome: names with few values first, numbers with
many cells last. Drawing merges equal branches bottom-up. The tree never decides otherwise than `evaluator`
does; it shows why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import accumulate
from operator import or_
from typing import NamedTuple

from engine.config.catalogue import Model
from engine.decision.compiler import CompiledPolicy
from engine.decision.condition_text import set_title
from engine.decision.cubes import OTHER
from engine.decision.evaluator import rank
from engine.decision.facts import INDEX, Facts
from engine.decision.partitions import Branch, Question, bits_of, set_reading
from engine.language.vocabulary import FACTS, WHOLE, Kind

MOST_NODES = 50_000
"""Nodes that are kept; a path beyond them is still found, but not remembered."""


class TooManyNodes(Exception):  # noqa: N818
    """The whole tree has more than the stated number of nodes; draw a slice of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A finished chain with its scores (whole units of 10^-scale); an empty chain is a refusal."""

    chain: tuple[Model, ...]
    totals: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Node:
    """One question still to be asked, and the branches met so far, by cell."""

    question: Question
    position: int
    live: int
    blocked: int
    children: dict[int, "Node | Leaf"] = field(default_factory=dict, repr=False)


class Step(NamedTuple):
    """One question on the way to a leaf, and the branch taken."""

    question: Question
    branch: Branch


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of the reduced tree: branches with the same subtree are one, with all their labels.

    `number` identifies the node: what is drawn twice is one node. Elements of a set that lead the same way
    are asked together; `elements` is empty for a single-valued fact. `conditions` say exactly who takes each
    branch, as a policy would say it.
    """

    number: int
    fact: str
    elements: tuple[str, ...]
    branches: tuple[tuple[tuple[str, ...], "DrawnNode | DrawnLeaf"], ...]
    conditions: tuple[str, ...]

    @property
    def title(self) -> str:
        return set_title(self.fact, self.elements) if self.elements else self.fact


@dataclass(frozen=True, slots=True)
class DrawnLeaf:
    number: int
    leaf: Leaf


class DecisionTree:
    """The tree of one compiled policy, grown where it is looked at."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self._policy = policy
        self._tier_bits = {
            route: reduce(or_, (mask for tier in tiers for _, mask in tier.depending), 0)
            for route, tiers in policy.tiers.items()
        }
        self._nodes: dict[tuple[int, int, int], Node | Leaf] = {}

    # The questions of a large policy are large, and whoever only decides, or lints, needs none.

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Everything that may be asked, in the order in which it is."""
        asked = [question for column in self._policy.columns for question in column.questions()]
        return tuple(sorted(asked, key=_rank))

    @cached_property
    def _later(self) -> list[int]:
        """For each question the cubes on which it or a later one bears."""
        touched = (question.touched for question in reversed(self.questions))
        return [*accumulate(touched, or_, initial=0)][::-1]

    @cached_property
    def root(self) -> Node | Leaf:
        """Where every task begins."""
        return self._reach(0, self._policy.full, 0)

    def path(self, facts: Facts) -> list[Step]:
        """The questions that lead these facts to their leaf, in the order they are asked."""
        steps = []
        node = self.root
        has_some: set[str] = set()
        while isinstance(node, Node):
            question = node.question
            cell = question.answer(facts[INDEX[question.fact]])
            # Whether a set is empty is no question any more once an element of it was found.
            if question.element != OTHER or question.fact not in has_some:
                steps.append(Step(question, question.branches[cell]))
            if question.element is not None and cell:
                has_some.add(question.fact)
            node = self.child(node, cell)
        return steps

    def leaf(self, facts: Facts) -> Leaf:
        """Where these facts end."""
        node = self.root
        while isinstance(node, Node):
            node = self.child(node, node.question.answer(facts[INDEX[node.question.fact]]))
        return node

    def drawn(
        self, fixed: Mapping[str, object], most: int = MOST_NODES, *, scores: bool = False
    ) -> DrawnNode | DrawnLeaf:
        """The reduced tree below the fixed facts. Leaves with one chain are one leaf, unless scores matter.

        Raises TooManyNodes when more than `most` nodes would have to be looked at."""
        return _Drawing(self, fixed, most, scores).draw(self.root)

    def child(self, node: Node, cell: int) -> Node | Leaf:
        """Where one branch of a node leads."""
        child = node.children.get(cell)
        if child is None:
            child = self._reach(node.position + 1, node.live & node.question.masks[cell], node.blocked)
            if len(self._nodes) < MOST_NODES:
                node.children[cell] = child
        return child

    def _reach(self, position: int, live: int, blocked: int) -> Node | Leaf:
        """The node for what is left, with everything dropped that can no longer matter."""
        policy = self._policy
        settled = live & ~self._later[position]
        matters = 0
        for model, guard in enumerate(policy.guards):
            if settled & guard:
                blocked |= 1 << model
            if not blocked >> model & 1:
                matters |= guard | policy.favours[model].mask
        if blocked == (1 << len(policy.models)) - 1:
            return self._shared((-1, 0, blocked), Leaf((), ()))
        routes = up_to_first(live & policy.routes, settled)
        weighs = up_to_first(live & policy.weighs, settled)
        for route in {policy.owners[bit] for bit in bits_of(routes)}:
            matters |= self._tier_bits[route]
        kept = live & matters | routes | weighs
        open_cubes = kept & self._later[position]
        while position < len(self.questions) and not open_cubes & self.questions[position].touched:
            position += 1
        key = (position, kept, blocked)
        found = self._nodes.get(key)
        if found is not None:
            return found
        if position < len(self.questions):
            return self._shared(key, Node(self.questions[position], position, kept, blocked))
        decision = rank(policy, kept, [not blocked >> model & 1 for model in range(len(policy.models))])
        return self._shared(key, Leaf(decision.chain, decision.totals))

    def _shared(self, key: tuple[int, int, int], node: Node | Leaf) -> Node | Leaf:
        if len(self._nodes) >= MOST_NODES:
            return node
        return self._nodes.setdefault(key, node)


class _Drawing:
    """Expands a tree below fixed facts and merges what is equal, bottom-up."""

    def __init__(self, tree: DecisionTree, fixed: Mapping[str, object], most: int, scores: bool) -> None:
        self._tree, self._fixed, self._most, self._scores = tree, fixed, most, scores
        self._drawn: dict[Node | Leaf, DrawnNode | DrawnLeaf] = {}
        self._unique: dict[object, DrawnNode | DrawnLeaf] = {}

    def draw(self, root: Node | Leaf) -> DrawnNode | DrawnLeaf:
        stack = [root]
        while stack:
            node = stack[-1]
            if node not in self._drawn:
                if isinstance(node, Leaf):
                    self._drawn[node] = self._leaf(node)
                elif waiting := [child for _, child in self._children(node) if child not in self._drawn]:
                    stack += waiting
                    continue
                else:
                    self._drawn[node] = self._node(node)
                if len(self._drawn) > self._most:
                    raise TooManyNodes
            stack.pop()
        return self._drawn[root]

    def _children(self, node: Node) -> list[tuple[Branch, Node | Leaf]]:
        question = node.question
        branches: Iterable[Branch] = question.branches
        if question.fact in self._fixed:
            cell = question.answer(self._fixed[question.fact])
            branches = [question.branches[cell]]
        return [(branch, self._tree.child(node, branch.cell)) for branch in branches]

    def _leaf(self, leaf: Leaf) -> DrawnLeaf:
        key = (tuple(model.key for model in leaf.chain), leaf.totals if self._scores else None)
        drawn = self._unique.setdefault(key, DrawnLeaf(len(self._unique), leaf))
        assert isinstance(drawn, DrawnLeaf)
        return drawn

    def _node(self, node: Node) -> DrawnNode | DrawnLeaf:
        question = node.question
        merged: dict[int, tuple[list[int], DrawnNode | DrawnLeaf]] = {}
        for branch, child in self._children(node):
            drawn = self._drawn[child]
            merged.setdefault(drawn.number, ([], drawn))[0].append(branch.cell)
        if len(merged) == 1:
            return next(iter(merged.values()))[1]
        readings = [question.reads(cells) for cells, _ in merged.values()]
        children = [child for _, child in merged.values()]
        elements: tuple[str, ...] = () if question.element is None else (question.element,)
        following = children[0]
        if (
            elements
            and isinstance(following, DrawnNode)
            and following.fact == question.fact
            and following.elements
        ):
            otherwise, present = (child for _, child in following.branches)
            if present is children[1]:
                elements, children = elements + following.elements, [otherwise, present]
                readings = [set_reading(question.fact, elements, [cell]) for cell in (0, 1)]
        branches = tuple((each.labels, child) for each, child in zip(readings, children, strict=True))
        key = (question.fact, elements, tuple((labels, child.number) for labels, child in branches))
        conditions = tuple(each.condition for each in readings)
        drawn_node = DrawnNode(len(self._unique), question.fact, elements, branches, conditions)
        return self._unique.setdefault(key, drawn_node)


_NUMBERS = WHOLE | {Kind.PERCENT}


def _rank(question: Question) -> tuple[int, int, int, bool, str]:
    """Names first, those that most cubes turn on before the others; then elements of sets; then numbers,
    coarse before fine.

    INVARIANT: what nobody mentions is asked for after all other elements of its set (see `set_title`). No
    cube turns on it that does not turn on each of them.
    """
    touched, is_last = -question.touched.bit_count(), question.element == OTHER
    if FACTS[question.fact].kind in _NUMBERS:
        return 2, len(question.branches), touched, is_last, question.title
    kind = 0 if question.element is None else 1
    return kind, touched, len(question.branches), is_last, question.title


def up_to_first(live: int, settled: int) -> int:
    """The live bits up to and with the first settled one: nothing behind it can be first."""
    first = live & settled
    return live & ((first & -first) * 2 - 1) if first else live
