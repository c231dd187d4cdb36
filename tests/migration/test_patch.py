"""The patch of `engine scan --diff`: which calls it rewrites, and why it leaves the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.migration.scan import scan

from .marked import apply_patch


def test_the_patch_applies_and_what_it_leaves_is_python(unmarked: Path) -> None:
    """The patch of the whole corpus applies, each file compiles, and no rewritten call is found again."""
    report = scan(unmarked)
    apply_patch(report.patch, unmarked)
    for path in unmarked.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
    rewritten = len(report.sites) - len(report.left)
    assert rewritten >= 1
    assert len(scan(unmarked).sites) == len(report.sites) - rewritten


def test_a_small_agent_is_rewritten_whole(unmarked: Path) -> None:
    """Client, call, answer and import: the patch leaves nothing of the SDK."""
    for path in unmarked.rglob("*.py"):
        if path.name != "small_agent.py":
            path.unlink()
    apply_patch(scan(unmarked).patch, unmarked)
    assert (
        (unmarked / "small_agent.py").read_text()
        == """\
from engine import ModelRouter, TaskProfile


class MyAgent:
    def __init__(self):
        self.model_router = ModelRouter()

    async def process(self, text):
        response = await self.model_router.select_and_invoke(
            TaskProfile(task_type="qa", criticality="medium"),
            [{"role": "user", "content": text}],
            max_tokens=1000,
        )
        return response["content"]
"""
    )


PLAIN_OPENAI = """\
import os
from openai import AsyncOpenAI

client = AsyncOpenAI()
HEUTE = "größer"


async def a(text):
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "ü" + text}], max_completion_tokens=9
    )
    print(answer.choices[0].message.content)
    return answer.choices[0].message.content


async def b(text):
    return (await client.chat.completions.create(model="gpt-4o", messages=text)).choices[0].message.content


async def c(text):
    answer = await client.chat.completions.create(model="gpt-4o", messages=text)
    return answer.usage
"""


def test_a_client_that_is_still_used_stays(tmp_path: Path) -> None:
    """Where one call is left to a person, its client stays; offsets count bytes, not characters."""
    (tmp_path / "m.py").write_text(PLAIN_OPENAI, encoding="utf-8")
    report = scan(tmp_path)
    assert list(report.left.values()) == ["its answer is used for more than .choices[0].message.content"]
    apply_patch(report.patch, tmp_path)
    text = (tmp_path / "m.py").read_text(encoding="utf-8")
    assert "client = AsyncOpenAI()\nmodel_router = ModelRouter()\n" in text
    assert "from openai import AsyncOpenAI\nfrom engine import ModelRouter, TaskProfile\n" in text
    assert text.count('answer["content"]') == 2
    assert '))["content"]' in text
    assert len(scan(tmp_path).sites) == 1


@pytest.mark.parametrize(
    ("make", "call", "because"),
    [
        ("AsyncOpenAI(base_url='http://gpu:8000/v1')", "model='m', messages=text", "an address of its own"),
        ("AsyncAzureOpenAI()", "model='m', messages=text", "an address of its own"),
        (
            "AsyncOpenAI()",
            "model='m', messages=[{'role': 'user', 'content': [{'type': 'text', 'text': text}]}]",
            "content blocks",
        ),
        ("AsyncOpenAI()", "model='m', messages=text, seed=1", "the router has no seed"),
        ("AsyncOpenAI()", "model='m', messages=text, **text", "not all written at the call"),
        ("AsyncOpenAI()", "model='m', messages=text, stream=True", "it streams"),
        ("AsyncOpenAI()", "model='m', messages=text, # why", "a comment stands inside it"),
        ("OpenAI()", "model='m', messages=text", "it is synchronous"),
    ],
)
def test_what_the_patch_leaves_to_a_person(tmp_path: Path, make: str, call: str, because: str) -> None:
    """Whatever the router would not do alike, with the reason."""
    wait = "" if make.startswith("OpenAI") else "await "
    (tmp_path / "m.py").write_text(
        f"from openai import *\nclient = {make}\n\nasync def ask(text):\n"
        f"    answer = {wait}client.chat.completions.create({call}\n    )\n"
        "    return answer.choices[0].message.content\n"
    )
    report = scan(tmp_path)
    assert (report.patch, [because in reason for reason in report.left.values()]) == ("", [True])


def test_a_system_prompt_becomes_the_first_message(tmp_path: Path) -> None:
    """Spliced into a list that is written out, put before one that is not."""
    (tmp_path / "m.py").write_text(
        "from anthropic import AsyncAnthropic\nclient = AsyncAnthropic()\n\nasync def ask(text):\n"
        "    a = await client.messages.create(model='m', max_tokens=1, system='s', messages=[text])\n"
        "    b = await client.messages.create(model='m', max_tokens=1, system='s', messages=text)\n"
        "    return a.content[0].text + b.content[0].text\n"
    )
    patch = scan(tmp_path).patch
    assert """+        [{"role": "system", "content": 's'}, text],""" in patch
    assert """+        [{"role": "system", "content": 's'}, *text],""" in patch
