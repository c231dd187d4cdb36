"""What linting a stranger's large policy takes: processor time and memory of the process, and its exit code.

python -m tests.bench.bench_lint

Each policy is written to a folder and linted with `--strict` in a process of its own. Exit code 4 says that
the work allowed did not suffice for every question, and 1 that there are errors among the findings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
ROUTE = "forbid g: cloud when task.labels has pii\nroute r: use any\n"


def models_yaml(count: int, most_bytes: int = 4 * MIB, capabilities: int = 1) -> str:
    """So many models that differ in window, price and capabilities, or as many as fit."""
    lines = [
        "providers:",
        "  far:",
        "    type: cloud",
        "    base_url: https://far.example",
        "    api: openai",
        "    models:",
    ]
    size = sum(map(len, lines)) + len(lines)
    for number in range(count):
        able = ", ".join(f"skill{(number + each) % (2 * capabilities)}" for each in range(capabilities))
        cost = f"{{type: paid, input_per_1m: {number % 7}, output_per_1m: {number % 5}}}"
        lines.append(
            f"      - {{id: model-{number}, capabilities: [{able}], max_context: {1000 + number}, "
            f"quality_tier: low, latency_tier: low, tools: yes, cost_profile: {cost}}}"
        )
        size += len(lines[-1]) + 1
        if size > most_bytes:
            lines.pop()
            break
    return "\n".join(lines) + "\n"


def policies() -> Iterator[tuple[str, str, str]]:
    """A name, models.yaml and the rules."""
    yield "1 MiB of models", models_yaml(10**6, MIB), ROUTE
    yield "1 MiB of models with 50 capabilities each", models_yaml(10**6, MIB, capabilities=50), ROUTE
    yield "1,500 models", models_yaml(1_500), ROUTE
    types = (f"route r{n}: use any when task.type is type-{n}\n" for n in range(3_000))
    yield "3,000 routes", models_yaml(5), "".join(types)
    prefer = (
        f"prefer p{n}: model.max_context > {1_000 + 20 * n} by 5 when task.type is type-{n}\n"
        for n in range(40)
    )
    yield "40 preferences over 1,000 models", models_yaml(1_000), "".join(prefer)


def main() -> None:
    for name, models, rules in policies():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "models.yaml").write_text(models, encoding="utf-8")
            Path(folder, "a.route").write_text(rules, encoding="utf-8")
            command = [sys.executable, "-m", "engine", "lint", "--strict", folder]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        size = len(models) + len(rules)
        print(
            f"{name + f' ({size / 1024:,.0f} KiB)':<60} {seconds:6.1f} s of CPU (<= 10)  {peak:6.0f} MiB "
            f"(<= 512)  exit code {process.returncode}",
            flush=True,
        )


if __name__ == "__main__":
    main()
