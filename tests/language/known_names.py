"""Two sets of names for tests: the migration guide's, and a hospital's with zones, tags and closed lists."""

from pathlib import Path

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.known_names import KnownModel, ModeMeaning, Names
from engine.language.parser import parse
from engine.language.source import Source

GUIDE_MODES = {
    "local-only": ModeMeaning(allow_cloud=False, cloud_usage="none"),
    "local-preferred": ModeMeaning(allow_cloud=True, cloud_usage="fallback_critical_only"),
    "balanced": ModeMeaning(allow_cloud=True, cloud_usage="balanced"),
    "performance": ModeMeaning(allow_cloud=True, cloud_usage="aggressive"),
}

GUIDE = Names(
    modes=GUIDE_MODES,
    default_mode="local-preferred",
    providers=("ollama", "anthropic"),
    models=(
        KnownModel("llama3-8b-instruct", "llama3-8b-instruct", "ollama"),
        KnownModel("claude-3-5-sonnet", "claude-3-5-sonnet", "anthropic"),
    ),
    capabilities=("general_qa", "planning", "summarization", "multi_agent_orchestration", "complex_qa"),
    limited_providers=("anthropic",),
)

_HOSPITAL_YAML = Source("policies.yaml", "modes: [balanced]\nlabels: [pii, phi]\n")

HOSPITAL = Names(
    modes=GUIDE_MODES,
    default_mode="local-preferred",
    providers=("ollama", "openai", "azure", "mistral"),
    models=(
        KnownModel("llama3.1:8b", "llama3.1:8b", "ollama"),
        KnownModel("mistral", "mistral", "ollama"),
        KnownModel("openai/gpt-4o", "gpt-4o", "openai"),
        KnownModel("azure/gpt-4o", "gpt-4o", "azure"),
        KnownModel("mistral-large", "mistral-large", "mistral"),
    ),
    task_types=("planning", "agent", "qa"),
    labels=("pii", "phi"),
    capabilities=("planning", "general_qa"),
    zones=("eu", "us"),
    tags=("gpu",),
    limited_providers=("openai", "azure"),
    places={
        ("modes", "balanced"): _HOSPITAL_YAML.span(8, 16),
        ("labels", "pii"): _HOSPITAL_YAML.span(27, 30),
        ("labels", "phi"): _HOSPITAL_YAML.span(32, 35),
    },
)

NAMES = {"guide": GUIDE, "hospital": HOSPITAL}


def file(text: str, name: str = "main.route") -> tree.File:
    """The syntax tree of a text that has no error of grammar."""
    problems = Problems()
    parsed = parse(Source(name, text), problems)
    assert list(problems) == []
    return parsed


def base_file() -> tree.File:
    """The engine's own guards."""
    path = Path(__file__).parents[2] / "policies" / "base.route"
    return file(path.read_text(encoding="utf-8"), "base.route")
