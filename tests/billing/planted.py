"""Bugs planted in what is booked, each of which the schedules must see, every time.

To add one: a function that plants it in the running process, by replacing what the engine calls, and its row
in `BUGS` with the manners of the vendor that show it. A worker plants it right after its fork; the process
that reads the ledger afterwards has none. `python -m tests.billing.overspend --plant NAME` tries one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from engine.budget import Account, Basis, Ledger, Usage, admission, learning, money
from engine.execution import attempts, holds, settlement
from engine.execution.attempts import RequestExecution
from engine.execution.settlement import Settlement, Terms
from engine.providers import openai, usage_reading
from engine.providers.base import Request
from engine.providers.conduct import CONDUCT, Conduct
from engine.providers.errors import ProviderError
from engine.providers.openai import OpenAIProvider
from engine.providers.reply import Reply
from engine.providers.reply import Usage as Reported
from engine.providers.usage_reading import UsageReader


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, the manners that show it, and the daily limit under which they do.

    `relaxed`: it shows where one provider stops billing when its caller leaves. `leaves` makes every caller
    leave after its first piece.
    """

    plant: Callable[[], None]
    manners: tuple[str, ...]
    limit_usd: Decimal = Decimal(100)
    relaxed: bool = False
    leaves: bool = False


# --- Reading usage


def _zero_for_unknown() -> None:
    def usage(self: UsageReader, shown_bytes: int = 0) -> Reported:
        told = self._largest
        return replace(told, input_tokens=told.input_tokens or 0, output_tokens=told.output_tokens or 0)

    UsageReader.usage = usage  # type: ignore[method-assign]
    UsageReader.is_final = lambda self, shown_bytes=0: True  # type: ignore[method-assign,assignment]


def _zero_is_measured() -> None:
    usage_reading._believed = lambda told, shown_bytes: told


def _first_usage() -> None:
    read = UsageReader.read

    def first(self: UsageReader, record: object, **more: bool) -> None:
        if not self.is_told:
            read(self, record, **{**more, "final": True})

    UsageReader.read = first  # type: ignore[method-assign,assignment]
    _zero_is_measured()


def _last_usage() -> None:
    usage_reading._larger = lambda one, other: other


def _total_ignored() -> None:
    told = usage_reading._told
    usage_reading._told = lambda record: replace(told(record), total=None)


def _reasoning_beside_ignored() -> None:
    rest = usage_reading._with_the_rest

    def ignored(told: Any, prompt: int, output: int, cached: int) -> tuple[int, int]:
        beside = told.total - prompt - output == (told.reasoning or 0)
        return (prompt, output) if beside else rest(told, prompt, output, cached)

    usage_reading._with_the_rest = ignored


def _cache_beside_subtracted() -> None:
    usage_reading._with_the_rest = lambda told, prompt, output, cached: (
        prompt,
        output if told.total - prompt - output == cached else max(output, told.total - prompt),
    )
    counted = usage_reading._counted

    def inside(told: Any, *, cache_beside: bool) -> Reported:
        usage = counted(told, cache_beside=cache_beside)
        return usage if cache_beside else replace(usage, input_tokens=told.input)

    usage_reading._counted = inside


def _counts_read_by(read: Callable[[Any], int | None]) -> Callable[[], None]:
    def plant() -> None:
        def count_of(value: object) -> int | None:
            return None if value is None else read(value)

        usage_reading.count_of = count_of
        _zero_is_measured()

    return plant


def _not_read_on() -> None:
    reads = OpenAIProvider._next

    async def stops(self: Any, attempt: Any, call: Any, events: Any, reading: Any) -> Any:
        if reading.finish is None or not attempt.usage_reader.is_told:
            return await reads(self, attempt, call, events, reading)
        call.ended = True
        return None

    OpenAIProvider._next = stops  # type: ignore[method-assign]


def _cut_after_usage_is_whole() -> None:
    made = openai._reply

    def whole(*told: Any, is_final: bool = True) -> Reply:
        return made(*told)

    openai._reply = whole


def _cached_price_for_all() -> None:
    priced = settlement._priced

    def cheap(reported: Reported) -> Usage:
        usage = priced(reported)
        return Usage(0, usage.output_tokens, usage.prompt_tokens, 0)

    settlement._priced = cheap


def _reasoning_not_charged() -> None:
    priced = settlement._priced

    def less(reported: Reported) -> Usage:
        usage = priced(reported)
        return replace(usage, output_tokens=max(0, usage.output_tokens - (reported.reasoning_tokens or 0)))

    settlement._priced = less


def _rounded_down() -> None:
    money.ceil_divide = lambda dividend, divisor: dividend // divisor


# --- Settling


def _unknown_is_estimated() -> None:
    settlement._unknown = lambda guess, terms, reason, *, served: Settlement(
        "settle", guess, Basis.ESTIMATED, served
    )


def _abort_as_shown() -> None:
    ended = settlement.of_abandoned
    holds.of_abandoned = lambda dispatched, shown, terms: ended(
        dispatched, shown, replace(terms, stops_on_abort=True)
    )


def _abort_released() -> None:
    holds.of_abandoned = lambda dispatched, shown, terms: Settlement("release", reason="the caller left")


def _dispatch_not_noted() -> None:
    ended = settlement.of_abandoned
    holds.of_abandoned = lambda dispatched, shown, terms: ended(False, shown, terms)


def _failure_as(read: Callable[[ProviderError, Terms], Usage]) -> Callable[[], None]:
    def plant() -> None:
        ended = settlement.of_failure

        def settled(error: ProviderError, terms: Terms) -> Settlement:
            end = ended(error, terms)
            if end.act != "forfeit":
                return end
            return Settlement("settle", read(error, terms), Basis.ESTIMATED)

        attempts.of_failure = settled

    return plant


def _as_shown(error: ProviderError, terms: Terms) -> Usage:
    return settlement._counted(error.usage or Reported(), terms, 0)


def _table_alone(conduct: Callable[[ProviderError, Conduct], Conduct]) -> Callable[[], None]:
    def plant() -> None:
        said = ProviderError.conduct.fget  # type: ignore[attr-defined]
        ProviderError.conduct = property(lambda self: conduct(self, said(self)))  # type: ignore[assignment]

    return plant


def _released_in_a_stream(error: ProviderError, said: Conduct) -> Conduct:
    return CONDUCT[error.kind] if error.status == 200 else said


def _released_gateway(error: ProviderError, said: Conduct) -> Conduct:
    return CONDUCT[error.kind] if error.status == 504 else said


def _over_report_as_told() -> None:
    settlement._within = lambda usage, terms: usage


# --- Holding


def _limit_not_checked() -> None:
    hold = admission.hold

    def unguarded(session: Any, account: Account, window: Any, amount: int) -> bool:
        return hold(session, replace(account, limit_micro_usd=None), window, amount)

    admission.hold = unguarded


def _holds(amount: Callable[[int, int, int], int]) -> Callable[[], None]:
    """`amount` has the whole amount, its input at $1 a million, and the number of the attempt."""

    def plant() -> None:
        attempt_of = RequestExecution._attempt_of

        def less(self: RequestExecution, record: Any, whole: int) -> Any:
            number = int(record.attempt_id.rpartition("-")[2])
            return attempt_of(self, record, max(1, amount(whole, self._prompt.most_tokens, number)))

        RequestExecution._attempt_of = less  # type: ignore[method-assign]

    return plant


def _more_asked_than_held() -> None:
    request_of = RequestExecution._request

    def more(self: RequestExecution, *asked: Any) -> Request:
        request = request_of(self, *asked)
        return replace(request, max_tokens=2 * (request.max_tokens or 0))

    RequestExecution._request = more  # type: ignore[method-assign]


# --- The ledger


def _forfeit_forgets() -> None:
    def nothing(self: Ledger, reservation: Any, reason: str, **more: Any) -> Any:
        return self.release(reservation, reason)

    Ledger.forfeit = nothing  # type: ignore[method-assign]


def _both(*ways: str) -> Iterator[str]:
    for way in ways:
        yield from (f"whole/{way}", f"stream/{way}")


_LITTLE = Decimal("0.001")
_ANY = tuple(_both("inside", "none", "unreadable"))
_UNKNOWN = tuple(_both("none", "zero", "negative", "fractional", "textual", "absurd"))
_LEFT = ("stream/slow", "stream/inside", "stream/none")

BUGS: dict[str, Bug] = {
    # reading usage
    "zero for unknown": Bug(_zero_for_unknown, _UNKNOWN),
    "zero is measured": Bug(_zero_is_measured, tuple(_both("zero"))),
    "first usage": Bug(_first_usage, ("stream/zeros-then-real", "stream/started-then-real")),
    "last usage instead of largest": Bug(_last_usage, ("stream/real-then-less",)),
    "total ignored": Bug(_total_ignored, tuple(_both("only-in-total"))),
    "reasoning beside ignored": Bug(_reasoning_beside_ignored, tuple(_both("reasoning-beside"))),
    "cache beside subtracted": Bug(_cache_beside_subtracted, tuple(_both("cached-beside"))),
    "negative accepted": Bug(_counts_read_by(lambda value: max(0, value)), tuple(_both("negative"))),
    "fraction cut off": Bug(_counts_read_by(int), tuple(_both("fractional"))),
    "text read as zero": Bug(
        _counts_read_by(lambda value: value if isinstance(value, int) else 0), tuple(_both("textual"))
    ),
    "stream not read on": Bug(_not_read_on, ("stream/started-then-real",)),
    "cut after a first usage is whole": Bug(_cut_after_usage_is_whole, ("stream/started-then-cut",)),
    "cached price for all": Bug(_cached_price_for_all, tuple(_both("inside"))),
    "reasoning not charged": Bug(_reasoning_not_charged, tuple(_both("inside"))),
    "rounded down": Bug(_rounded_down, tuple(_both("inside"))),
    # settling
    "unknown is estimated": Bug(_unknown_is_estimated, _ANY),
    "abort as shown": Bug(_abort_as_shown, _LEFT, leaves=True),
    "on_abort relaxed for everybody": Bug(_abort_as_shown, _LEFT, relaxed=True, leaves=True),
    "abort released": Bug(_abort_released, _LEFT, leaves=True),
    "dispatch not noted": Bug(_dispatch_not_noted, _LEFT, leaves=True),
    "cut as shown": Bug(_failure_as(_as_shown), tuple(_both("cut"))),
    "unreadable is zero": Bug(_failure_as(lambda error, terms: Usage()), tuple(_both("unreadable", "cut"))),
    "error event released": Bug(_table_alone(_released_in_a_stream), ("stream/error-event-first",)),
    "gateway time-out released": Bug(_table_alone(_released_gateway), ("whole/gateway-timeout",)),
    "over-report as told": Bug(_over_report_as_told, tuple(_both("too-much")), Decimal(1)),
    # holding
    "limit not checked": Bug(_limit_not_checked, _ANY, _LITTLE),
    "input held at a mean": Bug(_holds(lambda whole, most, _: whole - most * 3 // 4), _ANY),
    "output not held": Bug(_holds(lambda whole, most, _: most), _ANY),
    "fallback not held": Bug(
        _holds(lambda whole, _, number: whole if number == 1 else 1), tuple(_both("unreadable"))
    ),
    "more asked than held": Bug(_more_asked_than_held, _ANY),
    # the ledger
    "forfeit forgets": Bug(_forfeit_forgets, _ANY),
}


# --- Learnt bounds, slices and the default limit of output; `tests.billing.holds` plays what shows each.


def _slice_after_use() -> None:
    holds.AHEAD = -4_000


def _forgets_its_largest() -> None:
    after = learning.Density.after

    def forgets(self: learning.Density, call: learning.Measured) -> learning.Density:
        return replace(after(self, call), largest_ppm=call.ppm)

    learning.Density.after = forgets  # type: ignore[method-assign]


def _used_too_early() -> None:
    learning.ENOUGH = 1


def _default_limit_not_sent() -> None:
    request_of = RequestExecution._request

    def unlimited(self: RequestExecution, *asked: Any) -> Request:
        request = request_of(self, *asked)
        is_default = request.max_tokens == self._snapshot.default_max_output
        return replace(request, max_tokens=None) if is_default else request

    RequestExecution._request = unlimited  # type: ignore[method-assign]


HOLDS: dict[str, Callable[[], None]] = {
    "slice taken after use": _slice_after_use,
    "learnt bound that forgets its largest": _forgets_its_largest,
    "learnt bound used before enough was observed": _used_too_early,
    "default output limit not sent": _default_limit_not_sent,
}
