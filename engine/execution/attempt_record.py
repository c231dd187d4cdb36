"""What happened at one member of the chain, as results, exceptions and the decision log tell it. No text of
anybody's."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from engine.budget import Basis, Usage, usd
from engine.config.catalogue import Model
from engine.providers.errors import ProviderError

AttemptOutcome = Literal["answered", "failed", "interrupted", "cancelled", "unaffordable", "skipped"]


@dataclass(slots=True)
class AttemptRecord:
    """One attempt, or one member that was passed over (`skipped`: not called, nothing reserved).

    `unaffordable`: the ledger refused the reservation, nothing was sent. Amounts are micro-dollars;
    `max_tokens` is what was sent, less than asked when the budget allowed no more; `budget_cut` is whether
    the answer is shorter for that, or was ended in the middle. `breach`: it cost more than was held, or
    reported more than it can have used.
    """

    model: Model
    outcome: AttemptOutcome = "cancelled"
    attempt_id: str | None = None
    error: str | None = None
    error_class: str | None = None
    reason: str = ""
    status: int | None = None
    request_id: str | None = None
    max_tokens: int | None = None
    budget_cut: bool = False
    reserved_micro_usd: int = 0
    charge_micro_usd: int = 0
    basis: Basis | None = None
    breach: bool = False
    usage: Usage | None = None
    dispatched: bool = False
    cold: bool | None = None
    duration_s: float = 0.0
    first_token_s: float | None = None
    notes: list[str] = field(default_factory=list)

    def failed_with(self, error: Exception) -> None:
        """Note an error: its class and its sentence, which holds no secret and no prompt."""
        self.error, self.reason = type(error).__name__, str(error)
        if isinstance(error, ProviderError):
            self.error_class, self.status = error.kind.value, error.status
            self.request_id = error.request_id

    @property
    def cost_usd(self) -> Decimal:
        """What was charged for it."""
        return usd(self.charge_micro_usd)

    def to_json(self) -> dict[str, Any]:
        """As `result["attempts"]` has it."""
        return {
            "model": self.model.id,
            "provider": self.model.provider,
            "outcome": self.outcome,
            "reason": self.reason,
            "error": self.error,
            "error_class": self.error_class,
            "status": self.status,
            "request_id": self.request_id,
            "attempt_id": self.attempt_id,
            "max_tokens": self.max_tokens,
            "budget_cut": self.budget_cut,
            "cost_usd": self.cost_usd,
            "charged_by": None if self.basis is None else self.basis.value,
            "duration_s": round(self.duration_s, 4),
            "first_token_s": None if self.first_token_s is None else round(self.first_token_s, 4),
            "cold_start": self.cold,
            "notes": list(self.notes),
        }
