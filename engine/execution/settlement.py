"""How an attempt ended -> what the ledger does with its reservation; the taxonomy's `Billed`, carried out.

Reported tokens are priced as reported. What was not reported is counted high: a token has at least one byte,
and no answer is longer than it was allowed to be. An explicit zero stays zero. What nobody can know is
charged whole.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

from engine.budget import Basis, Ledger, Outcome, Reservation, TokenPrices, Usage, cost_micro_usd
from engine.providers.conduct import Billed
from engine.providers.errors import ProviderError, StreamInterrupted, Truncated
from engine.providers.reply import Reply
from engine.providers.reply import Usage as Reported


@dataclass(frozen=True, slots=True)
class Settlement:
    """One of the three ends of a reservation. `usage` and `basis` are for `settle`, `reason` for the other
    two."""

    act: Literal["settle", "release", "forfeit"]
    usage: Usage = Usage()
    basis: Basis = Basis.MEASURED
    served: bool = False
    reason: str = ""

    @property
    def charged_by(self) -> Basis | None:
        """How its charge is known; None when nothing is charged."""
        return {"settle": self.basis, "release": None, "forfeit": Basis.RESERVED}[self.act]

    def expected_charge(self, reserved_micro_usd: int, prices: TokenPrices | None) -> int:
        """What the ledger will charge, in micro-dollars."""
        match self.act:
            case "settle":
                return 0 if prices is None else cost_micro_usd(prices, self.usage)
            case "release":
                return 0
            case "forfeit":
                return reserved_micro_usd
            case _:
                assert_never(self.act)

    def apply(self, ledger: Ledger, reservation: Reservation) -> Outcome:
        """Tell the ledger. Raises BudgetError."""
        match self.act:
            case "settle":
                return ledger.settle(reservation, self.usage, basis=self.basis, served=self.served)
            case "release":
                return ledger.release(reservation, self.reason)
            case "forfeit":
                return ledger.forfeit(reservation, self.reason)
            case _:
                assert_never(self.act)


def of_reply(reply: Reply, most_input: int, max_tokens: int) -> Settlement:
    """An answer that went to the caller."""
    shown = len(reply.content.encode("utf-8", "replace")) + len(reply.reasoning.encode("utf-8", "replace"))
    shown += sum(
        len(call["function"]["name"]) + len(call["function"]["arguments"].encode("utf-8", "replace"))
        for call in reply.tool_calls
    )
    return _settle(reply.usage, most_input, min(max_tokens, shown), served=True)


def of_failure(error: ProviderError, most_input: int) -> Settlement:
    """A failed attempt, as its class says."""
    match error.conduct.billed:
        case Billed.NO:
            return Settlement("release", reason=f"not billed: {error.kind.value}")
        case Billed.UNKNOWN:
            return Settlement("forfeit", reason=f"may have been billed: {error.kind.value}")
        case Billed.BY_USAGE:
            known = error.usage_estimate if isinstance(error, StreamInterrupted) else error.usage
            counted = isinstance(error, StreamInterrupted | Truncated)
            return _settle(known or Reported(), most_input, 0, served=False, counted=counted)
        case _:
            assert_never(error.conduct.billed)


def of_abandoned(dispatched: bool, shown_tokens: int, most_input: int) -> Settlement:
    """The caller went away. What was shown is counted; what was sent and not answered may have been
    billed."""
    if not dispatched:
        return Settlement("release", reason="never sent: the caller went away")
    if not shown_tokens:
        return Settlement("forfeit", reason="may have been billed: the caller went away")
    return _settle(Reported(), most_input, shown_tokens, served=True, counted=True)


def _settle(
    reported: Reported, most_input: int, most_output: int, *, served: bool, counted: bool = False
) -> Settlement:
    whole = reported.input_tokens if reported.input_tokens is not None else most_input
    output = reported.output_tokens if reported.output_tokens is not None else most_output
    read, written = reported.cached_read_tokens or 0, reported.cache_write_tokens or 0
    measured = not counted and None not in (reported.input_tokens, reported.output_tokens)
    return Settlement(
        "settle",
        Usage(max(0, whole - read - written), output, read, written),
        Basis.MEASURED if measured else Basis.ESTIMATED,
        served,
    )
