"""How a request ends without an answer, beyond what one provider or one budget says.

ChainExhausted            every member of the chain failed, was refused its money, or could not be called
└── DeadlineExceeded      the time for the whole chain is over

A refusal that must be seen (an invalid request, a declined answer, a broken stream) is the provider's own
error; a chain that failed for want of money alone is the ledger's; a chain that never was is NoEligibleModel.
"""
# ruff: noqa: N818 - the names say what happened, and are part of the interface

from collections.abc import Sequence
from typing import Any

from engine.errors import EngineError


class ChainExhausted(EngineError):
    """No member of the chain answered. `attempts` says of each what happened, as `result["attempts"]`
    does."""

    said = "no model of the chain answered"

    def __init__(self, attempts: Sequence[dict[str, Any]], decision_id: str = "") -> None:
        self.attempts = list(attempts)
        self.decision_id = decision_id
        ends = "; ".join(
            f"{attempt['model']} ({attempt['provider']}): {attempt['reason']}" for attempt in self.attempts
        )
        super().__init__(f"{self.said}: {ends}" if ends else self.said)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.attempts, self.decision_id)


class DeadlineExceeded(ChainExhausted):
    """The time for the whole chain was over before a member answered."""

    said = "the deadline passed before a model answered"
