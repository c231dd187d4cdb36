"""The form of a lint rule: what it says and why, examples that are its tests and its page, and how it looks
for findings.

One rule is one small file in `lint_rules/`. A rule without `check` gives a page and a fix to a finding that
reading the policy reports itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.analysis.lint_context import LintContext
from engine.language.diagnostics import Diagnostic, Level, Note, Replacement
from engine.language.source import Span

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

MODELS = """\
providers:
  ollama:
    type: local
    base_url: http://localhost:11434
    models:
      - {id: small, capabilities: [qa], max_context: 8000, quality_tier: low, latency_tier: low, tools: no}
      - {id: big, capabilities: [qa, code], max_context: 32000, quality_tier: high, latency_tier: high,
         tools: yes, cost_profile: {type: local_gpu, relative_cost: 2}}
  openai:
    type: cloud
    models:
      - id: gpt
        capabilities: [qa, code]
        max_context: 128000
        quality_tier: very_high
        latency_tier: medium
        tools: yes
        cost_profile: {type: paid, input_per_1m: 2, output_per_1m: 10}
"""
POLICIES = """\
routing:
  default_mode: balanced
  modes:
    balanced: {allow_cloud: true, cloud_usage_strategy: balanced}
    local-only: {allow_cloud: false}
  weights:
    balanced: {cost: 0.4, quality: 0.4, latency: 0.2}
task_types: [qa, code, chat]
labels: [pii, secret]
budgets: {daily: {total_usd: 1000}, time_zone: UTC}
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A policy folder with one `main.route`. `underlined` are the texts a rule must point at, in file and
    line order."""

    text: str
    underlined: tuple[str, ...] = ()
    models: str = MODELS
    policies: str = POLICIES


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule applies. `level` only where it differs from the rule's own."""

    span: Span
    message: str
    help: str | None = None
    notes: tuple[Note, ...] = ()
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class LintRule:
    """`near_miss` is what looks like the bad example and is not. A rule that cannot be suppressed makes a
    policy meaningless."""

    slug: str
    level: Level
    summary: str
    why: str
    bad: Example
    good: Example
    near_miss: Example
    check: Callable[[LintContext], Iterable[Finding]] | None = None
    fix: Callable[[LintContext, Diagnostic], Iterable[Replacement]] | None = None

    def diagnostic(self, finding: Finding) -> Diagnostic:
        level = finding.level or self.level
        return Diagnostic(self.slug, level, finding.message, finding.span, finding.help, finding.notes)
