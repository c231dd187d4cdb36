"""The classes of failure at a provider, and what may be done after each: one table.

Which signal is of which class is decided in `error_mapping`. Retrying and falling back are the router's and
settling is the ledger's: both read `CONDUCT` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ErrorClass(Enum):
    """The class of a failure. The body's `error.type` or `code` decides first, the status second."""

    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    AUTH = "auth"
    QUOTA = "quota"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TRANSIENT = "transient"
    OVERFLOW = "overflow"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    INVALID = "invalid"
    TRUNCATED = "truncated"
    CANCELLED = "cancelled"
    EGRESS = "egress"
    LEAK = "leak"


class SameTarget(Enum):
    """May the same target be tried again for this request?"""

    NEVER = "never"
    AT_ONCE = "once, at once"
    WITH_JITTER = "once, after a jittered pause"
    AFTER_RETRY_AFTER = "once, after Retry-After when it fits the deadline"


class NextTarget(Enum):
    """May the next member of the decided chain be tried for this request?"""

    YES = "yes"
    NO = "no"
    ON_AUTH_FALLBACK = "only when the policy says `on auth fallback`"
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
    """What may be done after a failure; the whole taxonomy is a table of these."""

    same_target: SameTarget
    next_target: NextTarget
    billed: Billed
    health: HealthMark


CONDUCT: dict[ErrorClass, Conduct] = {
    ErrorClass.UNREACHABLE: Conduct(SameTarget.AT_ONCE, NextTarget.YES, Billed.NO, HealthMark.FAILING),
    ErrorClass.UNKNOWN: Conduct(SameTarget.NEVER, NextTarget.YES, Billed.UNKNOWN, HealthMark.FAILING),
    ErrorClass.AUTH: Conduct(
        SameTarget.NEVER, NextTarget.ON_AUTH_FALLBACK, Billed.NO, HealthMark.MISCONFIGURED
    ),
    ErrorClass.QUOTA: Conduct(SameTarget.NEVER, NextTarget.YES, Billed.NO, HealthMark.CLOSED),
    ErrorClass.THROTTLED: Conduct(
        SameTarget.AFTER_RETRY_AFTER, NextTarget.YES, Billed.NO, HealthMark.FAILING
    ),
    ErrorClass.OVERLOADED: Conduct(SameTarget.WITH_JITTER, NextTarget.YES, Billed.NO, HealthMark.FAILING),
    # A gateway's time-out is forfeited instead of released, and so is what fails once an answer has begun;
    # see ProviderError.conduct.
    ErrorClass.SERVER: Conduct(SameTarget.WITH_JITTER, NextTarget.YES, Billed.NO, HealthMark.FAILING),
    ErrorClass.TRANSIENT: Conduct(SameTarget.WITH_JITTER, NextTarget.YES, Billed.NO, HealthMark.FAILING),
    ErrorClass.OVERFLOW: Conduct(SameTarget.NEVER, NextTarget.LARGER_WINDOW, Billed.NO, HealthMark.NEUTRAL),
    ErrorClass.TOO_LARGE: Conduct(SameTarget.NEVER, NextTarget.LARGER_LIMIT, Billed.NO, HealthMark.NEUTRAL),
    ErrorClass.REFUSED: Conduct(SameTarget.NEVER, NextTarget.NO, Billed.BY_USAGE, HealthMark.NEUTRAL),
    ErrorClass.INVALID: Conduct(SameTarget.NEVER, NextTarget.NO, Billed.NO, HealthMark.NEUTRAL),
    ErrorClass.TRUNCATED: Conduct(
        SameTarget.NEVER, NextTarget.WHEN_NOTHING_SHOWN, Billed.UNKNOWN, HealthMark.FAILING
    ),
    # Released when nothing was dispatched, see ProviderError.conduct.
    ErrorClass.CANCELLED: Conduct(SameTarget.NEVER, NextTarget.NO, Billed.UNKNOWN, HealthMark.NEUTRAL),
    # The next member is in the same frozen candidate set and is checked in its turn.
    ErrorClass.EGRESS: Conduct(SameTarget.NEVER, NextTarget.YES, Billed.NO, HealthMark.MISCONFIGURED),
    ErrorClass.LEAK: Conduct(SameTarget.NEVER, NextTarget.NO, Billed.BY_USAGE, HealthMark.QUARANTINED),
}
