"""Prices and tokens become whole micro-dollars, exactly."""

import ast
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.budget import (
    FREE,
    LongContext,
    Rates,
    TokenPrices,
    UnboundedInput,
    UnknownPrice,
    Usage,
    affordable_max_tokens,
    cost_micro_usd,
    input_token_bound,
    usd,
    worst_case_micro_usd,
)
from engine.budget.money import limit_from_usd, price_from_usd, prices_from_text, prices_to_text

_PACKAGE = Path(__file__).parents[2] / "engine" / "budget"
SONNET = TokenPrices(Rates.from_usd(3, 15, "0.3", "3.75"))
TIERED = TokenPrices(
    Rates.from_usd("1.25", 10, "0.125", "1.25"),
    LongContext(200_000, Rates.from_usd("2.5", 15, "0.25", "2.5")),
)

_tokens = st.integers(0, 3_000_000)
_rate = st.integers(0, 10**9)
_rates = st.builds(Rates, _rate, _rate, st.none() | _rate, st.none() | _rate)
_prices = st.builds(
    TokenPrices,
    _rates,
    st.none() | st.builds(LongContext, st.integers(0, 400_000), _rates),
    st.integers(0, 10**6),
)


def test_each_token_class_has_its_price() -> None:
    """1,000 fresh, 10,000 cached, 2,000 written and 500 out at 3 / 0.30 / 3.75 / 15 dollars a million: 21,000
    u$."""
    assert cost_micro_usd(SONNET, Usage(1_000, 500, 10_000, 2_000)) == 3_000 + 7_500 + 3_000 + 7_500


def test_a_cost_is_rounded_up_once() -> None:
    """Three classes of a third of a micro-dollar each cost one micro-dollar, not three and not none."""
    prices = TokenPrices(Rates(333_333, 333_333, 333_333, 0))
    assert cost_micro_usd(prices, Usage(1, 1, 1)) == 1
    assert cost_micro_usd(prices, Usage()) == 0


def test_a_long_prompt_is_priced_by_its_tier() -> None:
    """Above 200,000 prompt tokens, cached ones included, the whole request has the dearer rates (litellm
    #40002)."""
    assert cost_micro_usd(TIERED, Usage(100_000, 1_000, 100_000)) == 125_000 + 10_000 + 12_500
    assert cost_micro_usd(TIERED, Usage(100_001, 1_000, 100_000)) == 250_003 + 15_000 + 25_000


def test_a_missing_cached_price_is_the_input_price() -> None:
    """What is not declared cheaper is not cheaper (litellm #11364)."""
    prices = TokenPrices(Rates.from_usd(3, 15))
    assert cost_micro_usd(prices, Usage(cached_input_tokens=1_000)) == 3_000
    assert cost_micro_usd(prices, Usage(cache_write_tokens=1_000)) == 6_000


def test_costs_equal_exact_fractions() -> None:
    """100,000 random costs: 0 <= booked - exact < 1 micro-dollar."""
    dice = Random(3)
    for _ in range(100_000):
        rates = Rates(*(dice.randrange(10 ** dice.randrange(1, 9)) for _ in range(4)))
        usage = Usage(*(dice.randrange(10 ** dice.randrange(1, 7)) for _ in range(4)))
        exact = sum(
            (
                Fraction(tokens * rate, 1_000_000)
                for tokens, rate in (
                    (usage.input_tokens, rates.input),
                    (usage.output_tokens, rates.output),
                    (usage.cached_input_tokens, rates.cached_input or 0),
                    (usage.cache_write_tokens, rates.cache_write or 0),
                )
            ),
            Fraction(0),
        )
        assert 0 <= cost_micro_usd(TokenPrices(rates), usage) - exact < 1


@given(_prices, _tokens, _tokens, st.integers(0, 100), st.integers(0, 100), st.integers(0, 10**6))
def test_the_worst_case_bounds_every_usage(
    prices: TokenPrices, prompt: int, max_tokens: int, cached_percent: int, output_percent: int, slack: int
) -> None:
    """Whatever classes a prompt within the bound is billed in, and whatever tier, the cost is within the
    worst case."""
    cached = prompt * cached_percent // 100
    usage = Usage(prompt - cached, max_tokens * output_percent // 100, cached)
    assert cost_micro_usd(prices, usage) <= worst_case_micro_usd(prices, prompt + slack, max_tokens)


@given(_prices, _tokens, st.integers(0, 100_000), st.integers(0, 10**12))
def test_the_longest_answer_that_fits_is_the_longest(
    prices: TokenPrices, prompt: int, wanted: int, left: int
) -> None:
    """The cap fits what is left, and one token more would not (litellm #38647)."""
    cap = affordable_max_tokens(prices, prompt, wanted, left)
    assert 0 <= cap <= wanted
    if cap:
        assert worst_case_micro_usd(prices, prompt, cap) <= left
    if cap < wanted:
        assert worst_case_micro_usd(prices, prompt, cap + 1) > left


def test_cache_writes_need_a_price() -> None:
    """A request that asks for cache writes of a model without that price is refused."""
    with pytest.raises(UnknownPrice):
        worst_case_micro_usd(TokenPrices(Rates.from_usd(3, 15)), 10, 10, writes_cache=True)
    assert worst_case_micro_usd(SONNET, 1_000_000, 0, writes_cache=True) == 3_750_000


def test_without_a_limit_nothing_is_capped() -> None:
    assert affordable_max_tokens(SONNET, 10**6, 4_096, None) == 4_096


@given(st.text(max_size=200))
def test_the_bytes_of_a_text_bound_its_tokens(text: str) -> None:
    """A byte-level token is at least a byte, in any script."""
    assert input_token_bound([{"role": "user", "content": text}]) >= len(text.encode())


def test_tools_and_images_are_in_the_bound() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 500}}
    plain = input_token_bound([{"role": "user", "content": "hi"}])
    picture = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:" + "A" * 9}}]
    assert input_token_bound([{"role": "user", "content": "hi"}], [tool]) >= plain + 500 + 1_000
    assert input_token_bound([{"role": "user", "content": picture}]) >= 48_169


def test_what_has_no_bound_is_refused() -> None:
    with pytest.raises(UnboundedInput):
        input_token_bound([{"role": "user", "content": [{"type": "document", "source": {}}]}])


def test_limits_round_down_and_prices_up() -> None:
    """Never more than was allowed, never less than is asked; both exact when they can be."""
    assert limit_from_usd(Decimal("10.0000019")) == 10_000_001
    assert price_from_usd(Decimal("0.0000001")) == 1
    assert usd(limit_from_usd("0.1")) == Decimal("0.1")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1", "1e20"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError):
        limit_from_usd(Decimal(amount))


@pytest.mark.parametrize("amount", [0.1, True])
def test_a_float_is_no_money(amount: object) -> None:
    with pytest.raises(TypeError):
        limit_from_usd(amount)  # type: ignore[arg-type]


def test_free_means_that_nothing_can_cost() -> None:
    """A custom price is not free because one class of it is (litellm #25874)."""
    assert FREE.free
    assert not TokenPrices(Rates(0, 0, 0, 1)).free
    assert not TokenPrices(Rates(0, 0), LongContext(10, Rates(1, 0))).free
    assert not replace(FREE, request_micro_usd=1).free


@given(_prices)
def test_prices_survive_being_written_down(prices: TokenPrices) -> None:
    assert prices_from_text(prices_to_text(prices)) == prices


def test_there_is_no_float_in_ledger_code() -> None:
    """No float literal, no `float`, no `/` and no `round` in the package, but for the one wait of the
    gate."""
    found = []
    for path in sorted(_PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            binary = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            named = isinstance(node, ast.Name) and node.id in {"float", "round"}
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
            if binary or named or literal:
                found.append((path.name, ast.unparse(node)))
    assert found == [("turns.py", "float"), ("turns.py", "duration_ns / 1000000000")]


def test_importing_the_package_loads_no_sql_driver() -> None:
    """Neither sqlite3 nor psycopg, before a ledger is opened."""
    code = (
        "import sys, engine.budget, engine.budget.usage; "
        "print(sorted({'sqlite3', 'psycopg', '_sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_PACKAGE.parents[1]
    )
    assert done.stdout == "[]\n"
