"""What earlier calls were counted at -> how many tokens a byte a model makes at most, with a stated
confidence.

A density is a number of tokens in a million bytes. Of every provider and model the largest one that was seen
is kept beside the ledger, for the input and for the output, and never becomes smaller. A bound is that
density and a quarter more. There is none before ENOUGH calls were seen, and when a call exceeds the bound,
that density is the largest from then on, and counting begins again.

How far to trust it: if calls resemble each other, the next one is the densest of n + 1 with a chance of at
most 1 / (n + 1), so 1 in 33 when learning ends, and must then be denser than all before by a quarter. It is
no promise against a caller who looks for the densest text there is: what splits finest is counted by the byte
whatever was learnt (`estimate.InputSize`), and a call that costs more than was held closes its accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.budget.money import ceil_divide
from engine.budget.store import Session, integer

ENOUGH = 32
"""Calls that must have been seen before a bound is used."""

MARGIN_NUMERATOR, MARGIN_DENOMINATOR = 5, 4
MILLION = 1_000_000
LEAST_BOUND_PPM = 300_000
"""No bound is lower: text that compresses better than any language does is no rule for what comes next."""

LEAST_INPUT_BYTES = 2_048
LEAST_OUTPUT_BYTES = 256
"""Shorter texts are compared with the bound, and are not enough to learn one from."""

DENSE_SHARE = 8
"""A request of which more than this part is counted by the byte says little of the rest."""

OUTPUT_ALLOWANCE = 64
"""Tokens of an answer that are in no text: marks of the end, of roles, of calls."""


@dataclass(frozen=True, slots=True)
class Density:
    """The largest density seen, in tokens per million bytes, and in how many calls, up to ENOUGH."""

    seen: int = 0
    largest_ppm: int = 0

    @property
    def bound_ppm(self) -> int | None:
        """What is assumed of the next call; None before enough was seen. A million is a token a byte."""
        if self.seen < ENOUGH:
            return None
        with_margin = ceil_divide(self.largest_ppm * MARGIN_NUMERATOR, MARGIN_DENOMINATOR)
        return min(MILLION, max(LEAST_BOUND_PPM, with_margin))

    def after(self, call: "Measured") -> "Density":
        """What is known after one more call."""
        largest = max(self.largest_ppm, call.ppm)
        bound = self.bound_ppm
        if bound is not None and call.ppm > bound:
            return Density(0, largest)
        return Density(min(ENOUGH, self.seen + call.is_telling), largest)


@dataclass(frozen=True, slots=True)
class Measured:
    """One call's density; `is_telling` when it was long enough to learn from."""

    ppm: int
    is_telling: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """What a call that ended with its usage says of a model; None where it says nothing."""

    input: Measured | None
    output: Measured | None


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known of one model at one provider."""

    input: Density = Density()
    output: Density = Density()

    def after(self, seen: Observation) -> "Learnt":
        """What is known after one more call."""
        return Learnt(
            self.input if seen.input is None else self.input.after(seen.input),
            self.output if seen.output is None else self.output.after(seen.output),
        )


AllLearnt = Mapping[tuple[str, str], Learnt]
"""By provider and model."""


def measured_output(tokens: int, shown_bytes: int) -> Measured:
    """The density of an answer; a million or more when it used tokens that it does not show."""
    counted = max(0, tokens - OUTPUT_ALLOWANCE)
    return Measured(_ppm(counted, shown_bytes), shown_bytes >= LEAST_OUTPUT_BYTES)


def measured_input(tokens: int, allowance: int, plain_bytes: int, dense_bytes: int) -> Measured | None:
    """The density of a request's text; None when too much of it is counted by the byte."""
    if dense_bytes * DENSE_SHARE > plain_bytes:
        return None
    return Measured(_ppm(max(0, tokens - allowance), plain_bytes), plain_bytes >= LEAST_INPUT_BYTES)


def _ppm(tokens: int, size: int) -> int:
    return ceil_divide(tokens * MILLION, max(1, size))


def read_all(session: Session) -> AllLearnt:
    """Everything that is known."""
    known: dict[tuple[str, str], Learnt] = {}
    for provider, model, direction, seen, largest in session.rows(
        "SELECT provider, model, direction, seen, largest_ppm FROM ledger_densities"
    ):
        key, density = (str(provider), str(model)), Density(integer(seen), integer(largest))
        before = known.get(key, Learnt())
        known[key] = (
            replace(before, input=density) if direction == "input" else replace(before, output=density)
        )
    return known


def observe(session: Session, provider: str, model: str, seen: Observation) -> None:
    """Add one call to what is known."""
    for direction, call in (("input", seen.input), ("output", seen.output)):
        if call is None:
            continue
        rows = session.rows(
            "SELECT seen, largest_ppm FROM ledger_densities "
            "WHERE provider = ? AND model = ? AND direction = ?",
            (provider, model, direction),
        )
        before = Density(integer(rows[0][0]), integer(rows[0][1])) if rows else Density()
        after = before.after(call)
        if after != before:
            session.run(
                "INSERT INTO ledger_densities (provider, model, direction, seen, largest_ppm) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (provider, model, direction) "
                "DO UPDATE SET seen = excluded.seen, largest_ppm = excluded.largest_ppm",
                (provider, model, direction, after.seen, after.largest_ppm),
            )
