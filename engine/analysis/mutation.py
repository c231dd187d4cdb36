"""A policy and its tests and proofs -> which small changes of the policy they would notice, and which they would miss.

All changed rules are compiled together with the policy, once; a mutant is then a mask that says which rules are in force. A mutant is killed
by a case or a proof that held before and no longer does. One that nobody noticed is asked for a task that it decides otherwise, over
all facts: with one it survives, and the simplest is a test that would kill it; without one it is no change at all, and is
discarded. A question that reaches its cap leaves the mutant undecided, and is counted apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeAlias, TypeVar

from engine.analysis.changes import Change, changes
from engine.analysis.policy_tests import CaseReport, meets, run_tests
from engine.analysis.proofs import told
from engine.analysis.questions import (
    ALWAYS_TRUE,
    Chains,
    domain_of,
    every,
    none_live,
    placing,
    selected_by,
    some_live,
)
from engine.analysis.search import Goal, Obstacle, OutOfWork, Witness, Work, find
from engine.analysis.space import Space
from engine.config.lowering import lower
from engine.decision.compiler import compile_policy
from engine.decision.evaluator import Decision, decide_live
from engine.decision.facts import Facts
from engine.decision.partitions import mask_of
from engine.language import syntax_tree as tree
from engine.language.checked_policy import (
    CheckedPolicy,
    Condition,
    FactValue,
    Forbid,
    Not,
    Origin,
    PolicyTest,
    Proof,
    Rule,
)
from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.type_checker import check
from engine.policy import Policy

MOST_MUTANTS = 5_000
"""Changes that are tried; of a policy that has more, an even sample."""

MOST_WORK_A_MUTANT = 200_000
"""Steps that each question about one mutant may take (see `search`)."""

Fate: TypeAlias = Literal["killed", "survived", "equivalent", "undecided"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change, and what became of it. `by` names the test or proof that killed it.

    Of a survivor, `given` are the facts of the simplest task decided otherwise, `before` and `after` what is decided for it.
    """

    change: Change
    fate: Fate
    by: str | None = None
    given: Mapping[str, FactValue] | None = None
    before: Decision | None = None
    after: Decision | None = None


@dataclass(frozen=True, slots=True)
class MutationReport:
    """Every change that was tried. `possible` counts those there are, `ignored` names the tests and proofs that do not hold as it is."""

    mutants: tuple[Mutant, ...]
    possible: int
    ignored: tuple[str, ...]

    def count(self, fate: Fate) -> int:
        return sum(mutant.fate == fate for mutant in self.mutants)

    @property
    def score(self) -> float:
        """The share, 0 to 1, of the changes that matter and were noticed; 1 when none matters."""
        killed = self.count("killed")
        mattering = killed + self.count("survived") + self.count("undecided")
        return killed / mattering if mattering else 1.0


def mutate(policy: Policy, most_work: int = MOST_WORK_A_MUTANT) -> MutationReport:
    """Tries every change of the author's own rules and lets."""
    mine = {source.name for source in policy.folder.routes}
    statements = [each for each in policy.statements if each.span.source.name in mine]
    possible = list(changes(statements))
    step = -(-len(possible) // MOST_MUTANTS) or 1
    return _Mutation(policy, possible[::step]).report(len(possible), most_work)


# --- Changed statements beside the policy's own ---------------------------------------------------------

_MARK = "\0"
"""Between a name and the number of the mutant it belongs to; no author can write it."""


def _marked(name: tree.Identifier, number: int, places: Source) -> tree.Identifier:
    # The place tells the rule in a problem of the compiler.
    return tree.Identifier(f"{name.text}{_MARK}{number}", places.span(number, number))


class _Copies:
    """The statements that one change makes different: the changed one, and whatever speaks of a changed let."""

    def __init__(self, statements: Sequence[tree.Statement], places: Source) -> None:
        self._statements, self._places = statements, places
        self._lets = {each.name.text: each for each in statements if isinstance(each, tree.Let)}
        self._words = {id(each): frozenset(_words(each)) for each in statements}

    def of(self, change: Change, number: int) -> Iterator[tree.Statement]:
        changed = change.replacement
        if isinstance(changed, tree.Let):
            yield from self._of_let(changed, number)
        elif changed is not None:
            yield replace(changed, name=_marked(changed.name, number, self._places))

    def _of_let(self, changed: tree.Let, number: int) -> Iterator[tree.Statement]:
        renamed = {changed.name.text: f"{changed.name.text}{_MARK}{number}"}
        yield replace(changed, name=_marked(changed.name, number, self._places))
        pending = [changed.name.text]
        while pending:
            name = pending.pop()
            for let in self._lets.values():
                if name in self._words[id(let)] and let.name.text not in renamed:
                    renamed[let.name.text] = f"{let.name.text}{_MARK}{number}"
                    pending.append(let.name.text)
        for each in self._statements:
            if self._words[id(each)] & renamed.keys():
                match each:
                    case tree.Let() if each.name.text == changed.name.text:
                        pass
                    case tree.Language():
                        pass
                    case tree.Test():
                        title = tree.Text(f"{each.title.text}{_MARK}{number}", each.title.span)
                        yield replace(_renamed(each, renamed), title=title)
                    case _:
                        yield replace(_renamed(each, renamed), name=_marked(each.name, number, self._places))


def _words(statement: tree.Statement) -> Iterator[str]:
    """The names that may be lets. Recursive over expressions, whose nesting is bounded."""
    match statement:
        case tree.Let(value=tree.List()) | tree.Language():
            return
        case tree.Test():
            for case in statement.cases:
                if isinstance(case.expectation, tree.ExpectFirst | tree.ExpectChain):
                    yield from _words_in(case.expectation.selector)
            return
        case tree.Let():
            yield from _words_in(statement.value)  # type: ignore[arg-type]
            return
        case tree.Route():
            for tier in statement.tiers:
                yield from _words_in(tier)
        case tree.Guard() | tree.Preference() | tree.Prove():
            yield from _words_in(statement.selector)
        case tree.Weigh():
            pass
    for condition in (statement.clauses.when, statement.clauses.unless):
        if condition is not None:
            yield from _words_in(condition)


def _words_in(expression: tree.Expression) -> Iterator[str]:
    match expression:
        case tree.Name(value=tree.Word(text=text)):
            yield text
        case tree.Membership(right=tree.Word(text=text)) | tree.HasSome(right=tree.Word(text=text)):
            yield text
        case tree.And(parts=parts) | tree.Or(parts=parts):
            for part in parts:
                yield from _words_in(part)
        case tree.Not(part=part) | tree.Group(part=part):
            yield from _words_in(part)
        case _:
            pass


_Statement = TypeVar("_Statement", bound=tree.Statement)


def _renamed(statement: _Statement, names: Mapping[str, str]) -> _Statement:
    """The statement with other names for lets."""

    def new(expression: tree.Expression) -> tree.Expression:
        match expression:
            case tree.Name(value=tree.Word(text=text) as word) if text in names:
                return replace(expression, value=replace(word, text=names[text]))
            case tree.Membership(right=tree.Word(text=text) as word) if text in names:
                return replace(expression, right=replace(word, text=names[text]))
            case tree.HasSome(right=tree.Word(text=text) as word) if text in names:
                return replace(expression, right=replace(word, text=names[text]))
            case tree.And(parts=parts) | tree.Or(parts=parts):
                return replace(expression, parts=tuple(map(new, parts)))
            case tree.Not(part=part) | tree.Group(part=part):
                return replace(expression, part=new(part))
            case _:
                return expression

    def new_case(case: tree.Case) -> tree.Case:
        expectation = case.expectation
        if isinstance(expectation, tree.ExpectFirst | tree.ExpectChain):
            return replace(case, expectation=replace(expectation, selector=new(expectation.selector)))
        return case

    changed: dict[str, object] = {}
    match statement:
        case tree.Let() if not isinstance(statement.value, tree.List):
            changed["value"] = new(statement.value)
        case tree.Test():
            changed["cases"] = tuple(map(new_case, statement.cases))
        case tree.Route():
            changed["tiers"] = tuple(map(new, statement.tiers))
        case tree.Guard() | tree.Preference() | tree.Prove():
            changed["selector"] = new(statement.selector)
        case _:
            pass
    if isinstance(statement, tree.Guard | tree.Preference | tree.Prove | tree.Route | tree.Weigh):
        clauses = statement.clauses
        changed["clauses"] = replace(
            clauses,
            when=clauses.when and new(clauses.when),
            unless=clauses.unless and new(clauses.unless),
        )
    return replace(statement, **changed)  # type: ignore[arg-type]


# --- Policy and mutants, compiled together --------------------------------------------------------------


@dataclass(slots=True)
class _Variant:
    """One mutant among the rules: those it puts in force, and those it takes out of force, by their place."""

    change: Change
    added: list[int]
    removed: list[int]
    tests: dict[str, PolicyTest]
    proofs: dict[str, tuple[int, int]]
    is_valid: bool = True
    mask: int = 0


class _Mutation:
    def __init__(self, policy: Policy, tried: Sequence[Change]) -> None:
        self.policy = policy
        self._places = Source("mutants", "")
        checked = self._checked(tried)
        self._originals = [rule for rule in checked.rules if _MARK not in rule.name]
        changed: dict[int, list[Rule]] = {}
        for rule in checked.rules:
            name, marked, number = rule.name.partition(_MARK)
            if marked:
                changed.setdefault(int(number), []).append(replace(rule, name=name))
        self._rules: list[Rule] = []
        self.variants = self._place(tried, changed)
        self._read_questions(checked)
        self._asked: list[Rule] = []
        self._proofs = {proof.name: self._complete(proof) for proof in policy.checked.proofs}
        self._ask_changed(checked)
        self._compile()

    def _checked(self, tried: Sequence[Change]) -> CheckedPolicy:
        """Policy and changed statements, checked in one go; a change that makes no sense is left out by the checker."""
        folder, settings = self.policy.folder, self.policy.settings
        nothing = Problems()
        user = [parse(source, nothing) for source in folder.routes]
        base = [parse(folder.base, nothing)]
        copies = _Copies([each for file in user for each in file.statements], self._places)
        statements = [each for number, change in enumerate(tried) for each in copies.of(change, number)]
        extra = tree.File(self._places, tuple(statements))
        return check([*user, extra], lower(settings), base, self.policy.names, nothing)

    def _place(self, tried: Sequence[Change], changed: Mapping[int, list[Rule]]) -> list[_Variant]:
        """Puts each changed rule behind its original, or ahead of the route it is moved ahead of."""
        variants = [_Variant(change, [], [], {}, {}) for change in tried]
        ahead: dict[str, list[tuple[int, Rule]]] = {}
        behind: dict[str, list[tuple[int, Rule]]] = {}
        for number, change in enumerate(tried):
            rules = changed.get(number, [])
            if change.replacement is not None and not rules:
                variants[number].is_valid = False  # it makes no sense, or is a let of tests and proofs only
            for rule in rules:
                where = ahead if change.ahead_of is not None else behind
                anchor = rule.name if change.ahead_of is None else change.ahead_of.name.text
                where.setdefault(anchor, []).append((number, rule))
        place_of: dict[str, int] = {}
        for original in self._originals:
            for number, rule in ahead.get(original.name, ()):
                variants[number].added.append(len(self._rules))
                self._rules.append(rule)
            place_of[original.name] = len(self._rules)
            self._rules.append(original)
            for number, rule in behind.get(original.name, ()):
                variants[number].added.append(len(self._rules))
                self._rules.append(rule)
        self._first = sorted(place_of.values())
        for number, variant in enumerate(variants):
            names = [rule.name for rule in changed.get(number, [])]
            if variant.change.replacement is None:
                names = [variant.change.statement.name.text]
            variant.removed = [place_of[name] for name in names]
        return variants

    def _read_questions(self, checked: CheckedPolicy) -> None:
        for test in checked.tests:
            title, marked, number = test.title.partition(_MARK)
            if marked:
                self.variants[int(number)].tests[title] = test

    def _ask_changed(self, checked: CheckedPolicy) -> None:
        for proof in checked.proofs:
            name, marked, number = proof.name.partition(_MARK)
            if marked:
                self.variants[int(number)].proofs[name] = self._complete(proof)

    def _complete(self, proof: Proof) -> tuple[int, int]:
        """The places, among the questions, of a proof's condition and of what a witness against it shows."""
        selector = proof.expectation.selector
        if proof.expectation.quantifier != "never":
            selector = Not(selector, selector.span)
        first = len(self._asked)
        self._asked += [
            self._question(proof.condition, ALWAYS_TRUE),
            self._question(proof.condition, selector),
        ]
        return first, first + 1

    def _question(self, condition: Condition, selector: Condition) -> Rule:
        place = self._places.span(-1 - len(self._asked), -1)
        return Rule(f"{_MARK}question", Forbid(selector), condition, None, True, Origin.BASE, place, place)

    def _compile(self) -> None:
        problems = Problems()
        policy = self.policy
        # Questions are rules on watch: they decide nothing.
        together = replace(policy.checked, rules=(*self._rules, *self._asked))
        self.compiled = compile_policy(together, policy.catalogue.models, policy.names, problems)
        refused = {problem.span.start for problem in problems if problem.span.source is self._places}
        bits: dict[int, list[int]] = {}
        for bit, owner in enumerate(self.compiled.owners):
            bits.setdefault(owner, []).append(bit)
        self._bits = {owner: mask_of(mine) for owner, mine in bits.items()}
        self.original = self._mask(self._first)
        for number, variant in enumerate(self.variants):
            if number in refused:
                variant.is_valid = False
            there = set(self._first) - set(variant.removed) | set(variant.added)
            variant.mask = self._mask(sorted(there))
        self._refused = refused
        self.space = Space(self.compiled.cubes, domain_of(policy.names, policy.settings))
        self.chains = Chains(self.compiled)

    def _mask(self, places: Sequence[int]) -> int:
        mask = 0
        for place in places:
            mask |= self._bits.get(place, 0)
        return mask

    # --- Fates ---

    def report(self, possible: int, most_work: int) -> MutationReport:
        cases = run_tests(self.policy)
        good = [case for case in cases if case.passed]
        lives = [self._live(case.explanation.facts) for case in good]
        ignored = [f"test {case.test.title!r}" for case in cases if not case.passed]
        proved = []
        for proof in self.policy.checked.proofs:
            if self._holds(proof, self._proofs[proof.name], self.original, most_work):
                proved.append(proof)
            else:
                ignored.append(f"proof {proof.name}")
        mutants = tuple(
            self._fate(variant, good, lives, proved, most_work)
            for variant in self.variants
            if variant.is_valid
        )
        return MutationReport(mutants, possible, tuple(dict.fromkeys(ignored)))

    def _fate(
        self,
        variant: _Variant,
        cases: Sequence[CaseReport],
        lives: Sequence[int],
        proofs: Sequence[Proof],
        most_work: int,
    ) -> Mutant:
        for report, live in zip(cases, lives, strict=True):
            if not self._passes(variant, report, live):
                return Mutant(variant.change, "killed", f"test {report.test.title!r}")
        for proof in proofs:
            asked = variant.proofs.get(proof.name, self._proofs[proof.name])
            if self._holds(proof, asked, variant.mask, most_work) is False:
                return Mutant(variant.change, "killed", f"proof {proof.name}")
        try:
            witness = find(self.space, difference(self, variant.mask), Work(most_work))
        except OutOfWork:
            return Mutant(variant.change, "undecided")
        if witness is None:
            return Mutant(variant.change, "equivalent")
        return self._survivor(variant, witness)

    def _survivor(self, variant: _Variant, witness: Witness) -> Mutant:
        facts = witness.facts
        before = self.policy.evaluator.decide(facts)
        after = decide_live(self.compiled, self._live(facts) & variant.mask)
        assert before.chain != after.chain, "a witness is decided differently"
        given = told(facts, self.space.domain.defaults)
        return Mutant(variant.change, "survived", None, given, before, after)

    def _live(self, facts: Facts) -> int:
        live = self.compiled.full
        for column in self.compiled.columns:
            live &= column.mask(column.lookup(facts[column.position]))
        return live

    def _passes(self, variant: _Variant, report: CaseReport, live: int) -> bool:
        test = variant.tests.get(report.test.title, report.test)
        case = test.cases[report.number - 1]
        live &= variant.mask
        decision = decide_live(self.compiled, live)
        if not meets(case.expectation, decision, report.explanation.facts):
            return False
        return case.because is None or self._mattered(case.because, decision, live)

    def _mattered(self, name: str, decision: Decision, live: int) -> bool:
        """Ruling 18, asked of a mutant; a changed rule goes by its name."""
        if name in (decision.weigh.name, decision.route.name if decision.route else None):
            return True
        compiled = self.compiled
        mine = live & self._mask([place for place, rule in enumerate(self._rules) if rule.name == name])
        _, tiers = self.chains.route(live)
        if any(mine & compiled.guards[model] for tier in tiers for model in tier.members(live)):
            return True
        keys = {model.key for model in decision.chain}
        return any(
            mine & compiled.favours[place].mask
            for place, model in enumerate(compiled.models)
            if model.key in keys
        )

    def _holds(self, proof: Proof, asked: tuple[int, int], mask: int, most_work: int) -> bool | None:
        """Whether a proof holds with these rules in force; None when the work allowed did not say."""
        first = len(self._rules)
        if any(self._asked[question].name_span.start in self._refused for question in asked):
            return None
        condition, shown = (self._bits.get(first + question, 0) for question in asked)
        chains = self.chains
        goals: list[Goal]
        if proof.expectation.quantifier == "some":
            guards = self.compiled.guards
            excuses = [
                guard & mask | watched & shown
                for guard, watched in zip(guards, self.compiled.watched, strict=True)
            ]
            goals = [every(some_live(condition), _masked(chains.nobody(excuses), mask | shown))]
        else:
            goals = [
                every(some_live(watched & shown), _masked(chains.in_chain(model), mask))
                for model, watched in enumerate(self.compiled.watched)
                if watched & shown
            ]
        try:
            return find(self.space, goals, Work(most_work)) is None
        except OutOfWork:
            return None


# --- Tasks that two sets of rules decide differently ----------------------------------------------------


def _masked(goal: Goal, mask: int) -> Goal:
    """A goal asked of the rules in force."""

    def masked(live: int) -> Obstacle | None:
        obstacle = goal(live & mask)
        if obstacle is None:
            return None
        return Obstacle(obstacle.dying, obstacle.kills, obstacle.wakes & mask, obstacle.splits & mask)

    return masked


def difference(mutation: _Mutation, mask: int) -> list[Goal]:
    """Goals that together find every task whose chain is another with the rules of `mask` than with the policy's own.

    Two chains differ when a model that is in one is blocked in the other, or is in no tier of the other's route, or when two models
    of both stand in another order.
    """
    compiled, chains, original = mutation.compiled, mutation.chains, mutation.original
    ours, theirs = original & ~mask, mask & ~original
    moved = ours | theirs
    goals: list[Goal] = []
    models = range(len(compiled.models))
    for model in models:
        guard = compiled.guards[model]
        for here, only in ((original, theirs), (mask, ours)):
            if guard & only:
                goals.append(every(some_live(guard & only), _masked(chains.in_chain(model), here)))
    routing = compiled.routes
    for tiers in compiled.tiers.values():
        for model in models:
            routing |= placing(tiers, model)
    if moved & routing:
        for model in models:
            unblocked = none_live(compiled.guards[model] & (original | mask))
            goals.append(
                every(
                    some_live(moved & routing),
                    unblocked,
                    _compared(_Membership(mutation, model), original, mask),
                )
            )
    for one, other in combinations(models, 2):
        bears = moved & (
            routing | compiled.weighs | compiled.favours[one].mask | compiled.favours[other].mask
        )
        if bears:
            unblocked = none_live((compiled.guards[one] | compiled.guards[other]) & (original | mask))
            goals.append(
                every(some_live(bears), unblocked, _compared(_Order(mutation, one, other), original, mask))
            )
    return goals


def _compared(aspect: "_Membership | _Order", original: int, mask: int) -> Goal:
    """The aspect is another under the one set of rules than under the other."""

    def goal(live: int) -> Obstacle | None:
        before, on_before = aspect.of(live & original, original)
        after, on_after = aspect.of(live & mask, mask)
        return None if before != after else Obstacle(splits=on_before | on_after)

    return goal


class _Membership:
    """Whether the route taken selects a model, and the cubes on which that turns as things are."""

    def __init__(self, mutation: _Mutation, model: int) -> None:
        self._mutation, self._model = mutation, model

    def of(self, live: int, mask: int) -> tuple[bool, int]:
        compiled, chains = self._mutation.compiled, self._mutation.chains
        first, tiers = chains.route(live)
        always, depending = selected_by(tiers, self._model)
        depending &= mask
        return always or bool(live & depending), _up_to(compiled.routes & mask, first) | depending


class _Order:
    """Where two models stand to each other, both being eligible: their tiers and scores; and the cubes on which that turns."""

    def __init__(self, mutation: _Mutation, one: int, other: int) -> None:
        self._mutation, self._models = mutation, (one, other)

    def of(self, live: int, mask: int) -> tuple[object, int]:
        compiled, chains = self._mutation.compiled, self._mutation.chains
        first, tiers = chains.route(live)
        turns = _up_to(compiled.routes & mask, first)
        places = []
        for model in self._models:
            place = None
            for number, tier in enumerate(tiers):
                always, depending = selected_by([tier], model)
                turns |= depending & mask
                if place is None and (always or live & depending):
                    place = number
            places.append(place)
        if None in places:
            return None, turns
        if places[0] != places[1]:
            return places[0] < places[1], turns  # type: ignore[operator]
        weighs = live & compiled.weighs
        weigh = weighs & -weighs
        turns |= _up_to(compiled.weighs & mask, weigh)
        scores = compiled.scores[compiled.owners[weigh.bit_length() - 1]]
        ranks = []
        for model in self._models:
            favours = compiled.favours[model]
            turns |= favours.mask & mask
            ranks.append((-scores[model] - favours.total(live & favours.mask), compiled.ties[model]))
        return ranks[0] < ranks[1], turns


def _up_to(bits: int, first: int) -> int:
    """Those of some cubes that decide which is the first to hold: up to the one that is, or all when none is."""
    return bits & (2 * first - 1) if first else bits
