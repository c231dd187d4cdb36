"""Policies with budgets and logs of tasks for them, seeded."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Problems
from engine.policy import Policy, build

MODELS = """
providers:
  ollama:
    type: local
    base_url: http://localhost:11434
    models:
      - {id: small, max_context: 8192, quality_tier: low, latency_tier: low,
          cost_profile: {type: local_cpu, relative_cost: 1}}
      - {id: big, max_context: 32768, quality_tier: medium, latency_tier: high, tools: yes,
          cost_profile: {type: local_gpu, relative_cost: 3}}
  anthropic:
    type: cloud
    api_key_env: ANTHROPIC_API_KEY
    models:
      - {id: sonnet, max_context: 200000, quality_tier: very_high, latency_tier: medium, tools: yes,
          capabilities: [planning],
          cost_profile: {type: paid, currency: USD, input_per_1m: 3.0, output_per_1m: 15.0}}
      - {id: haiku, max_context: 200000, quality_tier: high, latency_tier: low, tools: yes,
          cost_profile: {type: paid, currency: USD, input_per_1m: 0.33, output_per_1m: 1.7,
              cached_input_per_1m: 0.03}}
  openai:
    type: cloud
    api_key_env: OPENAI_API_KEY
    models:
      - {id: luna, max_context: 128000, quality_tier: high, latency_tier: low, tools: no,
          cost_profile: {type: paid, currency: USD, input_per_1m: 0.5, output_per_1m: 1.5}}
"""

SETTINGS = """
routing:
  default_mode: balanced
budgets:
  daily:
    total_usd: 1.50
    per_provider: {{anthropic: 0.90, openai: 0}}
  monthly:
    total_usd: 4.00
    per_provider: {{anthropic: 2.20}}
  time_zone: {zone}
"""

ROUTES = """
let heavy = task.type in [planning, coding] or task.context_size > 12k

forbid home: cloud when task.labels has any [pii, secret]
forbid careful: cloud when budget.daily.used > 62.5% and task.criticality is low
forbid month: model.price > $2 when budget.monthly.used >= 33.3%
avoid dear: cloud by 7 when budget.daily.used >= 10% and clock.hour in 9..17
prefer friday: local by 30 when clock.weekday is fri
weigh best: cost 0.1, quality 0.8, latency 0.1 when task.criticality >= high
route critical: use cloud, then local when heavy and task.criticality >= high
route tools: use model.tools is yes when task.tool_use_required
route gradual: use haiku, then any when task.bucket < 30
route open: use any when task.labels has open
"""


def policy(zone: str = "UTC", routes: str = ROUTES, settings: str = SETTINGS, models: str = MODELS) -> Policy:
    problems = Problems()
    files = folder_in_memory(models, settings.format(zone=zone), {"main.route": routes}, problems=problems)
    assert files is not None, list(problems)
    built = build(files, problems)
    assert built is not None, [f"{problem.message} {problem.span}" for problem in problems]
    return built


def write_folder(folder: Path, routes: str = ROUTES, settings: str = SETTINGS, models: str = MODELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.yaml").write_text(models, encoding="utf-8")
    (folder / "policies.yaml").write_text(settings.format(zone="UTC"), encoding="utf-8")
    (folder / "main.route").write_text(routes, encoding="utf-8")
    return folder


def rows(count: int, seed: int, *, step_s: int = 400) -> list[dict[str, Any]]:
    """As `plain_loop` reads them; time mostly goes on, sometimes back."""
    rng = Random(seed)
    now = 1_710_000_000  # two hours before clocks change in New York
    made = []
    for _ in range(count):
        now += rng.randrange(-step_s // 4, step_s)
        made.append(
            {
                "time": now,
                "input": rng.randrange(0, 20_000),
                "output": rng.randrange(0, 3_000),
                "task_type": rng.choice(["qa", "planning", "coding", "chat"]),
                "criticality": rng.choice(["low", "medium", "high", "critical"]),
                "tool_use_required": rng.random() < 0.3,
                "labels": frozenset(rng.sample(["pii", "secret", "open", "x"], rng.choice([0, 0, 0, 1, 2]))),
                "bucket": rng.randrange(100),
            }
        )
    return made


def as_log(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows as a log writes them."""
    return [
        {
            "time": row["time"],
            "input_tokens": row["input"],
            "output_tokens": row["output"],
            "task_type": row["task_type"],
            "criticality": row["criticality"],
            "tool_use_required": row["tool_use_required"],
            "labels": ",".join(sorted(row["labels"])),
            "bucket": row["bucket"],
        }
        for row in made
    ]
