"""The classes of failure at a provider, and what may be done after each: one table.

Which signal is of which class is decided in `error_mapping`. Retrying and falling back are the router's and
settling is the ledger's: both read `CONDUCT` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """Whose fault a failure is. It decides who is asked next, and what is remembered."""

    REQUEST = "no target could take the request"
    TARGET = "this target cannot take the request"
    PROVIDER = "the provider is ill"
    ANSWER = "the answer is bad"
    REFUSED = "the model refused"


class ErrorClass(Enum):
    """The class of a failure, as `error_mapping` reads it from an error body and its status."""

    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    AUTH = "auth"
    QUOTA = "quota"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TRANSIENT = "transient"
    MISSING = "missing"
    DENIED = "denied"
    UNFIT = "unfit"
    OVERFLOW = "overflow"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    INVALID = "invalid"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    CANCELLED = "cancelled"
    EGRESS = "egress"
    LEAK = "leak"


class SameTarget(Enum):
    """May the same target be tried again for this request?"""

    NEVER = "never"
    AT_ONCE = "once, at once"
    WITH_JITTER = "once, after a jittered pause or the time that the target named"
    AFTER_RETRY_AFTER = "once, after the time that the target named; without one only when nobody is behind"


class NextTarget(Enum):
    """May the next member of the decided chain be tried for this request?"""

    YES = "yes"
    NO = "no"
    LARGER_WINDOW = "only one with a larger context window"
    LARGER_LIMIT = "only one that takes larger requests"
    WHEN_NOTHING_SHOWN = "only while no content has reached the caller"


class Billed(Enum):
    """What the ledger does with the attempt's reservation."""

    NO = "release it"
    UNKNOWN = "forfeit it: the provider may have billed all that was held"
    BY_USAGE = "settle by the usage that was reported; forfeit it when none was"


class HealthMark(Enum):
    """What a failure says about the target, for the circuit breaker and for health."""

    FAILING = "failing"
    NEUTRAL = "neutral"
    MISCONFIGURED = "misconfigured"
    CLOSED = "closed until the provider's window resets"
    QUARANTINED = "quarantined until a person looked"


@dataclass(frozen=True, slots=True)
class Conduct:
    """What may be done after a failure; the whole taxonomy is a table of these.

    `passes_over`: the provider's other models are not asked for this request either.
    """

    fault: Fault
    same_target: SameTarget
    next_target: NextTarget
    billed: Billed
    health: HealthMark
    passes_over: bool = False


def _ill(
    same_target: SameTarget,
    billed: Billed = Billed.NO,
    health: HealthMark = HealthMark.FAILING,
    *,
    passes_over: bool = True,
) -> Conduct:
    return Conduct(Fault.PROVIDER, same_target, NextTarget.YES, billed, health, passes_over)


def _cannot(next_target: NextTarget = NextTarget.YES, health: HealthMark = HealthMark.NEUTRAL) -> Conduct:
    return Conduct(Fault.TARGET, SameTarget.NEVER, next_target, Billed.NO, health)


def _ends(fault: Fault, billed: Billed, health: HealthMark = HealthMark.NEUTRAL) -> Conduct:
    return Conduct(fault, SameTarget.NEVER, NextTarget.NO, billed, health)


_BAD_ANSWER = Conduct(
    Fault.ANSWER, SameTarget.NEVER, NextTarget.WHEN_NOTHING_SHOWN, Billed.UNKNOWN, HealthMark.FAILING
)


CONDUCT: dict[ErrorClass, Conduct] = {
    ErrorClass.UNREACHABLE: _ill(SameTarget.AT_ONCE),
    ErrorClass.AUTH: _ill(SameTarget.NEVER, health=HealthMark.MISCONFIGURED),
    ErrorClass.QUOTA: _ill(SameTarget.NEVER, health=HealthMark.CLOSED),
    ErrorClass.THROTTLED: _ill(SameTarget.AFTER_RETRY_AFTER),
    ErrorClass.OVERLOADED: _ill(SameTarget.WITH_JITTER),
    # Of these three nobody can tell whether the provider is ill or one of its models does not load, so its
    # other models are asked.
    ErrorClass.UNKNOWN: _ill(SameTarget.NEVER, Billed.UNKNOWN, passes_over=False),
    # A gateway's time-out is forfeited instead of released, and so is what fails once an answer has begun;
    # see ProviderError.conduct.
    ErrorClass.SERVER: _ill(SameTarget.WITH_JITTER, passes_over=False),
    ErrorClass.TRANSIENT: _ill(SameTarget.WITH_JITTER, passes_over=False),
    ErrorClass.MISSING: _cannot(),
    ErrorClass.DENIED: _cannot(),
    ErrorClass.UNFIT: _cannot(),
    ErrorClass.OVERFLOW: _cannot(NextTarget.LARGER_WINDOW),
    ErrorClass.TOO_LARGE: _cannot(NextTarget.LARGER_LIMIT),
    # The next member is in the same frozen candidate set and is checked in its turn.
    ErrorClass.EGRESS: _cannot(health=HealthMark.MISCONFIGURED),
    ErrorClass.REFUSED: _ends(Fault.REFUSED, Billed.BY_USAGE),
    ErrorClass.INVALID: _ends(Fault.REQUEST, Billed.NO),
    # The request's own time is over. Released when nothing was dispatched, see ProviderError.conduct.
    ErrorClass.CANCELLED: _ends(Fault.REQUEST, Billed.UNKNOWN),
    ErrorClass.TRUNCATED: _BAD_ANSWER,
    ErrorClass.BROKEN: _BAD_ANSWER,
    # The prompt is where it must not be: the only fault of a target's that ends the chain.
    ErrorClass.LEAK: _ends(Fault.TARGET, Billed.BY_USAGE, HealthMark.QUARANTINED),
}
