"""A policy and changes of its statements -> policy and all mutants, compiled together once.

A change becomes statements of its own under fresh names, beside those of the policy; a table says which
mutant a fresh name belongs to and what it replaces. A mutant is then a mask that says which rules are in
force.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.analysis.axes import Domain
from engine.analysis.changes import Change
from engine.analysis.claims import broken_by
from engine.analysis.later_calls import LaterCalls
from engine.analysis.proofs import in_question
from engine.analysis.questions import ALWAYS_TRUE, Chains, TooComplex
from engine.analysis.space import Space
from engine.config.lowering import lower
from engine.decision.cache_prices import is_cache_price
from engine.decision.compiler import compile_policy
from engine.decision.facts import Facts
from engine.decision.partitions import mask_of
from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    CheckedPolicy,
    Condition,
    Forbid,
    Not,
    Origin,
    PolicyTest,
    Proof,
    Rule,
)
from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.resolver import words_that_may_be_lets
from engine.language.source import Source
from engine.language.type_checker import check
from engine.policy import Policy


@dataclass(frozen=True, slots=True)
class _CopyOf:
    """What a fresh name stands for: the mutant it belongs to, and the name that the author gave."""

    mutant: int
    name: str


class _Copies:
    """The statements that a change makes different: the changed one, and whatever speaks of a changed let."""

    def __init__(self, statements: Sequence[tree.Statement], places: Source) -> None:
        self.originals: dict[str, _CopyOf] = {}
        """By the fresh name. A test keeps its title; its span says which mutant it belongs to."""
        self._statements, self._places = statements, places
        self._words = {
            id(each): frozenset(word.text for word in words_that_may_be_lets(each)) for each in statements
        }

    def of(self, change: Change, number: int) -> Iterator[tree.Statement]:
        changed = change.replacement
        if isinstance(changed, tree.Let):
            yield from self._of_let(changed, number)
        elif changed is not None:
            yield replace(changed, name=self._named(changed.name, number))

    def _of_let(self, changed: tree.Let, number: int) -> Iterator[tree.Statement]:
        """The changed let, and a copy of every statement that speaks of it, be it through other lets."""
        fresh = {changed.name.text: self._fresh(changed.name.text, number)}
        yield replace(changed, name=self._named(changed.name, number))
        pending = [changed.name.text]
        while pending:
            name = pending.pop()
            for each in self._statements:
                if (
                    isinstance(each, tree.Let)
                    and name in self._words[id(each)]
                    and each.name.text not in fresh
                ):
                    fresh[each.name.text] = self._fresh(each.name.text, number)
                    pending.append(each.name.text)

        def renamed(node: tree.Node) -> tree.Node:
            match node:
                case tree.Name(value=tree.Word(text=text) as word) if text in fresh:
                    return replace(node, value=replace(word, text=fresh[text]))
                case tree.Membership(right=tree.Word(text=text) as word) if text in fresh:
                    return replace(node, right=replace(word, text=fresh[text]))
                case tree.HasSome(right=tree.Word(text=text) as word) if text in fresh:
                    return replace(node, right=replace(word, text=fresh[text]))
                case _:
                    return node

        for each in self._statements:
            if not self._words[id(each)] & fresh.keys() or isinstance(each, tree.Language):
                continue
            if isinstance(each, tree.Test):
                yield replace(tree.rewrite(each, renamed), span=self._places.span(number, number))
            elif each.name.text != changed.name.text:
                yield replace(tree.rewrite(each, renamed), name=self._named(each.name, number))

    def _named(self, name: tree.Identifier, number: int) -> tree.Identifier:
        # The place tells the mutant in a problem of the compiler.
        return tree.Identifier(self._fresh(name.text, number), self._places.span(number, number))

    def _fresh(self, name: str, number: int) -> str:
        """A name that no author can write, because there are blanks in it."""
        fresh = f"{name} of mutant {number}"
        self.originals[fresh] = _CopyOf(number, name)
        return fresh


@dataclass(slots=True)
class Variant:
    """One mutant: the rules it puts in force and those it takes out of force, by their place; tests and
    proofs of its own."""

    change: Change
    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    tests: dict[str, PolicyTest] = field(default_factory=dict)
    proofs: dict[str, "ProofQuestions"] = field(default_factory=dict)
    is_valid: bool = True
    mask: int = 0


@dataclass(frozen=True, slots=True)
class ProofQuestions:
    """A proof's condition, and what a witness against it shows, each by its place among the questions."""

    condition: int
    broken: int


class CompiledMutants:
    """A policy compiled together with everything that its mutants make different.

    `original` is the mask of the policy's own rules, `rules` are these and the changed ones in the order that
    decides.
    """

    def __init__(self, policy: Policy, tried: Sequence[Change]) -> None:
        self._policy = policy
        self._places = Source("mutants", "")
        self.variants = [Variant(change) for change in tried]
        self.rules: list[Rule] = []
        self._asked: list[Rule] = []
        self._too_complex: set[int] = set()
        copies, checked = self._checked(tried)
        own = tuple(rule for rule in policy.checked.rules if is_cache_price(rule))
        first = self._place_rules((*checked.rules, *own), copies)
        for test in checked.tests:
            if test.span.source is self._places:
                self.variants[test.span.start].tests[test.title] = test
        self.proofs = {proof.name: self._ask(proof) for proof in policy.checked.proofs}
        for proof in checked.proofs:
            if (copy := copies.get(proof.name)) is not None:
                self.variants[copy.mutant].proofs[copy.name] = self._ask(proof)
        self._compile(first)

    def _checked(self, tried: Sequence[Change]) -> tuple[Mapping[str, _CopyOf], CheckedPolicy]:
        """Policy and changed statements, checked in one go; a change that makes no sense is left out by
        the checker."""
        folder, settings = self._policy.folder, self._policy.settings
        nothing = Problems()
        user = [parse(source, nothing) for source in folder.routes]
        base = [parse(folder.base, nothing)]
        copies = _Copies([each for file in user for each in file.statements], self._places)
        statements = [each for number, change in enumerate(tried) for each in copies.of(change, number)]
        extra = tree.File(self._places, tuple(statements))
        checked = check([*user, extra], lower(settings), base, self._policy.names, nothing)
        return copies.originals, checked

    def _place_rules(self, rules: Sequence[Rule], copies: Mapping[str, _CopyOf]) -> list[int]:
        """Puts each changed rule behind its original, or ahead of the route it is moved ahead of; the
        places of the originals."""
        changed: dict[int, list[Rule]] = {}
        for rule in rules:
            if (copy := copies.get(rule.name)) is not None:
                changed.setdefault(copy.mutant, []).append(replace(rule, name=copy.name))
        ahead: dict[str, list[tuple[int, Rule]]] = {}
        behind: dict[str, list[tuple[int, Rule]]] = {}
        for number, variant in enumerate(self.variants):
            mine, route = changed.get(number, []), variant.change.ahead_of
            # Without a rule it makes no sense, or is a let of tests and proofs only.
            variant.is_valid = bool(mine) or variant.change.replacement is None
            for rule in mine:
                if route is None:
                    behind.setdefault(rule.name, []).append((number, rule))
                else:
                    ahead.setdefault(route.name.text, []).append((number, rule))
        place_of: dict[str, int] = {}
        for original in rules:
            if original.name in copies:
                continue
            self._add(ahead.get(original.name, ()))
            place_of[original.name] = len(self.rules)
            self.rules.append(original)
            self._add(behind.get(original.name, ()))
        for number, variant in enumerate(self.variants):
            names = [rule.name for rule in changed.get(number, [])]
            if variant.change.replacement is None:
                names = [variant.change.statement.name.text]
            variant.removed = [place_of[name] for name in names]
        return sorted(place_of.values())

    def _add(self, changed: Sequence[tuple[int, Rule]]) -> None:
        for number, rule in changed:
            self.variants[number].added.append(len(self.rules))
            self.rules.append(rule)

    # --- Questions ---

    def _ask(self, proof: Proof) -> ProofQuestions:
        policy = self._policy
        later, first = None, len(self._asked)
        try:
            if proof.after is not None:
                later = LaterCalls(proof.after, policy.checked, policy.catalogue.models, policy.names)
        except TooComplex:
            self._too_complex |= {first, first + 1}
        broken = broken_by(proof.expectation, in_question(proof, later))
        selector = ALWAYS_TRUE if broken.selector is None else broken.selector
        if broken.negated:
            selector = Not(selector, selector.span)
        self._asked += [
            self._question(broken.condition, ALWAYS_TRUE),
            self._question(broken.condition, selector),
        ]
        return ProofQuestions(first, first + 1)

    def _question(self, condition: Condition, selector: Condition) -> Rule:
        place = self._places.span(-1 - len(self._asked), -1)
        return Rule("a question", Forbid(selector), condition, None, True, Origin.BASE, place, place)

    # --- Compiled ---

    def _compile(self, first: Sequence[int]) -> None:
        problems = Problems()
        policy = self._policy
        # Questions are rules on watch: they decide nothing.
        together = replace(policy.checked, rules=(*self.rules, *self._asked))
        self.compiled = compile_policy(together, policy.catalogue.models, policy.names, problems)
        self._refused = {problem.span.start for problem in problems if problem.span.source is self._places}
        bits: dict[int, list[int]] = {}
        for bit, owner in enumerate(self.compiled.owners):
            bits.setdefault(owner, []).append(bit)
        self._bits = {owner: mask_of(mine) for owner, mine in bits.items()}
        self.original = self.mask(first)
        for number, variant in enumerate(self.variants):
            if number in self._refused:
                variant.is_valid = False
            there = set(first) - set(variant.removed) | set(variant.added)
            variant.mask = self.mask(sorted(there))
        self.space = Space(self.compiled.cubes, Domain.of(policy.names))
        self.chains = Chains(self.compiled)

    def mask(self, places: Sequence[int]) -> int:
        """The cubes of the rules at some places."""
        mask = 0
        for place in places:
            mask |= self._bits.get(place, 0)
        return mask

    def named(self, name: str) -> int:
        """The cubes of a rule and of its changed copies, which go by its name."""
        return self.mask([place for place, rule in enumerate(self.rules) if rule.name == name])

    def asked(self, question: int) -> int | None:
        """The cubes of a question; None when it came to too many."""
        if question in self._too_complex or self._asked[question].name_span.start in self._refused:
            return None
        return self._bits.get(len(self.rules) + question, 0)

    def live(self, facts: Facts) -> int:
        """The cubes that hold of a task, those of every mutant among them."""
        live = self.compiled.full
        for column in self.compiled.columns:
            live &= column.mask(column.lookup(facts[column.position]))
        return live
