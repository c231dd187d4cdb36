"""How much is held for a call, and what is sent so that it suffices."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.budget import Limits, Reservation, usd
from engine.budget.learning import ENOUGH
from engine.budget.usage import ExportRow, verify
from engine.environment import Environment
from engine.execution.holds import AHEAD, FIRST_SLICE, HeldCall, Hold
from engine.execution.policy_snapshot import PolicySnapshot
from engine.policy import Policy
from engine.providers.base import Request
from engine.providers.errors import StreamInterrupted
from engine.providers.reply import Chunk, Usage
from engine.providers.scripted import Act, Answer, Break, tool_call

from .test_conducts import Virtually
from .worlds import BALANCED, HELLO, TASK, World, asked, catalogue, cloud, model, policy_of, world

DENSITY = 4
"""Bytes of a token at the provider of these tests, of plain text and of answers."""
BODY = "def total(prices): return sum(prices) " * 200
CODE = [{"role": "user", "content": BODY}]
LONG = 16_000
WORD = "answer, "


def stops(on_abort: str | None = "as-shown", holds: str = "learnt") -> Policy:
    """One provider, which documents that it stops billing when a stream is left."""
    billing: dict[str, Any] = {} if on_abort is None else {"billing": {"on_abort": on_abort}}
    models = catalogue(east=cloud(model("east-1", price=1, context=1_000_000), **billing))
    return policy_of(models, 'route only: use "east-1"\n', f"{BALANCED}budgets: {{holds: {holds}}}\n")


@dataclass
class Script:
    """What the provider answers next, in tokens and with what usage."""

    tokens: int = 320
    hidden: int = 0
    density: int = DENSITY

    def __call__(self, request: Request) -> Act:
        size = sum(len(str(message["content"])) for message in request.messages)
        piece = WORD * (8 * DENSITY // len(WORD))
        told = Usage(size // self.density, self.tokens + self.hidden)
        return Answer(pieces=(piece,) * (self.tokens // 8), usage=told)


def last(place: World) -> ExportRow:
    """The row of the last call; virtual time gives many rows the same moment."""
    return max(place.rows, key=lambda row: int(row.decision_id.rpartition("-")[2]))


async def taught(place: World, calls: int = ENOUGH) -> None:
    """So many calls, each whole and with its usage."""
    for _ in range(calls):
        await asked(place, streamed=False, messages=CODE, max_tokens=LONG)


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


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_input_is_held_at_what_was_learnt(virtually: Virtually, streamed: bool) -> None:
    """A token a byte until enough was seen, then near what is billed; a stream's output in slices."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": Script()}, policy=stops())
        await taught(place, ENOUGH - 1)
        held = [row.reserved_micro_usd for row in place.rows]
        assert min(held) > LONG + len(BODY)
        await taught(place, 1)
        await asked(place, streamed=streamed, messages=CODE, max_tokens=LONG)
        row = last(place)
        output = FIRST_SLICE if streamed else LONG
        assert row.input_tokens + output < row.reserved_micro_usd < 1.4 * row.input_tokens + output
        assert verify(place.ledger).findings == ()

    virtually(main)


def test_a_long_stream_holds_slice_after_slice(virtually: Virtually) -> None:
    """What is held is ahead of what has come at every piece, never all that was asked for, and the answer is
    whole."""

    async def main(folder: Path) -> None:
        script = Script()
        place = world(folder, {"east": script}, policy=stops())
        await taught(place)
        script.tokens = 8_000
        shown, holds = 0, set()
        async for piece in place.router.stream(TASK, CODE, LONG):
            shown += len(piece["content"])
            row = last(place)
            if row.state == "reserved":
                holds.add(row.reserved_micro_usd)
                assert row.reserved_micro_usd >= len(BODY) // DENSITY + min(shown // DENSITY + 8, 8_000)
        row = last(place)
        assert (row.state, row.output_tokens, shown // DENSITY) == ("settled", 8_000, 8_000)
        assert len(holds) > 5
        assert row.charge_micro_usd <= row.reserved_micro_usd < LONG
        assert verify(place.ledger).findings == ()

    virtually(main)


def test_a_stream_whose_next_slice_cannot_be_had_ends_cleanly(virtually: Virtually) -> None:
    """With `length`, `budget_cut` and what has come; all that was held is charged, and no limit is passed."""

    async def main(folder: Path) -> None:
        script = Script()
        place = world(folder, {"east": script}, policy=stops(), limits=Limits(daily_usd=Decimal("0.2")))
        await taught(place)
        script.tokens = 15_000
        place.ledger.use_limits(
            Limits(daily_usd=usd(sum(row.charge_micro_usd for row in place.rows) + 9_000))
        )
        result = await asked(place, streamed=True, messages=CODE, max_tokens=LONG)
        row = last(place)
        assert (result["finish_reason"], result["budget_cut"]) == ("length", True)
        assert (row.state, row.charge_micro_usd) == ("forfeited", row.reserved_micro_usd)
        billed = len(BODY) // DENSITY + len(result["content"]) // DENSITY
        assert billed + AHEAD / 2 < row.charge_micro_usd <= 9_000
        assert result["attempts"][-1]["budget_cut"]
        assert verify(place.ledger).findings == ()

    virtually(main)


@pytest.mark.parametrize(
    ("on_abort", "hidden"), [(None, 0), ("as-shown", 5_000)], ids=["bills on", "hides its reasoning"]
)
def test_output_that_cannot_be_watched_is_held_whole(
    virtually: Virtually, on_abort: str | None, hidden: int
) -> None:
    """Where leaving a stream does not stop the meter, or what is billed is not shown."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": Script(hidden=hidden)}, policy=stops(on_abort))
        await taught(place)
        result = await asked(place, streamed=True, messages=CODE, max_tokens=LONG)
        row = last(place)
        assert LONG < row.reserved_micro_usd < LONG + len(BODY)
        assert not result["budget_cut"]

    virtually(main)


def test_an_exceeded_bound_is_charged_and_falls_back_to_bytes(virtually: Virtually) -> None:
    """Denser text than was learnt: the bill is booked, and the next hold is by the byte again."""

    async def main(folder: Path) -> None:
        script = Script()
        place = world(folder, {"east": script}, policy=stops())
        await taught(place)
        script.density = 1
        await asked(place, streamed=True, messages=CODE, max_tokens=LONG)
        dense = last(place)
        assert dense.charge_micro_usd == len(BODY) + 320 > dense.reserved_micro_usd
        await asked(place, streamed=True, messages=CODE, max_tokens=LONG)
        assert last(place).reserved_micro_usd > len(BODY)

    virtually(main)


def test_bytes_stay_bytes(virtually: Virtually) -> None:
    """With `holds: bytes` nothing is learnt and nothing assumed."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": Script()}, policy=stops(holds="bytes"))
        await taught(place, ENOUGH + 1)
        assert {row.reserved_micro_usd > LONG + len(BODY) for row in place.rows} == {True}
        assert place.ledger.snapshot().learnt == {}

    virtually(main)


@pytest.mark.parametrize("broken", [False, True], ids=["left", "broken"])
def test_a_stream_in_slices_that_has_no_end_is_charged_as_held(virtually: Virtually, broken: bool) -> None:
    """Whoever ends it: nothing of its hold comes back, and no reading goes on."""

    async def main(folder: Path) -> None:
        script = Script()
        acts: list[Any] = [script] * ENOUGH
        acts.append(Break((WORD * 4,) * 100) if broken else Script(tokens=4_000))
        turn = iter(acts)

        def play(request: Request) -> Act:
            act = next(turn)
            return act(request) if callable(act) else act

        place = world(folder, {"east": play}, policy=stops())
        await taught(place)
        pieces = place.router.stream(TASK, CODE, LONG)
        await anext(pieces)
        if broken:
            with pytest.raises(StreamInterrupted):
                async for _ in pieces:
                    pass
        await pieces.aclose()
        row = last(place)
        assert (row.state, row.charge_micro_usd) == ("forfeited", row.reserved_micro_usd)
        assert row.reserved_micro_usd < LONG
        assert len(asyncio.all_tasks()) == 1

    virtually(main)


def test_arguments_on_their_way_are_counted_once(virtually: Virtually) -> None:
    """Bytes of a tool call that is still being written are held for, and not again when it is whole."""
    held = HeldCall(
        Reservation("a", 1, free_and_local=False, recorded=True), Hold(10, 1_024, LONG, 250_000), LONG
    )
    for _ in range(100):
        held.count(Chunk(unseen_bytes=40))
    on_its_way = held.used_tokens
    held.count(Chunk(tool_call=tool_call("write", "x" * 4_000)))
    assert (on_its_way, held.used_tokens) == (64 + 1_000, 64 + 1_002)
