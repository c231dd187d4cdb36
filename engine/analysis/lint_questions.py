"""A policy under the linter: its rules as written and as compiled, and questions about all tasks, asked once
and bounded.

A lint question that reaches its cap is left open, noted in `open_questions` and reported at the end; it never
becomes a finding.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, TypeVar

from engine.analysis.proofs import Answer, Prover
from engine.analysis.questions import Asked, Chains, Questioned, TooComplex
from engine.analysis.search import Goal, OutOfWork, Witness, Work, find
from engine.analysis.space import Box, Space
from engine.decision.compiler import CompiledPolicy
from engine.decision.explanation import Explanation
from engine.decision.facts import INDEX
from engine.language.checked_policy import Constant, Origin, Rule, SubjectTest, Use, walk
from engine.language.source import Source, Span
from engine.language.syntax_tree import Guard, Preference, Route, Statement
from engine.language.syntax_tree import Rule as WrittenRule
from engine.policy import Policy

MOST_WORK_TOGETHER = 10_000_000
"""Steps that the questions about single rules share; each may take its part, within the bounds below."""

LEAST_WORK_A_QUESTION, MOST_WORK_A_QUESTION = 5_000, 200_000

MOST_WORK_A_PROOF, MOST_WORK_OF_PROOFS = 2_000_000, 10_000_000
"""Steps for one proof, and for all of them together."""

MOST_STEPS_A_RULE, MOST_STEPS_TOGETHER = 1_000_000, 3_000_000
"""What the questions of one lint rule may cost, and those of all: one step is one model or one pair of
models looked at. Time and memory stay within it, however large the policy is."""

_STEPS_A_TASK = 20
"""What looking at one task costs beside its models."""

Test_ = TypeVar("Test_", bound=SubjectTest)


class LintQuestions:
    """What is asked of a policy under the linter. Everything is worked out when first asked for."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.open_questions: Counter[str] = Counter()
        """How many questions of each lint rule were left open."""
        self._spent: Counter[str] = Counter()

    # --- As written ---

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The author's files: rules, then models.yaml and policies.yaml."""
        folder = self.policy.folder
        return (*folder.routes, folder.models, *([folder.policies] if folder.policies else []))

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What the author wrote in `.route` files."""
        mine = {source.name for source in self.policy.folder.routes}
        return tuple(each for each in self.policy.statements if each.span.source.name in mine)

    @cached_property
    def written(self) -> dict[str, WrittenRule]:
        """Every rule's statement by its name, lowered and base rules included."""
        return {each.name.text: each for each in self.policy.statements if isinstance(each, WrittenRule)}

    @cached_property
    def rules(self) -> tuple[tuple[int, Rule], ...]:
        """The author's own rules with their place in the order that decides."""
        return tuple(
            (index, rule)
            for index, rule in enumerate(self.policy.checked.rules)
            if rule.origin is Origin.USER
        )

    def of_effect(self, *kinds: type) -> Iterator[tuple[int, Rule]]:
        """The author's rules with an effect of these kinds."""
        return ((index, rule) for index, rule in self.rules if isinstance(rule.effect, kinds))

    def condition_span(self, rule: Rule) -> Span | None:
        """What stands after `when` (and `unless`), None where nothing does."""
        clauses = self.written[rule.name].clauses
        first, last = clauses.when or clauses.unless, clauses.unless or clauses.when
        return None if first is None or last is None else first.span.until(last.span)

    def tier_span(self, rule: Rule, tier: int) -> Span:
        written = self.written[rule.name]
        assert isinstance(written, Route)
        return written.tiers[tier].span

    # --- As compiled ---

    @cached_property
    def prover(self) -> Prover:
        """The policy compiled with its proofs and with each rule's condition as a question of its own."""
        conditions = [Asked(self.policy.checked.rules[index].condition) for index in self._conditioned]
        return Prover(self.policy, conditions)

    @property
    def questioned(self) -> Questioned:
        return self.prover.questioned

    @property
    def compiled(self) -> CompiledPolicy:
        return self.questioned.compiled

    @property
    def space(self) -> Space:
        return self.questioned.space

    @cached_property
    def chains(self) -> Chains:
        return Chains(self.compiled)

    @cached_property
    def models(self) -> range:
        return range(len(self.compiled.models))

    def bits(self, rule: int) -> int:
        """The cubes of a rule in which something that can happen lies; of a route those of its condition,
        not of its tiers."""
        bits = self.questioned.bits(rule) & self.space.feasible
        return bits & self.compiled.routes if isinstance(self.compiled.rules[rule].effect, Use) else bits

    def condition(self, rule: int) -> tuple[int, ...] | None:
        """The cubes of a rule's condition alone, by model; None where it has none, or one too large."""
        place = self._conditioned.get(rule)
        if place is None:
            return None
        try:
            return tuple(
                mask & self.space.feasible
                for mask in self.questioned.asked(2 * len(self.policy.checked.proofs) + place)
            )
        except TooComplex:
            return None

    def earlier(self, rule: int, among: int) -> int:
        """Those of some cubes that belong to rules before this one."""
        bits = self.questioned.bits(rule) & among
        return among & ((bits & -bits) - 1) if bits else among

    @cached_property
    def _conditioned(self) -> dict[int, int]:
        # One that came to nothing when it was checked (`not mode.allow_cloud` where every mode allows it) is
        # a condition still.
        has_one = (
            index
            for index, rule in self.rules
            if not (isinstance(rule.condition, Constant) and rule.condition.value)
        )
        return {index: place for place, index in enumerate(has_one)}

    @cached_property
    def proofs(self) -> list[Answer]:
        count = len(self.policy.checked.proofs)
        return self.prover.answers(min(MOST_WORK_A_PROOF, MOST_WORK_OF_PROOFS // (count + 1)))

    # --- What several rules look at ---

    def selector_span(self, rule: Rule) -> Span:
        written = self.written[rule.name]
        assert isinstance(written, Guard | Preference)
        return written.selector.span

    def tests(self, kind: type[Test_], subject: str) -> Iterator[Test_]:
        """Every test of one kind and subject in the conditions of the author's rules, in order; a shared let
        is read once."""
        conditions = (rule.condition for _, rule in self.rules)
        return (each for each in walk(conditions) if isinstance(each, kind) and each.subject == subject)

    @cached_property
    def consent(self) -> list[int]:
        """Each model's guards without those about what it is able to do: a task too long for every window,
        or with tools that no model has, is no route's fault."""
        able = 0
        for index, rule in enumerate(self.compiled.rules):
            if rule.origin is Origin.BASE and rule.name in ("context-window", "tools-unsupported"):
                able |= self.questioned.bits(index)
        return [guard & ~able for guard in self.compiled.guards]

    def mattering(self, explanation: Explanation) -> set[str]:
        """The names of the rules that mattered in a decision: those that had a part in its outcome."""
        names = {explanation.decision.weigh.name}
        if explanation.route is not None:
            names.add(explanation.route.name)
        for candidate in explanation.candidates:
            names.update(rule.name for rule in candidate.blockers)
            names.update(rule.name for rule, _ in (candidate.score.preferences if candidate.score else ()))
        return {name for name in names if explanation.mattered(name)}

    # --- Questions ---

    def find(
        self, slug: str, goals: Sequence[Goal], within: Iterable[Box] = ({},), most_work: int | None = None
    ) -> "Witness | Open | None":
        """As `search.find`; OPEN where the work allowed did not suffice."""
        a_task, steps = len(self.space.axes) + 1, len(self.models) + _STEPS_A_TASK
        tasks = self.left(slug) // steps
        work = Work(min(most_work or self.most_work, max(tasks, 0) * a_task))
        try:
            return find(self.space, goals, work, within)
        except OutOfWork:
            self.open_questions[slug] += 1
            return OPEN
        finally:
            self._spent[slug] += work.done // a_task * steps + len(goals)

    def left(self, slug: str) -> int:
        """Steps that the questions of a lint rule may still take."""
        return min(MOST_STEPS_A_RULE - self._spent[slug], MOST_STEPS_TOGETHER - self._spent.total())

    def affords(self, slug: str, steps: int) -> bool:
        """Takes steps of those a lint rule has; False when it has not so many, and the question that they
        were for is left open."""
        if steps > self.left(slug):
            self.open_questions[slug] += 1
            return False
        self._spent[slug] += steps
        return True

    def part(self, of: int, among: int) -> int:
        """Steps for each of some hard questions that share an allowance, and never less than a part of the
        usual."""
        return max(self.most_work // 4, of // (among + 1))

    @cached_property
    def most_work(self) -> int:
        """Steps one question may take: a small policy is looked at harder than a large one."""
        part = MOST_WORK_TOGETHER // (len(self.compiled.rules) + 1)
        return min(max(part, LEAST_WORK_A_QUESTION), MOST_WORK_A_QUESTION)

    def box(self, **facts: Callable[[object], bool]) -> Box:
        """All tasks whose facts (`mode`, `provider_down`, ...) have values that pass."""
        names = {name.replace(".", "_"): position for name, position in INDEX.items()}
        wanted = {names[name]: test for name, test in facts.items()}
        box: Box = {}
        for number, axis in enumerate(self.space.axes):
            test = wanted.get(axis.fact)
            if test is None:
                continue
            if axis.element is None:
                passing = sum(1 << cell for cell, value in enumerate(axis.values) if test(value))
                box[number] = passing or axis.domain
            else:
                box[number] = 1 if axis.domain & 1 and not test(frozenset({axis.element})) else axis.domain
        return box

    @cached_property
    def quiet(self) -> Box:
        """Quiet days: every provider up and free, nothing spent, and nothing in particular needed."""

        def nothing(value: object) -> bool:
            return not value

        return self.box(
            budget_daily_used=nothing,
            budget_monthly_used=nothing,
            budget_exhausted_providers=nothing,
            provider_down=nothing,
            provider_busy=nothing,
            task_needs=nothing,
        )


class Open:
    """The answer to a question that reached its cap."""


OPEN: Final = Open()
