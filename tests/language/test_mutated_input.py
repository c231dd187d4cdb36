"""Ten thousand policies with something broken in them get clean answers: no exception, no silence, no endless
work."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.bundled import bundled_path
from engine.config.yaml_source import decode
from engine.language.diagnostics import Problems
from engine.language.parser import parse
from engine.language.rendering import render
from engine.language.source import Source

SEED = 20_240_607
ROUNDS = 10
INPUTS_A_ROUND = 1_000

_EVERY_FORM = """\
language 1
let phi = [phi, "psychotherapy notes", health] # a named list
let heavy = task.type in [planning, agent] or not (task.context_size > 32k and private)
forbid private-stays (watch): cloud when task.labels has any phi unless mode is local-only
    because "stays \\"here\\""
require can-do: model.capabilities has task.type and model.price is not unknown
prefer night: local by 5.5 when clock.hour in 22..6 or clock.weekday not in mon..fri
avoid dear: model.call_cost > $0.05 by 20 because "dear"
weigh critical: cost 0.1, quality 0.7, latency 0.2 when task.criticality is critical
route big: use cloud and model.quality >= very_high, then llama3.1:8b or "meta/llama-3", then any when heavy
test "pii stays": given task.type is planning, task.labels has pii, not task.tool_use_required
    expect local because big
    given task.type is qa, budget.daily.used is 80%, provider.down is empty expect chain a, "b/c", ...
    given task.type is qa expect route big given task.type is qa expect refused
    given task.type is qa expect never cloud
prove quiet: some local when provider.down is empty and task.labels is not empty
"""
POLICIES = [_EVERY_FORM, bundled_path("policies", "base.route").read_text(encoding="utf-8")]
STATEMENTS = [
    statement
    for policy in POLICIES
    for statement in re.split(r"\n(?=[a-z])", re.sub(r"(?m)^#.*\n", "", policy))
    if statement.strip()
]
TOKEN = re.compile(r'"[^"\n]*"|[\w.:-]+|\s+|#[^\n]*|.', re.DOTALL)
NOISE = [
    "==",
    "&&",
    "!",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    '"',
    "when",
    "forbid",
    "not",
    "then",
    "in",
    "..",
    "\x00",
    "\r",
]
NOISE += [
    "\u202e",
    "é",
    "🙂",
    "route x:",
    "let",
    "#",
    "/",
    "+",
    "32K",
    "-5",
    "“",
    "'",
    "\\",
    "\t",
    "$",
    "%",
    "FORBID",
]


def sample(generator: random.Random) -> str:
    chosen = generator.sample(STATEMENTS, generator.randint(1, 6))
    return generator.choice(["\n", "\n\n", "\r\n", " "]).join(chosen)


def flip_bytes(text: str, generator: random.Random) -> bytes:
    data = bytearray(text.encode())
    for _ in range(generator.randint(1, 4)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(data)


def cut(text: str, generator: random.Random) -> bytes:
    start, end = sorted(generator.randrange(len(text) + 1) for _ in range(2))
    return text[start:end].encode() if generator.random() < 0.5 else text[:end].encode()


def shuffle_tokens(text: str, generator: random.Random) -> bytes:
    tokens = TOKEN.findall(text)
    for _ in range(generator.randint(1, 4)):
        here, there = generator.randrange(len(tokens)), generator.randrange(len(tokens))
        match generator.randrange(5):
            case 0:
                tokens[here] = ""
            case 1:
                tokens.insert(here, tokens[there])
            case 2:
                tokens[here], tokens[there] = tokens[there], tokens[here]
            case 3:
                tokens.insert(here, generator.choice(NOISE))
            case _:
                tokens[here] = generator.choice(NOISE)
    return "".join(tokens).encode()


MUTATIONS: list[Callable[[str, random.Random], bytes]] = [flip_bytes, cut, shuffle_tokens, shuffle_tokens]


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_a_broken_policy_gets_a_clean_answer(round_number: int) -> None:
    """No exception, every span inside the file, an error for whatever was left out, and each within two
    seconds."""
    generator = random.Random(SEED + round_number)
    for _ in range(INPUTS_A_ROUND):
        data = generator.choice(MUTATIONS)(sample(generator), generator)
        check(data)


def check(data: bytes) -> None:
    problems = Problems()
    began = time.process_time()
    source = decode("mutated.route", data, problems)
    if source is None:
        assert problems.has_errors, data
        return
    file = parse(source, problems)
    assert time.process_time() - began < 2, data
    for problem in problems:
        places = [problem.span, *(note.span for note in problem.notes)]
        assert all(0 <= span.start < span.end <= len(source.text) for span in places), (data, problem)
        assert all(span.source is source for span in places), (data, problem)
        assert "\x1b" not in render(problem), data
    assert bool(file.broken) <= problems.has_errors, data
    # Nothing vanishes: what no statement, comment or blank covers is a statement that was left out.
    rest = list(source.text)
    for part in (*file.statements, *file.comments):
        rest[part.span.start : part.span.end] = " " * (part.span.end - part.span.start)
    if "".join(rest).strip(" \t\r\n"):
        assert problems.has_errors, data


# --- Extremes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "forbid a: " + "(" * 100_000 + "cloud" + ")" * 100_000,
        "forbid a: " + "(" * 100_000,
        "forbid a: " + "not " * 100_000 + "cloud",
        "forbid a: cloud" + " or cloud" * 50_000,
        "let a = [" + "x, " * 50_000 + "x]",
        "[" * 100_000,
        ")" * 100_000,
        "forbid a: cloud when " + "x == y && " * 5_000 + "z",
        "forbid a: x == y\n" * 5_000,
        "forbid a cloud\n" * 5_000,
        '"' * 100_001,
        "forbid a: cloud because " + '"x" ' * 20_000,
        "#" * 500_000,
        "forbid " * 50_000,
        "a" * 500_000,
        "forbid a: " + "a." * 100_000,
        "forbid a: " + "9" * 500_000,
        "forbid a: x-" + "-" * 300_000,
        " " * 900_000 + "x",
        "forbid" + " " * 900_000 + "x",
        "\x00" * 100_000,
        "let a = " * 20_000,
        "language 1 " * 20_000,
        "forbid a: (x) language 2 " * 10_000,
        "test " * 20_000 + '"x":',
        "forbid a: “" * 10_000,
        "forbid a: cloud;" * 10_000,
    ],
    ids=lambda text: f"{text[:20]!r}",
)
def test_extreme_input_ends(text: str) -> None:
    """A hundred thousand of anything ends in bounded time, with an error where something is wrong."""
    source, problems = Source("extreme.route", text), Problems()
    began = time.process_time()
    file = parse(source, problems)
    for problem in problems:
        render(problem)
    assert time.process_time() - began < 20
    assert file.statements or problems.has_errors or not text.strip("# ")


def test_the_files_of_this_suite_stay_readable_when_cut_anywhere() -> None:
    """Every beginning of a policy that uses each form is answered, too."""
    for end in range(len(_EVERY_FORM)):
        check(_EVERY_FORM[:end].encode())


def test_the_samples_are_valid() -> None:
    """What is broken on purpose was sound before."""
    problems = Problems()
    for number, policy in enumerate(POLICIES):
        parse(Source(str(Path("policy") / str(number)), policy), problems)
    assert list(problems) == []
