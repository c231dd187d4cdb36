"""Successes and failures of one target -> whether it may be called now: a circuit that is closed, open or
half-open.

It opens after 5 failures in a row, or when half of the last 20 calls within 30 s failed, for 15 s, twice as
long each time up to 300 s, give or take a fifth. Then one call, the probe, may go through; its ticket is a
lease with a generation number, so that a probe whose caller died holds nobody up, and an answer that comes
too late says nothing. What is the caller's own doing (4xx, a cancel) gives the ticket back and counts for
nothing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

FAILURES_IN_A_ROW = 5
LOOKED_AT = 20
WITHIN_S = 30.0
OPEN_S = 15.0
LONGEST_OPEN_S = 300.0
SPREAD = 0.2

State = Literal["closed", "open", "half-open"]


class Verdict(Enum):
    """What a finished call says about its target."""

    WELL = "well"
    FAILED = "failed"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to make one call. `generation` is the circuit's when it was given; `is_probe`: it is the one
    half-open call."""

    generation: int
    is_probe: bool


class Circuit:
    """One target's circuit. Times are seconds of one monotonic clock; `chance` spreads the re-opening of many
    clients."""

    __slots__ = (
        "_chance",
        "_generation",
        "_in_a_row",
        "_lease_until",
        "_open_until",
        "_openings",
        "_recent",
        "_tripped",
    )

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._generation = 0
        self._in_a_row = 0
        self._openings = 0
        self._open_until = 0.0
        self._lease_until: float | None = None
        self._recent: deque[tuple[float, bool]] = deque(maxlen=LOOKED_AT)
        self._tripped = False

    def state(self, now: float) -> State:
        """How it stands."""
        if not self._tripped:
            return "closed"
        return "open" if now < self._open_until else "half-open"

    def admits(self, now: float) -> bool:
        """Whether `admit` would give a ticket."""
        if not self._tripped:
            return True
        return now >= self._open_until and (self._lease_until is None or now >= self._lease_until)

    def admit(self, now: float, lease_s: float) -> Ticket | None:
        """A ticket for one call, or None. The probe's ticket is good for `lease_s` seconds: no call may take
        longer."""
        if not self._tripped:
            return Ticket(self._generation, is_probe=False)
        if not self.admits(now):
            return None
        self._generation += 1  # whoever held the lease before has lost it
        self._lease_until = now + lease_s
        return Ticket(self._generation, is_probe=True)

    def report(self, ticket: Ticket, verdict: Verdict, now: float) -> None:
        """What came of a call. One from before the circuit last changed is not listened to."""
        if ticket.generation != self._generation:
            return
        if ticket.is_probe:
            self._report_probe(verdict, now)
        elif verdict is not Verdict.NOTHING and not self._tripped:
            failed = verdict is Verdict.FAILED
            self._in_a_row = self._in_a_row + 1 if failed else 0
            self._recent.append((now, failed))
            if failed and (self._in_a_row >= FAILURES_IN_A_ROW or self._fails_by_half(now)):
                self._open(now)

    def retry_now(self) -> None:
        """Let the next call be the probe, because somebody has seen the target up."""
        if self._tripped and self._lease_until is None:
            self._open_until = 0.0

    def opens_in_s(self, now: float) -> float:
        """Seconds until a probe is due; 0 when a call may be made or a probe is under way."""
        return max(0.0, self._open_until - now) if self._tripped else 0.0

    def _report_probe(self, verdict: Verdict, now: float) -> None:
        self._lease_until = None
        match verdict:
            case Verdict.WELL:
                self._generation += 1
                self._tripped = False
                self._in_a_row = self._openings = 0
                self._recent.clear()
            case Verdict.FAILED:
                self._open(now)
            case Verdict.NOTHING:
                self._generation += 1  # the slot is free again; the next call is the probe

    def _fails_by_half(self, now: float) -> bool:
        recent = [failed for at, failed in self._recent if now - at <= WITHIN_S]
        return len(recent) == LOOKED_AT and 2 * sum(recent) >= LOOKED_AT

    def _open(self, now: float) -> None:
        open_s = min(OPEN_S * 2.0 ** min(self._openings, 10), LONGEST_OPEN_S)
        self._open_until = now + open_s * (1 - SPREAD + 2 * SPREAD * self._chance())
        self._openings += 1
        self._generation += 1
        self._tripped = True
        self._lease_until = None
        self._recent.clear()
        self._in_a_row = 0
