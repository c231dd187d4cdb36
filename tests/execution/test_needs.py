"""What a request shows that it needs decides who may be asked, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from engine.analysis.proofs import prove
from engine.execution.needs import capable
from engine.execution.prompt import Prompt
from engine.model_router import ModelRouter, NoEligibleModel
from engine.providers.base import DiscoveredModel
from engine.task_profiles import InvalidTask, TaskProfile

from ..providers.dialects import MODEL, OLLAMA, SHOWN
from ..providers.llama_cpp import CONTEXT, NAME, llama_server
from ..providers.wire_server import Answer, Received, in_json, wire_server
from .worlds import HELLO, catalogue, local, policy_of
from .worlds import model as listed

TASK = TaskProfile("qa")
PIXEL = "iVBORw0KGgoAAAANSUhEUg=="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
PICTURE: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "what?"}, IMAGE]}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}

SHOWN_NEEDS: dict[str, tuple[set[str], list[dict[str, Any]], dict[str, Any]]] = {
    "text alone": (set(), HELLO, {}),
    "an image": ({"vision"}, PICTURE, {}),
    "a document": ({"documents"}, [{"role": "user", "content": [DOCUMENT]}], {}),
    "sound": ({"audio"}, [{"role": "user", "content": [SOUND]}], {}),
    "a schema": ({"structured_output"}, HELLO, {"response_format": SCHEMA}),
    "any JSON": (set(), HELLO, {"response_format": {"type": "json_object"}}),
    "an image from a tool": (
        {"vision"},
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                            }
                        ],
                    }
                ],
            }
        ],
        {},
    ),
}


@pytest.mark.parametrize("case", SHOWN_NEEDS)
def test_a_request_shows_what_it_needs(case: str) -> None:
    """Each kind of part, and a schema, is a need of its own."""
    expected, messages, fields = SHOWN_NEEDS[case]
    prompt = Prompt(messages, None, fields)
    prompt.check()
    assert prompt.needs == expected
    with_tools = Prompt(messages, TOOLS, fields)
    with_tools.check()
    assert with_tools.needs == expected | {"tools"}


def _catalogue(**capabilities: list[str]) -> str:
    models = [listed(id, tools="yes") | {"capabilities": told} for id, told in capabilities.items()]
    return catalogue(box=local(*models, api="openai", base_url="http://127.0.0.1:9/v1"))


def _models(**capabilities: list[str]) -> Any:
    return policy_of(_catalogue(**capabilities), "").catalogue.models


TOLD = {"a": DiscoveredModel("a", capabilities=("completion", "vision"))}
VISION = frozenset({"vision"})
CAPABLE: dict[str, tuple[set[str], list[str], frozenset[str], Any]] = {
    "shown, nothing known: lacking": (set(), [], VISION, None),
    "stated, nothing known: not lacking": ({"a"}, [], frozenset(), None),
    "stated, and the catalogue knows other things: lacking": (set(), ["chat"], frozenset(), None),
    "shown, and its provider says it can": ({"a"}, ["chat"], VISION, TOLD),
    "its provider says what it can, and not this": (
        set(),
        [],
        frozenset(),
        {"a": DiscoveredModel("a", capabilities=("completion",))},
    ),
    "the catalogue says so: nothing to add": (set(), ["vision"], VISION, None),
}


@pytest.mark.parametrize("case", CAPABLE)
def test_what_the_catalogue_does_not_say(case: str) -> None:
    """Unknown counts as lacking for a need that the request shows itself, and for no other."""
    expected, capabilities, shown, told = CAPABLE[case]
    assert capable(_models(a=capabilities), VISION, shown, lambda _: told) == expected


def test_a_stated_need_blocks_by_name() -> None:
    """A model that lacks what the profile needs is blocked by needs-unmet, and the one that has it is chosen;
    without needs the order is the catalogue's."""
    router = ModelRouter.of(policy_of(_catalogue(plain=["chat"], seer=["chat", "vision"]), ""), dry_run=True)
    assert router.plan(TASK).model.model_id == "plain"
    choice = router.plan(TaskProfile("qa", needs=["vision"]))
    assert [choice.model.model_id, *(one.model_id for one in choice.fallbacks)] == ["seer"]
    assert "needs-unmet" in str(choice.explanation)


def test_needs_are_a_closed_list() -> None:
    """A need that no catalogue has and no request shows is refused with those there are."""
    router = ModelRouter.of(policy_of(_catalogue(plain=["chat"]), ""), dry_run=True)
    with pytest.raises(InvalidTask, match="vison"):
        router.plan(TaskProfile("qa", needs=["vison"]))


def _shows(*capabilities: str) -> Any:
    def answer(received: Received) -> Answer:
        if received.path == "/api/show":
            return in_json(SHOWN | {"capabilities": list(capabilities)})
        if received.path == "/api/tags":
            return in_json({"models": [{"name": MODEL, "model": MODEL, "digest": "d1"}]})
        return OLLAMA.handler()(received)

    return answer


@pytest.mark.parametrize(
    ("capabilities", "is_asked"), [(("completion", "vision"), True), (("completion",), False)]
)
async def test_ollama_fills_what_the_catalogue_does_not_say(
    capabilities: tuple[str, ...], is_asked: bool
) -> None:
    """The first image asks the daemon what its model can do; only one that sees is sent it."""
    async with wire_server(_shows(*capabilities)) as served:
        models = catalogue(box=local(listed(MODEL), base_url=served.url))
        async with ModelRouter.of(policy_of(models, ""), dry_run=False) as router:
            if is_asked:
                result = await router.select_and_invoke(TASK, PICTURE)
                assert result["model"] == MODEL
            else:
                with pytest.raises(NoEligibleModel, match="needs-unmet"):
                    await router.select_and_invoke(TASK, PICTURE)
    assert len(served.prompts()) == is_asked


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real llama.cpp server with a model of text."""
    with llama_server(tmp_path_factory.mktemp("model")) as url:
        yield url


@pytest.mark.realserver
@pytest.mark.parametrize("seer_is_up", [True, False])
async def test_an_image_never_reaches_the_text_model(llama: str, seer_is_up: bool) -> None:
    """A real text model and a vision model behind one policy: images go to the one that sees, or nowhere, and
    text goes on."""
    async with AsyncExitStack() as stack:
        seer = await stack.enter_async_context(wire_server(OLLAMA.handler()))
        if not seer_is_up:
            seer.end()
        seeing = listed(MODEL) | {"capabilities": ["vision"]}
        models = catalogue(
            text=local(listed(NAME, context=CONTEXT), api="openai", base_url=f"{llama}/v1"),
            seer=local(seeing, base_url=seer.url if seer_is_up else "http://127.0.0.1:9"),
        )
        policy = policy_of(models, f'route r: use "{NAME}", then "{MODEL}"\n')
        router = await stack.enter_async_context(ModelRouter.of(policy, dry_run=False))
        asked = [router.select_and_invoke(TASK, PICTURE, 12) for _ in range(4)]
        asked += [router.select_and_invoke(TASK, HELLO, 12) for _ in range(4)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        images, texts = results[:4], results[4:]
        assert [text["model"] for text in texts if isinstance(text, dict)] == [NAME] * 4
        if seer_is_up:
            assert [image["model"] for image in images if isinstance(image, dict)] == [MODEL] * 4
        else:
            assert all(isinstance(image, Exception) for image in images)
            assert not any(NAME in str(getattr(image, "attempts", "")) for image in images)


def test_quiet_days_stay_proved() -> None:
    """A proof over quiet days stays proved: `all-up` is a day on which nothing in particular is needed."""
    policy = policy_of(
        _catalogue(plain=["chat"]), "prove served: some local when all-up and task.context_size < 9k\n"
    )
    assert [answer.verdict for answer in prove(policy)] == ["proved"]
