"""How much is held for a call, and what is sent so that it suffices."""

from pathlib import Path

import pytest

from engine.environment import Environment
from engine.execution.policy_snapshot import PolicySnapshot

from .test_conducts import Virtually
from .worlds import BALANCED, HELLO, asked, policy_of, world


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("policies", "asked_for", "sent"),
    [
        (BALANCED, None, 1000),
        (BALANCED + "budgets: {default_max_output: 640}\n", None, 640),
        (BALANCED + "budgets: {default_max_output: 640}\n", 12, 12),
    ],
)
def test_a_limit_of_output_is_always_sent(
    virtually: Virtually, policies: str, asked_for: int | None, sent: int, streamed: bool
) -> None:
    """The caller's, else the policy's, else 1000 tokens; what is sent is what is held."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=policy_of(policies=policies))
        await asked(place, streamed=streamed, messages=HELLO, max_tokens=asked_for)
        (call,) = place.providers["east"].calls
        assert call.max_tokens == sent
        assert place.rows[0].reserved_micro_usd >= sent

    virtually(main)


@pytest.mark.parametrize(
    ("budgets", "variables", "learns"),
    [
        ("{}", {}, True),
        ("{daily: {total_usd: 10}}", {}, True),
        ("{daily: {total_usd: 1}}", {}, True),
        ("{daily: {total_usd: 0.99}}", {}, False),
        ("{daily: {total_usd: 10}, monthly: {total_usd: 0.5}}", {}, False),
        ("{daily: {total_usd: 10, per_provider: {east: 0.5}}}", {}, False),
        ("{daily: {total_usd: 10}}", {"DAILY_BUDGET_LIMIT": "0.5"}, False),
        ("{daily: {total_usd: 0.5}, holds: learnt}", {}, True),
        ("{daily: {total_usd: 10}, holds: bytes}", {}, False),
    ],
)
def test_small_budgets_are_held_by_the_byte(budgets: str, variables: dict[str, str], learns: bool) -> None:
    """`holds` decides; where it is not written, the smallest limit in force does."""
    policy = policy_of(policies=f"{BALANCED}budgets: {budgets}\n")
    snapshot = PolicySnapshot(policy, Environment.read(variables), None, lambda: 0.0)
    assert snapshot.learns_holds is learns


def test_holds_are_one_of_two_words() -> None:
    """Anything else is an error, not a default."""
    with pytest.raises(AssertionError, match="holds"):
        policy_of(policies=BALANCED + "budgets: {holds: tokens}\n")
