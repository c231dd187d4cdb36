"""What a lint rule is given: the policy with everything that several rules ask of it."""

from functools import cached_property

from engine.analysis.answer_text import facts_to_state, task_text
from engine.analysis.later_calls import LaterCalls
from engine.analysis.lint_questions import LintQuestions
from engine.analysis.questions import TooComplex
from engine.analysis.reachability import Reachability
from engine.decision.facts import Facts
from engine.language.checked_policy import Proof


class LintContext(LintQuestions):
    """A policy under the linter. Everything is worked out when first asked for."""

    @cached_property
    def reachability(self) -> Reachability:
        """Which rules never apply, are never reached, or change nothing."""
        return Reachability(self)

    def none_precedes(self, proof: Proof) -> bool:
        """Whether no call at all satisfies what stands behind `after` in a proof."""
        policy = self.policy
        if proof.after is None:
            return False
        try:
            return LaterCalls(proof.after, policy.checked, policy.catalogue.models, policy.names).are_none
        except TooComplex:
            return False

    def witness(self, facts: Facts) -> str:
        """A witness in a sentence: `type=planning mode=local-only`."""
        return task_text(facts_to_state(facts, self.space.domain.defaults))
