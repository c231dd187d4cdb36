"""Two YAML texts -> everything the config wing makes of them, for tests."""

from dataclasses import dataclass
from pathlib import Path

from engine.config.catalogue import Catalogue, Model, load_catalogue
from engine.config.folder import folder_in_memory
from engine.config.lowering import lower
from engine.config.settings import Settings, load_settings
from engine.config.yaml_source import read_yaml
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.syntax_tree import Rule

GUIDE = Path(__file__).parent / "guide"

ONE_MODEL = """\
providers:
  ollama:
    type: local
    models:
      - {id: small, max_context: 8192, quality_tier: low, latency_tier: low, capabilities: [qa]}
"""


@dataclass(frozen=True)
class Loaded:
    catalogue: Catalogue | None
    settings: Settings | None
    rules: tuple[Rule, ...]
    found: list[Diagnostic]

    @property
    def slugs(self) -> list[str]:
        return [problem.slug for problem in self.found]

    @property
    def model(self) -> Model:
        """The only model there is."""
        assert self.catalogue is not None
        (model,) = self.catalogue.models
        return model


def load(models: str | bytes = ONE_MODEL, policies: str | bytes | None = None) -> Loaded:
    problems = Problems()
    folder = folder_in_memory(models, policies, problems=problems)
    document = folder and read_yaml(folder.models, problems)
    if folder is None or document is None:
        return Loaded(None, None, (), list(problems))
    catalogue = load_catalogue(document, problems)
    written = folder.policies and read_yaml(folder.policies, problems)
    if folder.policies is not None and written is None:
        return Loaded(catalogue, None, (), list(problems))
    settings = load_settings(written or None, catalogue, problems)
    return Loaded(catalogue, settings, lower(settings), list(problems))


def load_guide() -> Loaded:
    return load((GUIDE / "models.yaml").read_bytes(), (GUIDE / "policies.yaml").read_bytes())


def one_model(lines: str, provider: str = "ollama", provider_lines: str = "type: local") -> str:
    """A models.yaml of one provider with one model `m`, whose further keys are given as flow text."""
    return (
        f"providers:\n  {provider}:\n    {provider_lines}\n    models:\n"
        f"      - {{id: m, max_context: 8192, quality_tier: low, latency_tier: "
        f"low{lines and ', ' + lines}}}\n"
    )
