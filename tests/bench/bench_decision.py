"""How fast the engine decides, compiles, plans and starts: every figure a ratio of two things timed in one
run.

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
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from engine import ModelRouter, TaskProfile
from engine.decision.evaluator import Decision
from engine.decision.facts import DEFAULTS, INDEX, Facts, facts_from
from engine.language.diagnostics import Problems
from engine.language.grammar import load_grammar
from engine.language.known_names import Names
from engine.policy import Policy, build
from tests.bench.policies import facts, folder, policy, policy_of

SIZES = (10, 100, 1_000, 5_000, 10_000)
DISTINCT = 200
ROUNDS = 30


def main() -> None:
    deciding()
    from_facts()
    compiling()
    planning()
    starting()
    batching()


def say(what: str, measured: float, limit: str) -> None:
    print(f"{what:<78} {measured:8.2f}   {limit}")


# --- Deciding -----------------------------------------------------------------------------------------


TEN_RULES = """
forbid home-1: cloud when task.labels has any [label-1, label-2]
forbid home-2: cloud when task.type is type-1 and task.criticality < high
forbid home-3: cloud when task.context_size > 150k
forbid small-1: local when task.context_size > 6k and task.criticality is critical
require tools-1: model.tools is not no when task.type in [type-2, type-3]
require good-1: model.quality >= very_high or local
    when task.criticality is critical and task.tool_use_required
forbid saving-1: cloud when budget.daily.used >= 80% and task.criticality is low
forbid night-1: cloud when clock.hour >= 22 and mode is balanced
route big-1: use cloud, then local when task.type is type-5 and task.criticality >= high
route rest-1: use local, then cloud
"""


def by_hand(facts: Facts) -> tuple[bool, bool, str]:
    """The same ten rules and the engine's own guards as a programmer would chain them, for one local and one
    cloud class."""
    cloud = local = True
    if facts.labels and ("label-1" in facts.labels or "label-2" in facts.labels):
        cloud = False
    if facts.task_type == "type-1" and facts.criticality in ("low", "medium"):
        cloud = False
    if facts.context_size > 150_000:
        cloud = False
    if facts.context_size > 6_000 and facts.criticality == "critical":
        local = False
    if facts.budget_daily_used >= 80 and facts.criticality == "low":
        cloud = False
    if facts.clock_hour >= 22 and facts.mode == "balanced":
        cloud = False
    if facts.mode == "local-only" or facts.budget_daily_used >= 100 or facts.budget_monthly_used >= 100:
        cloud = False
    if facts.mode == "local-preferred" and facts.criticality in ("low", "medium"):
        cloud = False
    if facts.context_size > 8_192 or "ollama" in facts.provider_down:
        local = False
    if "anthropic" in facts.provider_down or "anthropic" in facts.budget_exhausted_providers:
        cloud = False
    first = "cloud" if facts.task_type == "type-5" and facts.criticality in ("high", "critical") else "local"
    return local, cloud, first


def deciding() -> None:
    """Warm: combinations of facts seen before. Unseen: combinations that are new to a policy in use."""
    warm_facts, new_facts = facts(DISTINCT, seed=1), facts(4_000, seed=2)
    policies = {f"{size:,} rules": policy(size).evaluator for size in SIZES}
    policies["the ten rules"] = policy_of(TEN_RULES).evaluator
    agree(policies["the ten rules"].decide, new_facts)
    warm: dict[str, list[float]] = {name: [] for name in policies}
    hand: list[float] = []
    for evaluator in policies.values():
        each(evaluator.decide, warm_facts)
    gc.collect()
    gc.freeze()  # a full collection over six compiled policies is not what is timed here
    for _ in range(ROUNDS):
        hand.append(each(by_hand, warm_facts))
        for name, evaluator in policies.items():
            warm[name].append(each(evaluator.decide, warm_facts))
    new = {name: each(evaluator.decide, new_facts) for name, evaluator in policies.items()}
    say(
        f"ten rules: a warm decision / the same by hand ({median(hand) * 1e6:.2f} us)",
        median(warm["the ten rules"]) / median(hand),
        "<= 3",
    )
    sized = {name: median(times) for name, times in warm.items() if name != "the ten rules"}
    for name, time_taken in sized.items():
        say(f"{name}: a warm decision / ten rules by hand", time_taken / median(hand), "<= 3")
    say("warm decisions: slowest size / fastest size", max(sized.values()) / min(sized.values()), "<= 1.5")
    for name, seconds in new.items():
        say(f"{name}: an unseen combination / a warm one", seconds / median(warm[name]), "<= 15")


def agree(decide: Callable[[Facts], Any], some_facts: Sequence[Facts]) -> None:
    """The hand-written rules decide as the policy does: which class is eligible, and which comes first."""
    for given in some_facts:
        local, cloud, first = by_hand(given)
        chain = [model.locality for model in decide(given).chain]
        assert ("local" in chain) == local, given
        if not cloud:
            assert "cloud" not in chain, given
        elif chain and local:
            assert chain[0] == first or len(set(chain)) == 1, given


def each(function: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """Seconds a call."""
    began = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - began) / len(arguments)


# --- From facts ---------------------------------------------------------------------------------------


def looked_up(policy: Policy, tasks: Sequence[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], Decision]:
    """The same policy as a programmer would write it for speed alone: a plain dictionary for each fact that
    the rules ask for, and a memo of what was decided for what they gave.

    It knows the facts of the benches' rules and the values of these tasks by heart, and checks nothing.
    """
    columns = {column.fact: column for column in policy.compiled.columns}
    usual = {**dict(zip(INDEX, DEFAULTS, strict=True)), "mode": policy.names.default_mode}

    def table(fact: str) -> dict[Any, Any]:
        values = {task.get(fact, usual[fact]) for task in tasks}
        return {value: columns[fact].lookup(value) for value in values}

    of_type, of_criticality, of_sensitivity = map(
        table, ("task.type", "task.criticality", "task.budget_sensitivity")
    )
    of_labels, of_needs, of_mode, of_hour = map(table, ("task.labels", "task.needs", "mode", "clock.hour"))
    of_day, of_month, of_exhausted = map(
        table, ("budget.daily.used", "budget.monthly.used", "budget.exhausted_providers")
    )
    of_down, of_capable = map(table, ("provider.down", "models.capable"))
    sizes = [value for value, _ in columns["task.context_size"].edges]
    nothing: frozenset[str] = frozenset()
    usual_mode, zero = policy.names.default_mode, Decimal(0)
    memo: dict[tuple[Any, ...], Decision] = {}

    def decide(task: Mapping[str, Any]) -> Decision:
        get = task.get
        key = (
            of_type[task["task.type"]],
            of_criticality[get("task.criticality", "medium")],
            of_sensitivity[get("task.budget_sensitivity", "medium")],
            bisect_right(sizes, get("task.context_size", 0)),
            of_labels[get("task.labels", nothing)],
            of_needs[get("task.needs", nothing)],
            of_mode[get("mode", usual_mode)],
            of_day[get("budget.daily.used", zero)],
            of_month[get("budget.monthly.used", zero)],
            of_exhausted[get("budget.exhausted_providers", nothing)],
            of_down[get("provider.down", nothing)],
            of_capable[get("models.capable", nothing)],
            of_hour[get("clock.hour", 12)],
        )
        if (found := memo.get(key)) is None:
            found = memo[key] = policy.evaluator.decide(facts_from(task, policy.names))
        return found

    return decide


def from_facts() -> None:
    """A task as a caller gives it, to its decision: facts built, every combination seen before."""
    tasks = [
        {
            name: value
            for name, value, usual in zip(INDEX, given, DEFAULTS, strict=True)
            if value != usual or name in ("task.type", "mode")
        }
        for given in facts(DISTINCT, seed=1)
    ]
    ratios = {}
    for size in SIZES:
        built = policy(size)
        decide, names, by_look_up = built.evaluator.decide, built.names, looked_up(built, tasks)
        engine: list[float] = []
        hand: list[float] = []

        def from_task(task: Mapping[str, Any], decide: Any = decide, names: Names = names) -> Decision:
            decision: Decision = decide(facts_from(task, names))
            return decision

        assert [from_task(task) for task in tasks] == [by_look_up(task) for task in tasks]
        gc.collect()
        for _ in range(5 * ROUNDS):
            hand.append(each(by_look_up, tasks))
            engine.append(each(from_task, tasks))
        ratios[size] = min(engine) / min(hand)
        say(
            f"{size:,} rules: a warm decision from facts / a look-up per fact by hand "
            f"({min(engine) * 1e6:.2f} / {min(hand) * 1e6:.2f} us)",
            ratios[size],
            "<= 3",
        )


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
    say(
        f"plan / constructing its TaskProfile ({median(profiles) * 1e6:.2f} us)",
        median(plans) / median(profiles),
        "<= 15",
    )


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
    say(
        "import engine, in milliseconds over a bare interpreter",
        (median(with_engine) - median(bare)) * 1e3,
        "<= 100",
    )
    say(
        f"engine explain / importing its libraries ({median(base) * 1e3:.0f} ms)",
        median(explain) / median(base),
        "<= 1.6",
    )


def process(*arguments: str) -> float:
    began = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


# --- Batches ------------------------------------------------------------------------------------------


def batching() -> None:
    """`engine explain --batch` as a whole process, start included."""
    count = 20_000
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "facts.jsonl"
        types = ("planning", "qa", "summarization", "agent")
        lines = (
            json.dumps(
                {"type": types[n % 4], "context_size": n * 7 % 200_000, "criticality": ("low", "high")[n % 2]}
            )
            for n in range(count)
        )
        path.write_text("\n".join(lines), encoding="utf-8")
        guide = Path(__file__).parents[1] / "conformance" / "guide"
        for name, config in (("default", "policies/default"), ("guide", str(guide))):
            seconds = process("-m", "engine", "explain", "--batch", str(path), "--config", config)
            say(f"{name} folder: explanations a second in a batch of {count:,}", count / seconds, ">= 5,000")


if __name__ == "__main__":
    main()
