"""The circuit against a model of it: one probe at a time, no wedge, stale answers unheard, and no storm of
retries."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.execution.breaker import (
    FAILURES_IN_A_ROW,
    LONGEST_OPEN_S,
    OPEN_S,
    SPREAD,
    Circuit,
    Ticket,
    Verdict,
)
from engine.execution.errors import ChainExhausted
from engine.model_router import NoEligibleModel
from engine.providers.errors import InvalidRequest, OutcomeUnknown, Overloaded, Unreachable
from engine.providers.scripted import Answer, Fault

from .test_conducts import Virtually
from .worlds import TASK, asked, catalogue, local, model, policy_of, world

LEASE_S = 130.0
VERDICTS = st.sampled_from(list(Verdict))


class CircuitMachine(RuleBasedStateMachine):
    """Calls that answer, fail, are cancelled, come late or never come back, in any order, as time goes by."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.circuit = Circuit(random.Random(3).random)
        self.out: list[tuple[float, Ticket]] = []
        self.probes: list[tuple[float, Ticket]] = []
        self.last_change = 0.0

    @rule(seconds=st.floats(0.0, 400.0))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        may = self.circuit.admits(self.now)
        ticket = self.circuit.admit(self.now, LEASE_S)
        assert (ticket is not None) is may
        if ticket is None:
            return
        self.out.append((self.now, ticket))
        if ticket.is_probe:
            running = [at for at, other in self.probes if self.now < at + LEASE_S and other in self._known]
            assert not running, "two probes at once"
            self.probes.append((self.now, ticket))

    @property
    def _known(self) -> list[Ticket]:
        return [ticket for _, ticket in self.out]

    @precondition(lambda self: self.out)
    @rule(place=st.integers(0, 10**6), verdict=VERDICTS)
    def a_call_ends(self, place: int, verdict: Verdict) -> None:
        _, ticket = self.out.pop(place % len(self.out))
        before = self.circuit.state(self.now)
        generation = self.circuit._generation
        self.circuit.report(ticket, verdict, self.now)
        if ticket.generation != generation:
            assert self.circuit.state(self.now) == before, "a stale answer was listened to"
        elif ticket.is_probe and verdict is Verdict.WELL:
            assert self.circuit.state(self.now) == "closed"
        elif ticket.is_probe and verdict is Verdict.FAILED:
            assert self.circuit.state(self.now) == "open"

    @precondition(lambda self: self.out)
    @rule()
    def a_call_is_lost(self) -> None:
        """Its caller died: nobody will ever report."""
        self.out.pop()

    @rule()
    def five_in_a_row(self) -> None:
        """Fresh failures in a row open a closed circuit."""
        for _ in range(FAILURES_IN_A_ROW):
            ticket = self.circuit.admit(self.now, LEASE_S)
            if ticket is None or ticket.is_probe:
                if ticket is not None:
                    self.circuit.report(ticket, Verdict.NOTHING, self.now)
                return
            self.circuit.report(ticket, Verdict.FAILED, self.now)
        assert self.circuit.state(self.now) == "open"

    @invariant()
    def no_wedge(self) -> None:
        """Whatever happened, a call may be made once the longest opening and a lost lease are over."""
        if hasattr(self, "circuit"):
            assert self.circuit.admits(self.now + LONGEST_OPEN_S * (1 + SPREAD) + LEASE_S)
            assert self.circuit.opens_in_s(self.now) <= LONGEST_OPEN_S * (1 + SPREAD)


CircuitMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestCircuit = CircuitMachine.TestCase


def test_half_of_twenty_within_half_a_minute_opens_it() -> None:
    """Failures need not come in a row."""
    circuit = Circuit(lambda: 0.5)
    for number in range(20):
        ticket = circuit.admit(float(number), LEASE_S)
        assert ticket is not None
        circuit.report(ticket, Verdict.FAILED if number % 2 else Verdict.WELL, float(number))
    assert circuit.state(19.0) == "open"
    slow = Circuit(lambda: 0.5)
    for number in range(20):
        ticket = slow.admit(number * 10.0, LEASE_S)
        assert ticket is not None
        slow.report(ticket, Verdict.FAILED if number % 2 else Verdict.WELL, number * 10.0)
    assert slow.state(200.0) == "closed"


def test_it_opens_for_longer_each_time_up_to_five_minutes() -> None:
    """15 s, 30 s, ... 300 s, while probes fail; then closed at the first that does not."""
    circuit, now, opened = Circuit(lambda: 0.5), 0.0, []
    for _ in range(FAILURES_IN_A_ROW):
        ticket = circuit.admit(now, LEASE_S)
        assert ticket is not None
        circuit.report(ticket, Verdict.FAILED, now)
    for _ in range(7):
        opened.append(round(circuit.opens_in_s(now)))
        now += circuit.opens_in_s(now)
        ticket = circuit.admit(now, LEASE_S)
        assert ticket is not None
        assert circuit.admit(now, LEASE_S) is None
        circuit.report(ticket, Verdict.FAILED, now)
    assert opened == [OPEN_S, 30, 60, 120, 240, LONGEST_OPEN_S, LONGEST_OPEN_S]


def test_a_million_steps_without_a_wedge() -> None:
    """Random calls, a third of them never reported: at every step a call is possible again in bounded
    time."""
    chance = random.Random(11)
    circuit, now, out = Circuit(chance.random), 0.0, list[Ticket]()
    for _ in range(1_000_000 // 4):
        now += chance.random() * 5
        ticket = circuit.admit(now, 20.0)
        if ticket is not None and chance.random() < 0.66:
            out.append(ticket)
        if out and chance.random() < 0.5:
            circuit.report(out.pop(chance.randrange(len(out))), chance.choice(list(Verdict)), now)
        if len(out) > 50:
            out.clear()
        assert circuit.opens_in_s(now) <= LONGEST_OPEN_S * (1 + SPREAD)
    assert circuit.admits(now + LONGEST_OPEN_S * (1 + SPREAD) + 20.0)


ONE_LOCAL = catalogue(ollama=local(model("only")))
ALL = "route all: use any\n"


def test_a_failing_target_is_not_met_with_more_calls_than_requests(virtually: Virtually) -> None:
    """1,000 requests at a target that always fails: at most 1.1 attempts each after the first 20, and mostly
    none."""

    async def main(folder: Path) -> None:
        for error in (Overloaded(status=503), Unreachable(dispatched=False), OutcomeUnknown()):
            place = world(folder / error.kind.value, policy=policy_of(ONE_LOCAL, ALL), otherwise=Fault(error))
            calls_after_20 = 0
            for number in range(1_000):
                if number == 20:
                    calls_after_20 = place.calls("ollama")
                with suppress(ChainExhausted, NoEligibleModel):
                    await asked(place, streamed=False)
            assert place.calls("ollama") - calls_after_20 <= 1.1 * 980

    virtually(main)


def test_without_a_breaker_the_retry_budget_alone_bounds_repetition(virtually: Virtually) -> None:
    """A target that fails now and then, never five times in a row: repetitions stay a tenth, and three a
    second."""
    chance = random.Random(5)

    async def main(folder: Path) -> None:
        place = world(
            folder,
            {"ollama": lambda _: Fault(Overloaded(status=503)) if chance.random() < 0.3 else Answer("ok")},
            policy=policy_of(ONE_LOCAL, ALL),
        )
        refused = 0
        for _ in range(400):
            try:
                await asked(place, streamed=False)
            except (ChainExhausted, NoEligibleModel):
                refused += 1
        attempts = place.calls("ollama")
        assert attempts <= 400 * 1.1 + 3 * (place.passed_s + 1) + 10

    virtually(main)


def test_it_is_back_within_half_a_minute(virtually: Virtually) -> None:
    """A target that recovers serves again at the latest 30 s after it does, even without anybody's health
    check."""
    import asyncio

    async def main(folder: Path) -> None:
        is_up = False
        place = world(
            folder,
            {"ollama": lambda _: Answer("ok") if is_up else Fault(Unreachable(dispatched=False))},
            policy=policy_of(ONE_LOCAL, ALL),
        )
        for _ in range(12):
            try:
                await asked(place, streamed=False)
            except (ChainExhausted, NoEligibleModel):
                await asyncio.sleep(1.0)
        is_up = True
        recovered_at = asyncio.get_running_loop().time()
        for _ in range(40):
            try:
                await asked(place, streamed=False)
                break
            except (ChainExhausted, NoEligibleModel):
                await asyncio.sleep(1.0)
        assert asyncio.get_running_loop().time() - recovered_at <= 30.0

    virtually(main)


def test_a_mistake_of_the_caller_leaves_the_probe_to_the_next(virtually: Virtually) -> None:
    """A 4xx in half-open gives the slot back: nobody is stuck behind it."""
    import asyncio

    async def main(folder: Path) -> None:
        script = [Fault(OutcomeUnknown())] * 5 + [Fault(InvalidRequest(status=400)), Answer("ok")]
        place = world(folder, {"ollama": script}, policy=policy_of(ONE_LOCAL, ALL))
        for _ in range(5):
            with suppress(ChainExhausted):
                await asked(place, streamed=False)
        await asyncio.sleep(20.0)
        with suppress(InvalidRequest):
            await asked(place, streamed=False)
        assert (await asked(place, streamed=False))["content"] == "ok"

    virtually(main)


def test_a_model_that_fails_leaves_its_neighbours_in_reach(virtually: Virtually) -> None:
    """One model that does not load opens its own circuit, not its provider's."""
    two = catalogue(ollama=local(model("broken"), model("sound")))

    async def main(folder: Path) -> None:
        script = {"broken": [Fault(OutcomeUnknown())] * 99, "sound": [Answer("ok")] * 99}
        place = world(
            folder,
            {"ollama": lambda request: script[request.model].pop()},
            policy=policy_of(two, "route both: use broken, then sound\n"),
        )
        for _ in range(8):
            assert (await asked(place, streamed=False))["model"] == "sound"
        assert len(script["broken"]) == 99 - FAILURES_IN_A_ROW
        assert place.router.plan(TASK).explanation.facts.provider_down == frozenset()

    virtually(main)
