"""How an attempt ended -> what the ledger does with its reservation; the taxonomy's `Billed`, carried out.

A usage that the provider reported at the end of its answer is charged as reported, and never above what it
could have billed: the output that was asked for, and the input that was sent. Whatever else may have been
billed is unknown, and unknown is the whole reservation. Where nothing was held, because nothing can cost
anything, the tokens are counted here.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

from engine.budget import Basis, Ledger, Observation, Outcome, Reservation, TokenPrices, Usage, cost_micro_usd
from engine.providers.conduct import Billed
from engine.providers.errors import ProviderError
from engine.providers.reply import Reply
from engine.providers.reply import Usage as Reported


@dataclass(frozen=True, slots=True)
class Terms:
    """What bounds the bill of one attempt, in tokens of input as sent and of output as asked for.

    `is_paid` is True when something was held for it; `stops_on_abort`, when the provider documents that it
    bills no more than it has sent when the caller leaves a stream. `held_input` is the input that was held
    for, where that is less than the bound: no estimate is above it.
    """

    most_input: int
    max_tokens: int
    is_paid: bool = True
    stops_on_abort: bool = False
    held_input: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """One of the three ends of a reservation. `usage` is what was used, or the best guess at it; `basis` is
    for `settle`, `reason` for the other two. `over_report` says what was reported beyond what can have been
    billed, `observed` what a measured call says of its model."""

    act: Literal["settle", "release", "forfeit"]
    usage: Usage = Usage()
    basis: Basis = Basis.MEASURED
    served: bool = False
    reason: str = ""
    over_report: str | None = None
    observed: Observation | None = None

    @property
    def charged_by(self) -> Basis | None:
        """How its charge is known; None when nothing is charged."""
        return {"settle": self.basis, "release": None, "forfeit": Basis.RESERVED}[self.act]

    @property
    def note(self) -> str | None:
        """What a reader of the charge should know: how it is not simply the usage that was reported."""
        if self.over_report is not None:
            return self.over_report
        if self.act == "forfeit":
            return f"the whole reservation is charged: {self.reason}"
        return None

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
                return ledger.settle(
                    reservation,
                    self.usage,
                    basis=self.basis,
                    served=self.served,
                    over_report=self.over_report,
                    observed=self.observed,
                )
            case "release":
                return ledger.release(reservation, self.reason)
            case "forfeit":
                guess = self.usage if self.served else None
                return ledger.forfeit(reservation, self.reason, guess=guess, served=self.served)
            case _:
                assert_never(self.act)


def of_reply(reply: Reply, terms: Terms) -> Settlement:
    """An answer that went to the caller."""
    shown = shown_bytes(reply)
    if reply.usage_is_final and _is_whole(reply.usage):
        return _measured(reply.usage, terms, served=True)
    return _unknown(
        _counted(reply.usage, terms, shown), terms, "its usage was not reported in full", served=True
    )


def of_free_reply(reply: Reply) -> Settlement | None:
    """The same where nothing can cost anything, and so nothing bounds what was used; None where it was not
    told in full."""
    if not reply.usage_is_final or not _is_whole(reply.usage):
        return None
    return Settlement("settle", _priced(reply.usage), Basis.MEASURED, served=True)


def shown_bytes(reply: Reply) -> int:
    """The size of all that an answer shows: text, reasoning, names and arguments of calls."""
    called = [part for call in reply.tool_calls for part in call["function"].values()]
    texts = (reply.content, reply.reasoning, *map(str, called))
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def of_failure(error: ProviderError, terms: Terms) -> Settlement:
    """A failed attempt, as its class says."""
    reported = error.usage or Reported()
    match error.conduct.billed:
        case Billed.NO:
            return Settlement("release", reason=f"not billed: {error.kind.value}")
        case Billed.UNKNOWN:
            reason = f"may have been billed: {error.kind.value}"
            return _unknown(_counted(reported, terms, 0), terms, reason, served=False)
        case Billed.BY_USAGE if _is_whole(reported):
            return _measured(reported, terms, served=False)
        case Billed.BY_USAGE if not terms.is_paid or (error.status or 0) >= 400:
            # Declined before an answer began: the prompt may have been billed, and no output.
            return Settlement("settle", _counted(reported, terms, 0), Basis.ESTIMATED)
        case Billed.BY_USAGE:
            reason = f"may have been billed: {error.kind.value}, and no usage was reported"
            return _unknown(_counted(reported, terms, 0), terms, reason, served=False)
        case _:
            assert_never(error.conduct.billed)


def of_abandoned(dispatched: bool, shown_bytes: int, terms: Terms) -> Settlement:
    """The caller went away, after so many bytes of the answer."""
    if not dispatched:
        return Settlement("release", reason="never sent: the caller went away")
    usage = _counted(Reported(), terms, shown_bytes)
    if shown_bytes and terms.stops_on_abort:
        return Settlement("settle", usage, Basis.ESTIMATED, served=True)
    reason = "may have been billed: the caller went away"
    return _unknown(usage, terms, reason, served=shown_bytes > 0)


def _is_whole(reported: Reported) -> bool:
    return None not in (reported.input_tokens, reported.output_tokens)


def _measured(reported: Reported, terms: Terms, *, served: bool) -> Settlement:
    """As reported; what is beyond the bounds of the request is charged at the bounds, and said."""
    usage = _priced(reported)
    beyond = [
        f"{told} tokens of {what} where at most {most} can be"
        for what, told, most in (
            ("input", usage.prompt_tokens, terms.most_input),
            ("output", usage.output_tokens, terms.max_tokens),
        )
        if told > most
    ]
    if not beyond or not terms.is_paid:
        return Settlement("settle", usage, Basis.MEASURED, served)
    over_report = f"it reported {' and '.join(beyond)}; the most is charged"
    return Settlement("settle", _within(usage, terms), Basis.ESTIMATED, served, over_report=over_report)


def _within(usage: Usage, terms: Terms) -> Usage:
    """The usage cut to the bounds; of the input the cheapest class is cut first."""
    written = min(usage.cache_write_tokens, terms.most_input)
    plain = min(usage.input_tokens, terms.most_input - written)
    read = min(usage.cached_input_tokens, terms.most_input - written - plain)
    return Usage(plain, min(usage.output_tokens, terms.max_tokens), read, written)


def _unknown(guess: Usage, terms: Terms, reason: str, *, served: bool) -> Settlement:
    if terms.is_paid or not served:
        return Settlement("forfeit", guess, served=served, reason=reason)
    return Settlement("settle", guess, Basis.ESTIMATED, served)


def _counted(reported: Reported, terms: Terms, shown_bytes: int) -> Usage:
    """What was not reported, counted high: a token has at least one byte, and no answer is longer than it was
    allowed to be."""
    output = min(terms.max_tokens, shown_bytes)
    most_input = terms.most_input if terms.held_input is None else terms.held_input
    return _priced(
        Reported(
            most_input if reported.input_tokens is None else reported.input_tokens,
            output if reported.output_tokens is None else reported.output_tokens,
            reported.cached_read_tokens,
            reported.cache_write_tokens,
        )
    )


def _priced(reported: Reported) -> Usage:
    """By classes that do not overlap."""
    read, written = reported.cached_read_tokens or 0, reported.cache_write_tokens or 0
    plain = max(0, (reported.input_tokens or 0) - read - written)
    return Usage(plain, reported.output_tokens or 0, read, written)
