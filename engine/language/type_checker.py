"""Syntax trees of a whole policy -> the checked policy: every statement held against what may stand in it.

The last phase of the language; what it returns means something whole. A statement with an error is reported
and left out of the result; the rest is still checked, so that one run reports every independent problem.
This phase decides nothing about tasks.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from types import UnionType
from typing import assert_never

from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    All,
    Answered,
    ChainIs,
    CheckedPolicy,
    Claim,
    Condition,
    Constant,
    Effect,
    Expectation,
    FactValue,
    FirstIs,
    Forbid,
    ModelsAre,
    Not,
    Origin,
    PolicyTest,
    Prefer,
    Proof,
    Refused,
    Require,
    RouteIs,
    Rule,
    TestCase,
    Use,
    Weigh,
)
from engine.language.condition_checker import ConditionChecker
from engine.language.constants import Constants
from engine.language.diagnostics import Problems
from engine.language.histories import extended
from engine.language.known_names import Names
from engine.language.messages import names as name_messages
from engine.language.messages import statements as statement_messages
from engine.language.messages import types as type_messages
from engine.language.resolver import Namespace, resolve
from engine.language.source import Span
from engine.language.unused_lets import report_unused_lets
from engine.language.versions import Versions
from engine.language.vocabulary import ATTRIBUTES, FACTS, Fact, Kind
from engine.language.weight_shares import WEIGHTS, shares_of_a_hundred

MOST_RULES = 20_000


def check(
    user: Sequence[tree.File],
    lowered: Sequence[tree.Rule],
    base: Sequence[tree.File],
    names: Names,
    problems: Problems,
) -> CheckedPolicy:
    """Check a policy: the user's files in order, the rules that policies.yaml stands for, the engine's own
    files.

    The result holds every statement that has no error, rules in the order that decides. Whether a policy with
    problems may decide anything is for the caller to say (it may not).
    """
    something_was_left_out = problems.has_errors or any(file.broken for file in (*user, *base))
    namespace = resolve(user, lowered, base, names, problems)
    checker = _StatementChecker(namespace, names, problems, Versions((*user, *base), problems))
    for file in user:
        checker.check_all(file.statements, Origin.USER)
    so_far = len(problems.found)
    checker.check_all(lowered, Origin.YAML)
    if something_was_left_out:
        del problems.found[so_far:]  # of policies.yaml, which was reported where it is read
    for file in base:
        checker.check_all(file.statements, Origin.BASE)
    if not something_was_left_out:
        # Otherwise a statement that was left out may use the let.
        report_unused_lets(namespace, checker.used_lets, problems)
    lets = {let.name.text: let.name.span for let in namespace.lets if namespace.let(let.name.text) is let}
    return CheckedPolicy(
        tuple(checker.rules),
        tuple(checker.tests),
        tuple(checker.proofs),
        lets,
        checker.conditions.let_conditions,
    )


class _StatementChecker:
    """Checks statements one after the other, and keeps those without an error."""

    def __init__(self, namespace: Namespace, names: Names, problems: Problems, versions: Versions) -> None:
        self.namespace = namespace
        self.names = names
        self.problems = problems
        self.constants = Constants(names, problems, versions)
        self.conditions = ConditionChecker(namespace, self.constants, problems)
        self.conditions.check_lets()
        self.rules: list[Rule] = []
        self.tests: list[PolicyTest] = []
        self.proofs: list[Proof] = []
        self._titles: dict[str, Span] = {}
        self._written_rules = 0

    @property
    def used_lets(self) -> set[str]:
        return self.conditions.used

    def check_all(self, statements: Sequence[tree.Statement], origin: Origin) -> None:
        self.constants.forgiving = origin is Origin.YAML
        for statement in statements:
            match statement:
                case tree.Guard() | tree.Preference() | tree.Weigh() | tree.Route():
                    self._count(statement, origin)
                    rule = self._rule(statement, origin)
                    if rule is not None:
                        self.rules.append(rule)
                case tree.Test():
                    self._test(statement)
                case tree.Prove():
                    self._proof(statement)
                case tree.Let() | tree.Language():
                    pass  # lets have been read before anything else; the parser knows the versions
                case _:
                    assert_never(statement)
        self.constants.forgiving = False

    def _count(self, rule: tree.Rule, origin: Origin) -> None:
        if origin is not Origin.BASE:
            self._written_rules += 1
            if self._written_rules == MOST_RULES + 1:
                self.problems.add(statement_messages.too_many_rules(rule.name.span, MOST_RULES))

    # --- Rules ---

    def _rule(self, rule: tree.Rule, origin: Origin) -> Rule | None:
        effect = self._effect(rule)
        condition = self._condition(rule)
        if effect is None or condition is None:
            return None
        return Rule(
            name=rule.name.text,
            effect=effect,
            condition=condition,
            because=rule.clauses.because.text if rule.clauses.because else None,
            watch=isinstance(rule, tree.Guard) and rule.watch,
            origin=origin,
            span=rule.span,
            name_span=rule.name.span,
        )

    def _effect(self, rule: tree.Rule) -> Effect | None:
        match rule:
            case tree.Guard(kind=kind):
                selector = self._selector(rule.selector)
                if selector is None:
                    return None
                return Forbid(selector) if kind == "forbid" else Require(selector)
            case tree.Preference():
                selector = self._selector(rule.selector)
                points = self._points(rule)
                return None if selector is None or points is None else Prefer(selector, points)
            case tree.Weigh():
                return self._weights(rule)
            case tree.Route():
                tiers = [self._selector(tier) for tier in rule.tiers]
                good = tuple(tier for tier in tiers if tier is not None)
                return Use(good) if len(good) == len(tiers) else None
            case _:
                assert_never(rule)

    def _points(self, rule: tree.Preference) -> Decimal | None:
        points = self.constants.plain(rule.points, "points")
        if points is None:
            return None
        if points == 0:
            self.problems.add(statement_messages.no_points(rule.points.span, rule.kind))
            return None
        return points if rule.kind == "prefer" else -points

    def _weights(self, rule: tree.Weigh) -> Weigh | None:
        """All three, once each, summing to 1."""
        written: dict[str, tuple[Decimal | None, Span]] = {}
        is_good = True
        if (right := shares_of_a_hundred(rule)) is not None:
            place = rule.shares[0].span.until(rule.shares[-1].span)
            self.problems.add(statement_messages.weights_of_a_hundred(place, right))
            return None
        for share in rule.shares:
            part = share.part.text
            if part not in WEIGHTS:
                self.problems.add(statement_messages.unknown_weight(share.part.span, part, WEIGHTS))
                is_good = False
            elif part in written:
                self.problems.add(statement_messages.weight_twice(share.part.span, part, written[part][1]))
                is_good = False
            else:
                weight = self.constants.plain(share.weight, "a weight")
                written[part] = weight, share.part.span
                is_good = is_good and weight is not None
        if not is_good:
            return None
        place = rule.shares[0].span.until(rule.shares[-1].span) if rule.shares else rule.name.span
        missing = [part for part in WEIGHTS if part not in written]
        if missing:
            self.problems.add(statement_messages.weights_missing(place, missing, place.text))
            return None
        cost, quality, latency = (written[part][0] or Decimal(0) for part in WEIGHTS)
        if cost + quality + latency != 1:
            self.problems.add(statement_messages.weights_do_not_sum(place, cost + quality + latency))
            return None
        return Weigh(cost, quality, latency)

    # --- Which expression may stand where ---

    def _selector(self, expression: tree.Expression, in_test: bool = False) -> Condition | None:
        checked = self.conditions.check(expression)
        mention = checked.mentions.get("fact")
        if mention is not None:
            is_all = mention.span == expression.span
            self.problems.add(
                statement_messages.fact_in_selector(mention.span, mention.inside, is_all, in_test)
            )
            return None
        return checked.condition

    def _facts_only(self, expression: tree.Expression, statement: str) -> Condition | None:
        checked = self.conditions.check(expression)
        mention = checked.mentions.get("model") or checked.mentions.get("cross")
        if mention is not None:
            self.problems.add(statement_messages.model_in_condition(mention.span, mention.inside, statement))
            return None
        return checked.condition

    def _asked(self, expression: tree.Expression, statement: tree.Rule | tree.Prove) -> Condition | None:
        match statement:
            case tree.Guard() | tree.Preference():
                return self.conditions.check(expression).condition
            case tree.Weigh():
                return self._facts_only(expression, "weigh")
            case tree.Route():
                return self._facts_only(expression, "route")
            case tree.Prove():
                return self._facts_only(expression, "prove")
            case _:
                assert_never(statement)

    def _condition(self, statement: tree.Rule | tree.Prove) -> Condition | None:
        """`when A unless B` is `A and not B`; without either it always holds."""
        clauses = statement.clauses
        when: Condition | None = Constant(True, statement.name.span)
        if clauses.when is not None:
            when = self._asked(clauses.when, statement)
        if clauses.unless is None:
            return when
        unless = self._asked(clauses.unless, statement)
        if when is None or unless is None:
            return None
        exception = Not(unless, clauses.unless.span)
        return exception if clauses.when is None else All((when, exception), clauses.when.span)

    # --- Proofs and tests ---

    def _proof(self, proof: tree.Prove) -> None:
        claim = self._claim(proof.claim)
        after: Condition | None = None
        if proof.after is not None:
            self.constants.versions.need(proof.after.span, "`after`")
            after = self._asked(proof.after, proof)
            if after is None:
                claim = None
        condition = self._condition(proof)
        if claim is not None and condition is not None:
            name = proof.name
            self.proofs.append(Proof(name.text, claim, after, condition, proof.span, name.span))

    def _claim(self, written: tree.Claim) -> Claim | None:
        need = self.constants.versions.need
        match written:
            case tree.ExpectChain("never", tree.Name(tree.Word("refused"))) if self._may_be_refused(written):
                return Answered()
            case tree.ExpectChain(quantifier, expression):
                selector = self._selector(expression)
                return None if selector is None else ChainIs(quantifier, selector)
            case tree.ExpectFirst(expression):
                need(written.span, "`first`")
                selector = self._selector(expression)
                return None if selector is None else FirstIs(selector)
            case tree.ExpectRoute(name):
                need(written.span, "a proof of a route")
                return RouteIs(name.text) if self._is_rule(name, tree.Route) else None
            case tree.ExpectRefused():
                need(written.span, "a proof of a refusal")
                return Refused()
            case _:
                assert_never(written)

    def _may_be_refused(self, written: tree.ExpectChain) -> bool:
        """Whether `refused` is the word of language 1.1 here, and no model, provider or let of this name."""
        is_named = (
            "refused" in self.namespace.declared
            or "refused" in self.names.providers
            or self.constants.models_called("refused")
        )
        return not is_named and self.constants.versions.need(written.span, "`never refused`")

    def _test(self, test: tree.Test) -> None:
        title = test.title.text
        if title in self._titles:
            self.problems.add(statement_messages.duplicate_title(test.title.span, self._titles[title]))
        self._titles.setdefault(title, test.title.span)
        cases = [self._case(case) for case in test.cases]
        good = tuple(case for case in cases if case is not None)
        if len(good) == len(cases):
            self.tests.append(PolicyTest(title, good, test.span))

    def _case(self, case: tree.Case) -> TestCase | None:
        given = self._given(case)
        expectation = self._expectation(case.expectation)
        because_is_good = case.because is None or self._is_rule(case.because, tree.Rule)
        if given is None or expectation is None or not because_is_good:
            return None
        return TestCase(given, expectation, case.because.text if case.because else None, case.span)

    def _given(self, case: tree.Case) -> dict[str, FactValue] | None:
        """The facts a case gives, those of an earlier call as far as they reach this one."""
        singles = tuple(each for each in case.given if not isinstance(each, tree.GivenHistory))
        earlier = [self._earlier(each) for each in case.given if isinstance(each, tree.GivenHistory)]
        read = self._facts_given(singles)
        if read is None:
            return None
        facts, places = read
        if "task.type" not in places:
            where = case.given[0].span.until(case.given[-1].span) if case.given else case.span
            self.problems.add(statement_messages.task_type_not_given(where, self.names.task_types))
            return None
        for before in earlier:
            if before is None:
                return None
            facts = extended(facts, before)
        return facts

    def _earlier(self, history: tree.GivenHistory) -> dict[str, FactValue] | None:
        self.constants.versions.need(history.span, "`session had`")
        if history.word.text != "session":
            self.problems.add(statement_messages.history_of_what(history.word.span))
            return None
        read = self._facts_given(history.given)
        return None if read is None else read[0]

    def _facts_given(
        self, written: Sequence[tree.SingleGiven]
    ) -> tuple[dict[str, FactValue], dict[str, Span]] | None:
        """Members of a set add up; anything else is given once."""
        facts: dict[str, FactValue] = {}
        places: dict[str, Span] = {}
        is_good = True
        for given in written:
            fact = self._given_fact(given.fact)
            if fact is None:
                return None
            value = self._given_value(fact, given)
            before = facts.get(fact.name)
            if fact.name in places and not (isinstance(given, tree.GivenHas) and before != frozenset()):
                self.problems.add(statement_messages.given_twice(given.span, fact.name, places[fact.name]))
                is_good = False
            places.setdefault(fact.name, given.span)
            if value is None:
                is_good = False
            elif isinstance(value, frozenset) and isinstance(before, frozenset):
                facts[fact.name] = before | value
            else:
                facts[fact.name] = value
        return (facts, places) if is_good else None

    def _given_fact(self, word: tree.Word) -> Fact | None:
        fact = FACTS.get(word.text)
        if fact is None:
            if word.text in ATTRIBUTES:
                self.problems.add(statement_messages.attribute_given(word.span, word.text))
            else:
                self.problems.add(name_messages.unknown_term(word.span, word.text))
        elif fact.follows:
            self.problems.add(statement_messages.derived_given(word.span, fact, self.names.modes))
            return None
        if fact is not None:
            self.constants.versions.term(word.span, fact)
        return fact

    def _given_value(self, fact: Fact, given: tree.SingleGiven) -> FactValue | None:
        match given:
            case tree.GivenFlag():
                if fact.kind is Kind.FLAG:
                    return given.value
                self.problems.add(type_messages.must_be_given(given.span, fact, self.constants.listed(fact)))
                return None
            case tree.GivenEmpty():
                if fact.kind is Kind.SET:
                    return frozenset()
                span = given.span
                return self._given_single(
                    fact, tree.Word("empty", span.source.span(span.end - 5, span.end)), span
                )
            case tree.GivenHas():
                if fact.kind is not Kind.SET:
                    self.problems.add(
                        type_messages.has_on_single(given.span, fact.name, given.value.span.text)
                    )
                    return None
                element = self.constants.element(fact, given.value)
                return None if element is None else frozenset({element})
            case tree.GivenIs():
                return self._given_single(fact, given.value, given.span)
            case _:
                assert_never(given)

    def _given_single(self, fact: Fact, value: tree.Value, span: Span) -> FactValue | None:
        match fact.kind:
            case Kind.SET:
                self.problems.add(type_messages.set_is_single(span, fact.name, "is", value.span.text))
                return None
            case Kind.FLAG:
                if not isinstance(value, tree.Number) and value.text in ("yes", "no"):
                    return value.text == "yes"
                self.problems.add(type_messages.yes_or_no(span, fact.name, "is", value.span.text))
                return None
            case Kind.NAME | Kind.ORDERED:
                return self.constants.name(fact, value)
            case _:
                return self.constants.number(fact, value)

    def _expectation(self, written: tree.Expectation) -> Expectation | None:
        match written:
            case tree.ExpectFirst():
                selector = self._selector(written.selector, in_test=True)
                return None if selector is None else FirstIs(selector)
            case tree.ExpectChain():
                selector = self._selector(written.selector, in_test=True)
                return None if selector is None else ChainIs(written.quantifier, selector)
            case tree.ExpectModels():
                return self._chain(written)
            case tree.ExpectRoute():
                return RouteIs(written.name.text) if self._is_rule(written.name, tree.Route) else None
            case tree.ExpectRefused():
                return Refused()
            case _:
                assert_never(written)

    def _chain(self, written: tree.ExpectModels) -> ModelsAre | None:
        places: dict[str, Span] = {}
        is_good = True
        for word in written.models:
            key = self.constants.model(word)
            if key is None:
                is_good = False
            elif key in places:
                self.problems.add(type_messages.member_twice(word.span, word.span.text, places[key]))
                is_good = False
            else:
                places[key] = word.span
        return ModelsAre(tuple(places), written.is_open) if is_good else None

    def _is_rule(self, name: tree.Identifier, wanted: type[tree.Route] | UnionType) -> bool:
        """Whether the name is that of a rule, or of a route where only one will do."""
        declaration = self.namespace.declared.get(name.text)
        if declaration is None:
            if self.namespace.may_be(name.text):
                return True
            self._unknown_rule(name, wanted)
            return False
        if isinstance(declaration.statement, wanted):
            return True
        self.problems.add(
            statement_messages.not_such_a_rule(
                name.span,
                name.text,
                declaration.statement.name.span,
                declaration.noun,
                wanted is tree.Route,
            )
        )
        return False

    def _unknown_rule(self, name: tree.Identifier, wanted: type[tree.Route] | UnionType) -> None:
        search = self.constants.may_search(len(self.namespace.declared))
        declared = self.namespace.declared.items()
        rules = (rule for rule, declaration in declared if isinstance(declaration.statement, wanted))
        known = list(rules if search else islice(rules, 12))
        self.problems.add(
            statement_messages.unknown_rule(name.span, name.text, known, wanted is tree.Route, search)
        )
