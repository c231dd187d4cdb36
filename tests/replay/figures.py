"""Published figures, computed again by replay: one line for each, expected value first.

python -m tests.replay.figures [FOLDER]

FOLDER holds the replay data (README.md, expected.json, outcomes/, prices/, traces/). Without it,
ENGINE_TEST_DATA and `shared/data` beside the checkout are tried. Every figure is read from `engine replay
--format json`. Figures that no replay can compute are left out: pass^k of tau-bench (whole dialogues), the
ServeGen windows (sums, not requests), and other people's trained routers.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from engine.cli import main as engine
from engine.replay.outcomes import apgr_of, cpt_of, pgr_of

SETTINGS = """
routing:
  default_mode: open
  modes:
    open: {allow_cloud: true, cloud_usage_strategy: balanced}
  weights:
    open: {cost: 1, quality: 0, latency: 0}
"""


class Figure(NamedTuple):
    """One figure: its key in expected.json, the expected value, and the replay's value."""

    name: str
    expected: Any
    measured: Any

    @property
    def same(self) -> bool:
        return bool(self.expected == self.measured)


def data_folder() -> Path | None:
    """The folder with the replay data, or None."""
    places = [
        os.environ.get("ENGINE_TEST_DATA"),
        *(parent / "shared" / "data" for parent in Path(__file__).parents),
    ]
    return next((Path(p) for p in places if p and (Path(p) / "expected.json").is_file()), None)


class Bench:
    """Policy folders made for the figures, and `engine replay` run under them."""

    def __init__(self, data: Path, work: Path) -> None:
        self.data, self._work = data, work
        self.prices = {
            model["id"]: model for model in json.loads((data / "prices/models.json").read_text())["models"]
        }
        self.expected = json.loads((data / "expected.json").read_text())
        self._count = 0

    def folder(self, models: list[str], routes: str, budget: str = "") -> Path:
        """A policy folder: models as `yaml_of` writes them, all routes, a daily budget."""
        self._count += 1
        folder = self._work / f"policy-{self._count}"
        folder.mkdir()
        text = "providers:\n"
        for number, model in enumerate(models):
            locality, yaml = model.split(" ", 1)
            keys = (
                "" if locality == "local" else "    api_key_env: NO_KEY\n    base_url: https://example.com\n"
            )
            text += f"  p{number}:\n    type: {locality}\n    api: openai\n{keys}"
            text += "    base_url: http://localhost:1\n" if locality == "local" else ""
            text += f"    models:\n      - {yaml}\n"
        (folder / "models.yaml").write_text(text, encoding="utf-8")
        limits = f"budgets:\n  daily:\n    total_usd: {budget}\n" if budget else ""
        (folder / "policies.yaml").write_text(SETTINGS + limits, encoding="utf-8")
        (folder / "main.route").write_text(routes, encoding="utf-8")
        return folder

    def replay(self, log: str, folder: Path, *words: str) -> dict[str, Any]:
        """The report of one replay."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = engine(
                ["replay", str(self.data / log), "--config", str(folder), "--format", "json", *words]
            )
        assert code == 0, code
        report: dict[str, Any] = json.loads(out.getvalue())
        return report

    def cloud(self, id: str, *, tier: bool = False, window: int = 10_000_000, name: str | None = None) -> str:
        """A cloud model at the price table's price, or at that of its long-context tier."""
        prices = self.prices[id]
        long = prices["long_context_tier"] if tier else prices
        cached = prices["cache_read_usd_per_mtok"]
        extra = f", cached_input_per_1m: {cached}" if cached is not None else ""
        return (
            f"cloud {{id: {name or id}, max_context: {window}, quality_tier: high, latency_tier: low, tools: "
            "yes, cost_profile: "
            f"{{type: paid, currency: USD, input_per_1m: {long['input_usd_per_mtok']}, "
            f"output_per_1m: {long['output_usd_per_mtok']}{extra}}}}}"
        )

    def rows(self, log: str) -> list[dict[str, str]]:
        with (self.data / log).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


def local(id: str, window: int = 10_000_000) -> str:
    return (
        f"local {{id: {id}, max_context: {window}, quality_tier: low, latency_tier: low, "
        "cost_profile: {type: local_cpu, relative_cost: 1}}"
    )


def figures(data: Path) -> Iterator[Figure]:
    """Every figure, in the order of expected.json."""
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(data, Path(work))
        yield from mmlu(bench)
        yield from gsm8k(bench)
        yield from mtbench(bench)
        yield from open_models(bench)
        yield from router_arena(bench)
        yield from tau_bench(bench)
        for trace in ("azure_2023_code", "azure_2023_conv", "mooncake_conversation"):
            yield from requests(bench, trace)


STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b"


def _pair(bench: Bench, routes: str) -> Path:
    return bench.folder([local(WEAK), bench.cloud(STRONG)], routes)


def _scores(report: dict[str, Any]) -> dict[str, Any]:
    outcomes: dict[str, Any] = report["policies"][0]["outcomes"]
    return outcomes


def _point(report: dict[str, Any]) -> dict[str, Any]:
    """The figures of one policy row of expected.json."""
    outcomes, policy = _scores(report), report["policies"][0]
    strong = next(model for model in policy["models"] if model["model"] == STRONG)
    return {
        "strong_share": outcomes["strong_share"],
        "strong_est_token_share": round(strong["input_tokens"] / report["log"]["input_tokens"], 6),
        "accuracy": outcomes["score"]["value"],
        "score": outcomes["score"]["value"],
        "pgr": outcomes["pgr"]["value"],
        "pct_of_strong": outcomes["percent_of_strong"],
    }


def _compare(name: str, expected: dict[str, Any], measured: dict[str, Any]) -> Iterator[Figure]:
    for key, value in expected.items():
        if key in measured:
            yield Figure(f"{name}.{key}", value, measured[key])


def mmlu(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["routellm_mmlu_shared"]
    log, name = "outcomes/routellm_mmlu.csv", "routellm_mmlu_shared"
    mapping = [
        "--map",
        "type=subject",
        "context_size=est_tokens",
        f"score.{WEAK}=weak_correct",
        f"score.{STRONG}=strong_correct",
    ]
    gains: dict[str, list[float]] = defaultdict(list)
    for row in bench.rows(log):
        gains[row["subject"]].append(float(row["strong_correct"]) - float(row["weak_correct"]))
    gain = {subject: mean(values) for subject, values in gains.items()}
    report = bench.replay(log, _pair(bench, f'route all: use "{STRONG}"'), *mapping)
    yield from _whole(name, expected, report)
    for row in expected["policy_strong_iff_subject_gain_gt"]:
        subjects = sorted(subject for subject in gain if gain[subject] > row["threshold"])
        routes = (
            f'route hard: use "{STRONG}" when task.type in [{", ".join(subjects)}]\nroute rest: use "{WEAK}"'
        )
        measured = _point(bench.replay(log, _pair(bench, routes), *mapping))
        yield from _compare(f"{name}.strong_iff_subject_gain_gt_{row['threshold']}", row, measured)
    points = list(_static_points(bench, log, mapping, gain))
    static = expected["in_sample_static_subject"]
    yield Figure(f"{name}.in_sample_static_subject.apgr", static["apgr"], round(apgr_of(points), 4))
    for level in (50, 80, 95):
        reached = cpt_of(points, level / 100)
        yield Figure(
            f"{name}.in_sample_static_subject.cpt{level}",
            static[f"cpt{level}"],
            None if reached is None else round(reached, 4),
        )


def _static_points(
    bench: Bench, log: str, mapping: list[str], gain: dict[str, float]
) -> Iterator[tuple[float, float]]:
    """One replay for each number of subjects sent to the strong model, largest gain first."""
    ordered = sorted(gain, key=lambda subject: (-gain[subject], subject))
    for count in range(1, len(ordered)):
        routes = (
            f'route hard: use "{STRONG}" when task.type in [{", ".join(ordered[:count])}]\nroute rest: use '
            f'"{WEAK}"'
        )
        outcomes = _scores(bench.replay(log, _pair(bench, routes), *mapping))
        yield outcomes["strong_share"], outcomes["pgr"]["value"]


def _whole(name: str, expected: dict[str, Any], report: dict[str, Any]) -> Iterator[Figure]:
    outcomes = _scores(report)
    weak, strong = outcomes["means"][WEAK], outcomes["means"][STRONG]
    rows = expected.get("n", expected.get("rows"))
    yield Figure(f"{name}.n", rows, outcomes["rows"])
    yield Figure(f"{name}.all_weak", expected["all_weak"], weak)
    yield Figure(f"{name}.all_strong", expected["all_strong"], strong)
    if "oracle" in expected:
        yield Figure(f"{name}.oracle", expected["oracle"], outcomes["oracle"])
    if "pgr_at_95pct_of_strong" in expected:
        exact = _exact_means(report)
        yield Figure(
            f"{name}.pgr_at_95pct_of_strong",
            expected["pgr_at_95pct_of_strong"],
            round(pgr_of(0.95 * exact[STRONG], exact[WEAK], exact[STRONG]), 6),
        )


def _exact_means(report: dict[str, Any]) -> dict[str, float]:
    """Means of right and wrong answers are whole numbers over the rows."""
    outcomes = _scores(report)
    return {
        model: round(value * outcomes["rows"]) / outcomes["rows"]
        for model, value in outcomes["means"].items()
    }


def gsm8k(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["routellm_gsm8k_shared"]
    log, name = "outcomes/routellm_gsm8k.csv", "routellm_gsm8k_shared"
    mapping = [
        "--map",
        "context_size=prompt_chars",
        f"score.{WEAK}=weak_correct",
        f"score.{STRONG}=strong_correct",
    ]
    mapping += ["--set", "type=math"]
    yield from _whole(name, expected, bench.replay(log, _pair(bench, f'route all: use "{STRONG}"'), *mapping))
    for row in expected["strong_iff_prompt_chars_gt"]:
        routes = (
            f'route long: use "{STRONG}" when task.context_size > {row["chars_gt"]}\nroute rest: use "{WEAK}"'
        )
        measured = _point(bench.replay(log, _pair(bench, routes), *mapping))
        yield from _compare(f"{name}.strong_iff_prompt_chars_gt_{row['chars_gt']}", row, measured)


def mtbench(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["routellm_mtbench_shared"]
    log, name = "outcomes/routellm_mtbench.csv", "routellm_mtbench_shared"
    mapping = ["--map", "type=category", f"score.{WEAK}=weak_score", f"score.{STRONG}=strong_score"]
    mapping += ["--set", "context_size=1"]
    routes = (
        f'route hard: use "{STRONG}" when task.type in [math, coding, reasoning]\nroute rest: use "{WEAK}"'
    )
    report = bench.replay(log, _pair(bench, routes), *mapping)
    yield from _whole(name, expected, report)
    rule = expected["hand_rule_math_coding_reasoning"]
    outcomes = _scores(report)
    measured = {
        "strong_share": outcomes["strong_share"],
        "score": outcomes["score"]["value"],
        "pgr": outcomes["pgr"]["value"],
        "pct_of_strong": outcomes["percent_of_strong"],
    }
    yield from _compare(f"{name}.hand_rule", rule, measured)


NOT_LOCAL = (
    "llama3-chatqa-1.5-8b",
    "llama3-chatqa-1.5-70b",
    "llama-3.1-nemotron-51b-instruct",
    "llama-3.3-nemotron-super-49b-v1",
)


def open_models(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["llmrouter_open9_shared"]
    log, name = "outcomes/llmrouter_open9.csv", "llmrouter_open9_shared"
    models = list(expected["in_sample"]["mean"])
    for which, known in (("any", models), ("local", [model for model in models if model not in NOT_LOCAL])):
        folder = bench.folder(
            [local(model) for model in known], _per_task(expected[f"per_task_best_{which}"])
        )
        mapping = ["--map", "type=task", "context_size=est_tokens"]
        outcomes = _scores(bench.replay(log, folder, *mapping))
        if which == "any":
            yield Figure(f"{name}.n", expected["in_sample"]["n"], outcomes["rows"])
            yield from _compare(f"{name}.mean", expected["in_sample"]["mean"], outcomes["means"])
        yield Figure(
            f"{name}.per_task_best_{which}",
            expected["in_sample"][f"per_task_best_{which}"],
            outcomes["score"]["value"],
        )
        yield Figure(f"{name}.oracle_{which}", expected["in_sample"][f"oracle_{which}"], outcomes["oracle"])


def _per_task(best: dict[str, str]) -> str:
    return "\n".join(
        f'route r-{place}: use "{model}" when task.type is {task}'
        for place, (task, model) in enumerate(best.items())
    )


def router_arena(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["routerarena_shared"]
    log, name = "outcomes/routerarena_two_models.csv", "routerarena_shared"
    ids = {"haiku3": "claude-3-haiku", "gemini2flash": "gemini-2.0-flash"}
    prices = {"haiku3": (0.25, 1.25), "gemini2flash": (0.1, 0.4)}
    models = [
        f"cloud {{id: {ids[short]}, max_context: 1000000, quality_tier: high, latency_tier: low, "
        "cost_profile: "
        f"{{type: paid, currency: USD, input_per_1m: {into}, output_per_1m: {out}}}}}"
        for short, (into, out) in prices.items()
    ]
    mapping = ["--map", "type=dataset"]
    for short, id in ids.items():
        mapping += [
            f"score.{id}={short}_score",
            f"tokens.input.{id}={short}_in_tokens",
            f"tokens.output.{id}={short}_out_tokens",
        ]
    for short, id in ids.items():
        report = bench.replay(
            log, bench.folder(models, f'route all: use "{id}"'), *mapping, "--set", "context_size=1"
        )
        usd = report["policies"][0]["usd"]
        yield Figure(f"{name}.{short}.score", expected[short]["score"], _scores(report)["score"]["value"])
        yield Figure(f"{name}.{short}.cost_usd", expected[short]["cost_usd"], float(Decimal(usd)))
        if short == "haiku3":
            yield Figure(f"{name}.n", expected["n"], report["log"]["rows"])
            yield Figure(f"{name}.oracle", expected["oracle"], _scores(report)["oracle"])
        yield Figure(
            f"{name}.{short}: rows whose own cost is as recorded",
            expected["n"],
            _rows_as_recorded(bench, log, short, id, models),
        )


def _rows_as_recorded(bench: Bench, log: str, short: str, id: str, models: list[str]) -> int:
    """Each row alone is a bin of the course over time: its money is the row's."""
    from engine.policy import load_or_raise
    from engine.replay.charges import Charges, Tokens
    from engine.replay.columns import columns_of
    from engine.replay.encoding import Chunk
    from engine.replay.logs import open_log

    policy = load_or_raise(bench.folder(models, f'route all: use "{id}"'))
    opened = open_log(bench.data / log)
    keys = [model.key for model in policy.catalogue.models]
    columns = columns_of(
        opened.names,
        opened.numeric,
        [f"tokens.input.{id}={short}_in_tokens", f"tokens.output.{id}={short}_out_tokens"],
        keys,
    )
    (frame,) = opened.chunks(list(opened.names))
    from datetime import UTC, datetime

    import numpy as np

    chunk = Chunk(
        0,
        frame.height,
        frame,
        columns,
        datetime(2024, 1, 1, tzinfo=UTC),
        policy.assumed.facts,
        {},
        policy.names,
    )
    chosen = np.full(frame.height, keys.index(id), np.int64)
    exact = Charges(policy.catalogue.models).exact(
        chosen, Tokens(chunk, policy.catalogue.models), slice(0, frame.height)
    )
    recorded = [Decimal(row[f"{short}_cost_usd"]) for row in bench.rows(log)]
    return sum(
        Decimal(cost).scaleb(-12) == booked for cost, booked in zip(exact.tolist(), recorded, strict=True)
    )


def tau_bench(bench: Bench) -> Iterator[Figure]:
    expected = bench.expected["taubench_shared"]
    routes = f'route tools: use "{STRONG}" when task.tool_use_required\nroute rest: use "{WEAK}"'
    report = bench.replay(
        "outcomes/taubench_gpt4o_airline_calls.csv",
        _pair(bench, routes),
        *(
            "--map",
            "tool_use_required=is_tool_call",
            "context_size=context_tokens_est",
            "--set",
            "type=agent",
        ),
    )
    yield Figure("taubench_shared.calls", expected["calls"], report["log"]["rows"])
    share = (
        next(m["calls"] for m in report["policies"][0]["models"] if m["model"] == STRONG)
        / report["log"]["rows"]
    )
    yield Figure("taubench_shared.tool_call_share", expected["tool_call_share"], round(share, 6))


def requests(bench: Bench, trace: str) -> Iterator[Figure]:
    name, log = f"trace_{trace}_shared", f"traces/{trace}.csv"
    expected = bench.expected[name]
    mapping = [
        "--map",
        "tokens.input=context_tokens",
        "tokens.output=generated_tokens",
        "time=t_s",
        "--set",
        "type=chat",
    ]
    for id in (key for key in expected if isinstance(expected[key], dict) and key in bench.prices):
        wanted = expected[id]
        tier = bench.prices[id]["long_context_tier"]
        report = bench.replay(log, bench.folder([bench.cloud(id)], "route all: use cloud"), *mapping)
        if id == "gpt-4-1106-preview":
            yield Figure(f"{name}.rows", expected["rows"], report["log"]["rows"])
            yield Figure(f"{name}.context_tokens", expected["context_tokens"], report["log"]["input_tokens"])
            yield Figure(
                f"{name}.generated_tokens", expected["generated_tokens"], report["log"]["output_tokens"]
            )
            for window, rows in expected["fits"].items():
                folder = bench.folder(
                    [local("here", int(window)), bench.cloud(id)], "route all: use local, then cloud"
                )
                calls = bench.replay(log, folder, *mapping)["policies"][0]["models"][0]["calls"]
                yield Figure(f"{name}.fits.{window}", rows, calls)
        plain = _six(report["policies"][0]["usd"])
        if "all_cloud_usd_ignoring_long_context_tier" in wanted:
            yield Figure(
                f"{name}.{id}.all_cloud_usd_ignoring_long_context_tier",
                wanted["all_cloud_usd_ignoring_long_context_tier"],
                plain,
            )
        cloud, only = [bench.cloud(id)], mapping
        if tier is not None:
            # Prices that depend on the prompt's length are two models, split at the prompt's length
            # (models.yaml has no tiers yet).
            cloud = [
                bench.cloud(id, window=tier["above_input_tokens"]),
                bench.cloud(id, tier=True, name=f"{id}-long"),
            ]
            only = [*mapping[:1], "context_size=context_tokens", *mapping[1:]]
        tiered = bench.folder(cloud, "route all: use cloud")
        yield Figure(
            f"{name}.{id}.all_cloud_usd",
            wanted["all_cloud_usd"],
            _six(bench.replay(log, tiered, *only)["policies"][0]["usd"]),
        )
        if "all_cloud_usd_with_prefix_cache_reads" in wanted:
            cached = [*mapping[:1], "tokens.cached=prefix_cached_tokens", *mapping[1:]]
            result = bench.replay(log, bench.folder([bench.cloud(id)], "route all: use cloud"), *cached)
            yield Figure(
                f"{name}.{id}.all_cloud_usd_with_prefix_cache_reads",
                wanted["all_cloud_usd_with_prefix_cache_reads"],
                _six(result["policies"][0]["usd"]),
            )
        if tier is None:
            for window in (4096, 8192, 32768):
                folder = bench.folder([local("here", window), *cloud], "route all: use local, then cloud")
                result = bench.replay(log, folder, *mapping)
                yield Figure(
                    f"{name}.{id}.cloud_usd_if_local_fits_{window}",
                    wanted[f"cloud_usd_if_local_fits_{window}"],
                    _six(result["policies"][0]["usd"]),
                )
        spent = bench.replay(
            log,
            bench.folder([local("here"), *cloud], "route all: use cloud, then local", "10.00"),
            *only,
            "--charges",
            "exact",
        )
        gone = next(iter(spent["policies"][0]["exhausted"]), None)
        measured = {"first_request_over": None, "at_t_s": None}
        if gone is not None:
            measured = {"first_request_over": gone["row"], "at_t_s": _seconds(gone["at"])}
        yield Figure(f"{name}.{id}.budget_10_usd", wanted["budget_10_usd"], measured)


def _seconds(at: str) -> float:
    hours, minutes, seconds = at.split("T")[1].rstrip("Z").split(":")
    return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 6)


def _six(text: str) -> float:
    return round(float(text), 6)


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data_folder()
    if folder is None:
        print("there is no replay data here: name its folder, or set ENGINE_TEST_DATA")
        return 2
    wrong = 0
    total = 0
    for figure in figures(folder):
        total += 1
        wrong += not figure.same
        print(
            f"{'ok' if figure.same else 'OFF':<4}{figure.name:<90} {figure.expected!s:>24}  {figure.measured}"
        )
    print(f"{total - wrong} of {total} figures reproduced to the digit")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
