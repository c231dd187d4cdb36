"""What a lint rule is given: the policy with everything that several rules ask of it."""

from functools import cached_property

from engine.analysis.answer_text import facts_to_state, task_text
from engine.analysis.lint_questions import LintQuestions
from engine.analysis.reachability import Reachability
from engine.decision.facts import Facts


class LintContext(LintQuestions):
    """A policy under the linter. Everything is worked out when first asked for."""

    @cached_property
    def reachability(self) -> Reachability:
        """Which rules never apply, are never reached, or change nothing."""
        return Reachability(self)

    def witness(self, facts: Facts) -> str:
        """A witness in a sentence: `type=planning mode=local-only`."""
        return task_text(facts_to_state(facts, self.space.domain.defaults))
