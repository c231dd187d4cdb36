"""How fast the engine decides, compiles, plans and starts: every figure a ratio of two things timed in one run.

    python -m tests.bench.bench_decision
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from engine import ModelRouter, TaskProfile
from engine.decision.facts import Facts
from engine.language.diagnostics import Problems
from engine.language.grammar import load_grammar
from engine.policy import build
from tests.bench.policies import facts, folder, policy

SIZES = (10, 100, 1_000, 5_000, 10_000)
DISTINCT = 200
ROUNDS = 30


def main() -> None:
    deciding()
    compiling()
    planning()
    starting()
    batching()


def say(what: str, measured: float, limit: str) -> None:
    print(f"{what:<78} {measured:8.2f}   {limit}")


# --- Deciding -----------------------------------------------------------------------------------------


def if_chain(facts: Facts) -> str:
    """Ten rules as a programmer would write them by hand, most particular first."""
    if facts.mode == "local-only":
        return "llama3-8b-instruct"
    if facts.budget_daily_used >= 100 or facts.budget_monthly_used >= 100:
        return "llama3-8b-instruct"
    if facts.labels and ("label-1" in facts.labels or "label-2" in facts.labels):
        return "llama3-8b-instruct"
    if facts.task_type == "type-1" and facts.criticality in ("high", "critical"):
        return "claude-3-5-sonnet"
    if facts.context_size > 100_000:
        return "cloud-8"
    if facts.task_type in ("type-2", "type-3", "type-4") and facts.tool_use_required:
        return "cloud-1"
    if facts.context_size > 32_000 and facts.criticality == "critical":
        return "cloud-2"
    if facts.clock_hour >= 22 and facts.mode == "balanced":
        return "cloud-3"
    if facts.task_type == "type-5" and "label-5" in facts.labels:
        return "cloud-4"
    if facts.budget_daily_used >= 80 and facts.criticality == "low":
        return "llama3-8b-instruct"
    return "claude-3-5-sonnet"


def deciding() -> None:
    """Warm: combinations of facts seen before. Unseen: combinations that are new to a policy in use."""
    warm_facts, new_facts = facts(DISTINCT, seed=1), facts(4_000, seed=2)
    policies = {size: policy(size).evaluator for size in SIZES}
    warm: dict[int, list[float]] = {size: [] for size in SIZES}
    by_hand: list[float] = []
    for evaluator in policies.values():
        each(evaluator.decide, warm_facts)
    for _ in range(ROUNDS):
        by_hand.append(each(if_chain, warm_facts))
        for size, evaluator in policies.items():
            warm[size].append(each(evaluator.decide, warm_facts))
    new = {size: each(evaluator.decide, new_facts) for size, evaluator in policies.items()}
    hand = median(by_hand)
    print(f"one decision by hand: {hand * 1e6:.2f} us")
    for size in SIZES:
        say(f"{size:,} rules: a warm decision / an if-chain of ten", median(warm[size]) / hand, "<= 3")
    fastest, slowest = min(map(median, warm.values())), max(map(median, warm.values()))
    say("warm decisions: slowest size / fastest size", slowest / fastest, "<= 1.5")
    for size in SIZES:
        say(f"{size:,} rules: an unseen combination / a warm one", new[size] / median(warm[size]), "<= 15")


def each(function: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Seconds a call."""
    began = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - began) / len(arguments)


# --- Compiling ----------------------------------------------------------------------------------------


def compiling() -> None:
    """Text to ready policy against Lark alone, building its own default tree from the same text."""
    lark = load_grammar(None)
    for size in (1_000, 10_000):
        files = folder(size)
        ratios = []
        for _ in range(3):
            gc.collect()
            began = time.perf_counter()
            for source in (*files.routes, files.base):
                lark.parse(source.text)
            alone = time.perf_counter() - began
            gc.collect()
            began = time.perf_counter()
            assert build(files, Problems()) is not None
            ratios.append((time.perf_counter() - began) / alone)
        say(f"{size:,} rules: text to ready tree / Lark alone ({alone:.2f} s)", median(ratios), "<= 2.5")


# --- Planning -----------------------------------------------------------------------------------------


def planning() -> None:
    """A whole plan against the profile it is given."""
    os.environ["DRY_RUN_MODE"] = "true"
    router = ModelRouter(Path(__file__).parents[2] / "policies" / "default")
    task = profile(0)
    router.plan(task)
    profiles, plans = [], []
    for _ in range(ROUNDS):
        profiles.append(each(profile, range(500)))
        plans.append(each(router.plan, [task] * 500))
    say(f"plan / constructing its TaskProfile ({median(profiles) * 1e6:.2f} us)", median(plans) / median(profiles), "<= 15")


def profile(number: int) -> TaskProfile:
    return TaskProfile(task_type="planning", criticality="high", context_size=number, labels=())


# --- Starting -----------------------------------------------------------------------------------------


def starting() -> None:
    """Whole processes, in turn."""
    bare, with_engine = [], []
    base, explain = [], []
    for _ in range(9):
        bare.append(process("-c", "pass"))
        with_engine.append(process("-c", "import engine"))
        base.append(process("-c", "import lark, yaml, jsonschema, rich.console"))
        explain.append(process("-m", "engine", "explain", "type=planning", "criticality=high"))
    say("import engine, in milliseconds over a bare interpreter", (median(with_engine) - median(bare)) * 1e3, "<= 100")
    say(f"engine explain / importing its libraries ({median(base) * 1e3:.0f} ms)", median(explain) / median(base), "<= 1.6")


def process(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


# --- Batches ------------------------------------------------------------------------------------------


def batching() -> None:
    """`engine explain --batch` as a whole process, start included."""
    count = 20_000
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "facts.jsonl"
        types = ("planning", "qa", "summarization", "agent")
        lines = (
            json.dumps({"type": types[n % 4], "context_size": n * 7 % 200_000, "criticality": ("low", "high")[n % 2]})
            for n in range(count)
        )
        path.write_text("\n".join(lines), encoding="utf-8")
        guide = Path(__file__).parents[1] / "conformance" / "guide"
        for name, config in (("default", "policies/default"), ("guide", str(guide))):
            seconds = process("-m", "engine", "explain", "--batch", str(path), "--config", config)
            say(f"{name} folder: explanations a second in a batch of {count:,}", count / seconds, ">= 5,000")


if __name__ == "__main__":
    main()
