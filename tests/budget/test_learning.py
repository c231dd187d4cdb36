"""How many tokens a byte a model makes at most, from the calls that were seen."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.budget import Attempt, Limits, Rates, TokenPrices, Usage, input_size, input_token_bound
from engine.budget.errors import AttemptConflict, BudgetExceeded
from engine.budget.learning import (
    ENOUGH,
    LEAST_BOUND_PPM,
    MILLION,
    Density,
    Learnt,
    Measured,
    Observation,
    measured_input,
    measured_output,
)
from engine.budget.ledger import Ledger
from engine.budget.usage import verify

PRICES = TokenPrices(Rates(1_000_000, 1_000_000))
OpenLedger = Callable[..., Ledger]


def learnt_from(ppms: list[int]) -> Density:
    density = Density()
    for ppm in ppms:
        density = density.after(Measured(ppm, is_telling=True))
    return density


def test_nothing_is_assumed_before_enough_was_seen() -> None:
    """One call fewer than enough leaves the byte in force."""
    assert learnt_from([400_000] * (ENOUGH - 1)).bound_ppm is None
    assert learnt_from([400_000] * ENOUGH).bound_ppm == 500_000


@given(st.lists(st.integers(0, MILLION), min_size=ENOUGH, max_size=3 * ENOUGH))
def test_a_bound_is_never_below_what_was_seen(ppms: list[int]) -> None:
    """The largest is kept whatever comes after it."""
    density = learnt_from(ppms)
    assert density.largest_ppm == max(ppms)
    assert density.bound_ppm is None or max(ppms) <= density.bound_ppm <= MILLION


def test_an_exceeded_bound_falls_back_to_bytes_until_enough_was_seen_again() -> None:
    """Then the larger one is the rule."""
    exceeded = learnt_from([400_000] * ENOUGH + [600_000])
    assert (exceeded.bound_ppm, exceeded.largest_ppm) == (None, 600_000)
    again = exceeded
    for _ in range(ENOUGH):
        again = again.after(Measured(300_000, is_telling=True))
    assert again.bound_ppm == 750_000


def test_short_texts_teach_nothing_and_are_heeded() -> None:
    """A hundred greetings are no ground for a bound; one that is too dense is."""
    greeted = Density()
    for _ in range(100):
        counted = measured_input(9, 80, 20, 0)
        assert counted is not None
        greeted = greeted.after(counted)
    assert greeted.bound_ppm is None
    assert greeted.after(Measured(900_000, is_telling=False)).largest_ppm == 900_000


def test_text_that_compresses_well_is_no_rule() -> None:
    """A bound has a floor."""
    assert learnt_from([40_000] * ENOUGH).bound_ppm == LEAST_BOUND_PPM


def test_hidden_output_is_a_token_a_byte_or_more() -> None:
    """So that output of such a model is held whole."""
    assert measured_output(5_000, 300).ppm > MILLION
    assert measured_output(4, 3).ppm == 0
    density = Density()
    for _ in range(ENOUGH):
        density = density.after(measured_output(5_000, 300))
    assert density.bound_ppm == MILLION


_parts = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "name"]), _parts), max_size=4),
    st.lists(st.dictionaries(st.text(max_size=4), _parts, max_size=3), max_size=2),
)
def test_the_parts_of_a_size_are_the_byte_bound(
    messages: list[dict[str, object]], tools: list[dict[str, object]]
) -> None:
    """Nothing is counted twice and nothing left out."""
    assert input_size(messages, tools).most_tokens == input_token_bound(messages, tools)


@pytest.mark.parametrize(
    ("text", "dense"),
    [
        ("plain words, and a line\n", 0),
        ("in 2026", 4),
        ("größer", 4),
        ("aGVsbG8gd29ybGQhIHRoaXMgaXMgYmFzZTY0IHRleHQ=", 44),
        ("deadbeef" * 8, 64),
    ],
)
def test_what_splits_finest_is_counted_by_the_byte(text: str, dense: int) -> None:
    """Digits, what is not ASCII, and long runs without a break."""
    empty = input_size([{"role": "user", "content": ""}])
    size = input_size([{"role": "user", "content": text}])
    assert (size.dense, size.plain - empty.plain) == (dense, len(text.encode()) - dense)
    assert size.tokens_at(MILLION) == size.most_tokens


def attempt(amount: int, name: str = "a") -> Attempt:
    return Attempt(name, "d", "acme", "m", False, amount, PRICES, lease_s=60)


def seen(ppm: int) -> Observation:
    return Observation(Measured(ppm, is_telling=True), None)


def test_what_was_learnt_is_everybodys_and_lasts(open_ledger: OpenLedger) -> None:
    """Another process, and the same one after a restart, know it; a settlement told twice counts once."""
    ledger = open_ledger(Limits())
    for number in range(3):
        held = ledger.reserve(attempt(10, f"a{number}"))
        for _ in range(2):
            ledger.settle(held, Usage(4), observed=seen(100_000 * (number + 1)))
    for reader in (ledger, open_ledger(Limits())):
        assert reader.snapshot().learnt == {("acme", "m"): Learnt(input=Density(3, 300_000))}


def test_a_reservation_grows_within_its_limits(open_ledger: OpenLedger) -> None:
    """What cannot be had leaves what was held; a growth told twice is one."""
    ledger = open_ledger(Limits(daily_usd=1))
    held = ledger.reserve(attempt(400_000))
    for _ in range(2):
        held = ledger.grow(held, 900_000)
    assert ledger.left_micro_usd("acme") == 100_000
    with pytest.raises(BudgetExceeded):
        ledger.grow(held, 1_000_001)
    assert ledger.left_micro_usd("acme") == 100_000
    assert ledger.forfeit(held, "unknown").charge_micro_usd == 900_000
    assert verify(ledger).findings == ()


def test_nothing_grows_after_its_end(open_ledger: OpenLedger) -> None:
    """An attempt that is settled holds nothing more."""
    ledger = open_ledger(Limits(daily_usd=1))
    held = ledger.reserve(attempt(400_000))
    ledger.settle(held, Usage(10))
    with pytest.raises(AttemptConflict):
        ledger.grow(held, 500_000)
    assert ledger.left_micro_usd("acme") == 999_990
