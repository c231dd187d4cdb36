"""`timeouts` of policies.yaml -> the limits that a provider is asked with."""

from __future__ import annotations

from engine.model_router import ModelRouter
from engine.providers.base import Target, Timeouts
from engine.providers.scripted import ScriptedProvider

from .worlds import HELLO, LOCAL_FIRST, TASK, policy_of

SAID = (
    "routing: {default_mode: balanced}\n"
    "timeouts: {default: 100, connect: 2, idle: 30, load: 90, whole: 20,\n"
    "  providers: {ollama: {first_token: 40}}, models: {small: {first_token: 7, idle: 5}}}\n"
)


async def _asked_with(policies: str, routes: str = LOCAL_FIRST) -> Timeouts:
    made: list[ScriptedProvider] = []

    def provider(target: Target) -> ScriptedProvider:
        made.append(ScriptedProvider(target))
        return made[-1]

    policy = policy_of(routes=routes, policies=policies)
    async with ModelRouter.of(policy, dry_run=False, providers=provider) as router:
        await router.select_and_invoke(TASK, HELLO)
    (request,) = [call for one in made for call in one.calls]
    return request.timeouts


async def test_what_the_policy_says_holds() -> None:
    """The nearest place decides for each clock; the whole bounds the answer."""
    told = await _asked_with(SAID)
    assert told == Timeouts(2.0, 7.0, 5.0, answer_s=20.0, load_s=90.0, whole_s=20.0)


async def test_what_it_does_not_say_is_the_usual() -> None:
    """Somebody stands behind: silence ends after a minute, the answer at half of the deadline."""
    told, usual = await _asked_with("routing: {default_mode: balanced}\n"), Timeouts()
    assert (told.connect_s, told.idle_s, told.load_s) == (usual.connect_s, usual.idle_s, usual.load_s)
    assert told.first_token_s <= 60.0 >= told.answer_s > 50.0


async def test_with_nobody_behind_a_first_token_has_all_there_is() -> None:
    """Giving up would serve nobody."""
    told = await _asked_with("routing: {default_mode: balanced}\n", "route r: use small\n")
    assert 60.0 < told.first_token_s == told.answer_s <= 120.0
