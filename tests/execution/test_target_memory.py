"""What a target cannot take is remembered for such requests alone, and what it asks to wait is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.execution.errors import ChainExhausted
from engine.providers.base import Health
from engine.providers.errors import (
    ContextOverflow,
    ModelMissing,
    NotAllowed,
    Overloaded,
    ProviderError,
    QuotaSpent,
    RefusedField,
    ServerFailed,
    Throttled,
    Unfit,
    Unreachable,
)
from engine.providers.scripted import Fault

from .test_provider_health import KEY, tracker
from .worlds import HELLO, World, asked, catalogue, cloud, model, policy_of, world

Virtually = Callable[[Callable[[Path], Any]], Any]
_TWO = policy_of(routes='route r: use "east-1", then "west-1"\n')
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.mark.parametrize("error", [ModelMissing(status=404), NotAllowed(status=403)])
def test_a_model_that_is_gone_is_not_asked_again(error: ProviderError, virtually: Virtually) -> None:
    """For five minutes; then it is."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(error)]})
        for _ in range(3):
            assert (await asked(place, streamed=False))["provider"] == "west"
        assert place.calls("east") == 1
        await asyncio.sleep(301.0)
        assert (await asked(place, streamed=False))["provider"] == "east"

    virtually(main)


def test_a_missing_feature_keeps_from_such_requests_alone(virtually: Virtually) -> None:
    """A target without tools is passed over with tools and asked without."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Unfit(status=400, feature="tools"))]})
        served = [
            (await asked(place, streamed=False, **more))["provider"]
            for more in ({"tools": TOOLS}, {"tools": TOOLS}, {})
        ]
        assert served == ["west", "west", "east"]
        assert place.calls("east") == 2

    virtually(main)


def _refusing(name: str, *, only_value: bool = False) -> Fault:
    return Fault(Unfit(status=400, refused=(RefusedField(name, only_value),)))


def _left_out(place: World) -> list[set[str]]:
    return [set(request.refused) for request in place.providers["east"].calls]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_field_that_is_refused_is_left_out_at_once_and_later(streamed: bool, virtually: Virtually) -> None:
    """The same member is asked again, without it; the next request is right at once, for five minutes."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [_refusing("temperature")]})
        for temperature in (0.2, 0.7):
            result = await asked(place, streamed=streamed, temperature=temperature)
            assert result["provider"] == "east"
        await asyncio.sleep(301.0)
        await asked(place, streamed=streamed, temperature=0.2)
        assert _left_out(place) == [set(), {"temperature"}, {"temperature"}, set()]

    virtually(main)


def test_a_value_that_is_refused_is_left_out_as_that_value(virtually: Virtually) -> None:
    """Another effort is asked for."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [_refusing("reasoning", only_value=True)]})
        for effort in ("minimal", "minimal", "low"):
            await asked(place, streamed=False, reasoning=effort)
        assert _left_out(place) == [set(), {"reasoning"}, {"reasoning"}, set()]

    virtually(main)


def test_what_changes_the_answer_is_left_out_by_the_last_member_alone(virtually: Virtually) -> None:
    """A text to stop at is another member's to keep; where there is none, the call is answered all the
    same."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [_refusing("stop")], "west": [_refusing("stop")]}, policy=_TWO)
        served = [(await asked(place, streamed=False, stop="END"))["provider"] for _ in range(2)]
        assert served == ["west", "west"]
        assert place.calls("east") == 1
        assert place.calls("west") == 3

    virtually(main)


def test_a_model_that_gives_less_is_asked_for_that_much_by_the_last_member_alone(
    virtually: Virtually,
) -> None:
    """Another member may give all of it; where there is none the answer is as long as it can be."""

    async def main(folder: Path) -> None:
        less = Fault(Unfit(status=400, most_output=50))
        place = world(folder, {"east": [less], "west": [less]}, policy=_TWO)
        results = [await asked(place, streamed=False, max_tokens=most) for most in (77, 77, 40)]
        assert [result["provider"] for result in results] == ["west", "west", "east"]
        assert [request.max_tokens for request in place.providers["west"].calls] == [77, 50, 50]
        said = "max_tokens was sent as 50, the most that the target gives"
        assert [said in result["attempts"][-1]["notes"] for result in results] == [True, True, False]
        assert not any(result["budget_cut"] for result in results)

    virtually(main)


def test_a_choice_of_tools_is_never_left_out(virtually: Virtually) -> None:
    """The next member is asked, and such a request is not sent there again."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [_refusing("tool_choice")]})
        more = {"tools": TOOLS, "tool_choice": "required"}
        served = [(await asked(place, streamed=False, **more))["provider"] for _ in range(2)]
        assert served == ["west", "west"]
        assert (await asked(place, streamed=False, tools=TOOLS))["provider"] == "east"
        assert place.calls("east") == 2

    virtually(main)


def test_one_that_refuses_everything_is_not_asked_for_ever(virtually: Virtually) -> None:
    """Six attempts are the most of one request."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [_refusing("seed")] * 20})
        with pytest.raises(ChainExhausted):
            await asked(place, streamed=False, seed=7)
        assert place.calls("east") == 6

    virtually(main)


def test_a_4xx_that_names_nothing_is_not_remembered(virtually: Virtually) -> None:
    """One caller's odd request does not shut the target for the others."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Unfit(status=400))]})
        assert [(await asked(place, streamed=False))["provider"] for _ in range(2)] == ["west", "east"]

    virtually(main)


def test_a_prompt_that_was_too_long_is_remembered_by_its_length(virtually: Virtually) -> None:
    """A shorter one is sent there."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(ContextOverflow(status=400))]})
        long = [{"role": "user", "content": "word " * 4000}]
        served = [
            (await asked(place, streamed=False, messages=messages))["provider"]
            for messages in (long, long, HELLO)
        ]
        assert served == ["west", "west", "east"]

    virtually(main)


def test_a_targets_fault_never_counts_against_health(virtually: Virtually) -> None:
    """Twenty of them open no circuit."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Unfit(status=400))] * 20})
        for _ in range(20):
            await asked(place, streamed=False)
        assert (await asked(place, streamed=False))["provider"] == "east"

    virtually(main)


@pytest.mark.parametrize(
    ("error", "passed_over"),
    [
        (QuotaSpent(status=402), True),
        (Overloaded(status=529), True),
        (Throttled(status=429), True),
        (Unreachable(dispatched=False), True),
        (ServerFailed(status=500), False),
        (ModelMissing(status=404), False),
    ],
)
def test_an_ill_provider_is_passed_over_whole(
    error: ProviderError, passed_over: bool, virtually: Virtually
) -> None:
    """Its other model is not asked; after a failure that may be one model's alone it is."""

    async def main(folder: Path) -> None:
        east = cloud(model("a", price=1), model("b", price=1))
        models = catalogue(east=east, west=cloud(model("c", price=1)))
        policy = policy_of(models, 'route r: use "a", then "b", then "c"\n')

        def act(request: Any) -> Any:
            from engine.providers.scripted import Answer

            return Fault(error) if request.model == "a" else Answer("ok")

        place = world(folder, {"east": act}, policy=policy)
        result = await asked(place, streamed=False)
        assert result["provider"] == ("west" if passed_over else "east")

    virtually(main)


@pytest.mark.parametrize("wait_s", [40.0, 600.0])
def test_a_time_that_a_target_names_is_kept_across_requests(wait_s: float, virtually: Virtually) -> None:
    """It is not asked before that time is over, and asked after it."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Throttled(status=429, retry_after_s=wait_s))]})
        for _ in range(3):
            assert (await asked(place, streamed=False, deadline_s=10))["provider"] == "west"
        await asyncio.sleep(wait_s - 1)
        assert (await asked(place, streamed=False, deadline_s=10))["provider"] == "west"
        assert place.calls("east") == 1
        await asyncio.sleep(1.1)
        assert (await asked(place, streamed=False))["provider"] == "east"

    virtually(main)


def test_a_429_without_a_time_is_a_short_pause(virtually: Virtually) -> None:
    """Two seconds later it is asked again."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Fault(Throttled(status=429))]})
        assert (await asked(place, streamed=False))["provider"] == "west"
        await asyncio.sleep(2.0)
        assert (await asked(place, streamed=False))["provider"] == "east"

    virtually(main)


def test_the_error_lists_every_members_own_reason(virtually: Virtually) -> None:
    """When nobody is left."""

    async def main(folder: Path) -> None:
        scripts = {
            "east": [Fault(ModelMissing(status=404, detail="the model east-1 was retired"))],
            "west": [Fault(QuotaSpent(status=402, detail="Insufficient credits"))],
            "ollama": [Fault(Unfit(status=400, detail="does not support tools"))] * 2,
        }
        with pytest.raises(ChainExhausted) as caught:
            await asked(world(folder, scripts), streamed=False)
        for said in ("the model east-1 was retired", "Insufficient credits", "does not support tools"):
            assert said in str(caught.value)

    virtually(main)


def test_a_server_that_answers_is_not_taken_out_by_its_broken_list() -> None:
    """A probe that got an answer, however bad, leaves the provider in reach; one that got none does not."""
    health = tracker()
    health.record_probe(KEY[0], Health("down", error=ServerFailed(status=500)))
    assert health.down(KEY[0]) is None
    health.record_probe(KEY[0], Health("down", error=Unreachable(dispatched=False)))
    assert health.down(KEY[0]) is not None
