"""The models and keys of this machine -> the files of a first policy folder, cut from the bundled default
set.

The default set is the one place that holds prices, windows and comments. Parts that do not apply here are
left out, and models that only this machine has are added. Pure: reads nothing but the bundled files.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.bundled import bundled_text
from engine.commands.ollama_tags import Pulled
from engine.commands.starter_tests import starter_tests
from engine.language.diagnostics import Problems
from engine.language.file_layout import format_source
from engine.language.source import Source


@dataclass(frozen=True, slots=True)
class Found:
    """`pulled` are the models Ollama has, None when it does not answer; `clouds` the providers whose key is
    set."""

    pulled: tuple[Pulled, ...] | None
    clouds: tuple[str, ...]


def starter_files(found: Found) -> dict[str, str]:
    """The text of each file of the folder, by name."""
    models = _models(found)
    policies, rules = _policies(found, models), _rules(found)
    if "\ntest " not in rules:
        rules = f"{rules.rstrip()}\n\n\n{starter_tests(models, policies, rules)}"
    source = Source("main.route", rules)
    rules = format_source(source, Problems()) or rules
    return {"models.yaml": models, "policies.yaml": policies, "main.route": rules}


# --- models.yaml ----------------------------------------------------------------------------------------


def default_clouds() -> tuple[str, ...]:
    """The cloud providers of the default set."""
    _, body = bundled_text("policies", "default", "models.yaml").split("providers:\n", 1)
    return tuple(provider for _, provider, block in _providers(body) if "    type: cloud\n" in block)


def _models(found: Found) -> str:
    head, body = _without_schema(bundled_text("policies", "default", "models.yaml")).split("providers:\n", 1)
    text = f"{head}providers:\n"
    for heading, provider, block in _providers(body):
        if provider == "ollama":
            text += heading + (_with_pulled(block, found.pulled) if found.pulled else block)
        elif provider in found.clouds:
            # The heading of the clouds stands over the first one of them, whichever that is.
            text += (_cloud_heading(body) if "In the cloud" not in text else "") + block
    return text.rstrip() + "\n"


def _providers(body: str) -> Iterator[tuple[str, str, str]]:
    """Heading, name and text of each provider."""
    for found in re.finditer(
        r"(?ms)^((?:  # ---[^\n]*\n)?)(  ([a-z]+):\n.*?)(?=^  (?:# ---|[a-z]+:\n)|\Z)", body
    ):
        yield found[1], found[3], found[2]


def _cloud_heading(body: str) -> str:
    found = re.search(r"(?m)^  # --- In the cloud[^\n]*\n", body)
    return found[0] if found else ""


def _with_pulled(block: str, pulled: Iterable[Pulled]) -> str:
    head, listed = block.split("    models:\n", 1)
    comment = "".join(re.findall(r"(?m)^      #[^\n]*\n", listed.split("      - id:", 1)[0]))
    known = {
        found[1].strip().strip('"'): found[0].rstrip() + "\n"
        for found in re.finditer(r"(?ms)^      - id: ([^\n]+)\n.*?(?=^      - id:|\Z)", listed)
    }
    entries = [known.get(model.name) or _entry(model) for model in pulled]
    return f"{head}    models:\n{comment}" + "\n".join(entries) + "\n"


def _entry(model: Pulled) -> str:
    """A model the default set does not know: its tiers are guessed from its size, and say so."""
    size = 8 if model.billions is None else model.billions
    quality, latency, effort, capabilities = (
        ("low", "low", "0.5", ["routing", "classification", "extraction"])
        if size < 5
        else ("medium", "medium", "1.0", ["general_qa", "summarization", "extraction"])
        if size < 20
        else ("high", "high", "2.5", ["planning", "coding", "complex_qa", "summarization"])
    )
    if "cod" in model.name and "coding" not in capabilities:
        capabilities.append("coding")
    return f"""\
      - id: {json.dumps(model.name)}
        display_name: {json.dumps(model.name)}
        # Found in Ollama. What follows is guessed from its size: change it to what you see.
        capabilities: [{", ".join(capabilities)}]
        max_context: 8192
        quality_tier: {quality}
        latency_tier: {latency}
        cost_profile:
          type: local_gpu
          relative_cost: {effort}
"""


# --- policies.yaml --------------------------------------------------------------------------------------


def _policies(found: Found, models: str) -> str:
    text = _without_schema(bundled_text("policies", "default", "policies.yaml"))
    left_out = set(default_clouds()) - set(found.clouds)
    for provider in left_out:
        text = re.sub(rf"(?m)^      {provider}: .*\n", "", text)
    has_cloud = len(left_out) < len(default_clouds())
    if not has_cloud:
        text = re.sub(r"(?m)^    per_provider:\n", "", text)
    offered = set(re.findall(r"[\w-]+", " ".join(re.findall(r"(?m)^        capabilities: \[(.*)\]", models))))
    head, start, rest = text.partition("task_overrides:")
    first, blank, tail = rest.partition("\n\n")
    return (
        head
        + start
        + re.sub(
            r"(?m)^  [a-z_]+:\n(?:    .*\n?)+",
            lambda one: _override(one[0], offered, has_cloud),
            first,
        )
        + blank
        + tail
    )


def _override(block: str, offered: set[str], is_choice: bool) -> str:
    """One task's preferences, less the capabilities that no model here has, and a provider when there is no
    other."""
    lines = []
    for line in block.splitlines():
        if not is_choice and line.startswith("    preferred_providers:"):
            continue
        if found := re.fullmatch(r"    preferred_capabilities: \[(.*)\]", line):
            kept = [name for name in found[1].split(", ") if name in offered]
            if not kept:
                continue
            line = f"    preferred_capabilities: [{', '.join(kept)}]"
        lines.append(line)
    return "\n".join(lines) + ("\n" if block.endswith("\n") else "") if len(lines) > 1 else ""


# --- main.route -----------------------------------------------------------------------------------------


def _rules(found: Found) -> str:
    text = bundled_text("policies", "default", "main.route")
    clouds = [provider for provider in default_clouds() if provider in found.clouds]
    if not found.pulled and len(clouds) == len(default_clouds()):
        return text  # the default set, whole: its own tests speak of just these models
    head, _, tests = text.partition("# --- Tests:")
    _, heading, proofs = tests.partition("# --- Proofs:")
    text = head + heading + re.sub(r"(?m)^prove somebody-answers:.*\n", "", proofs)
    if found.pulled:
        # Which of these rules do anything depends on the models; the default set shows them to whoever wants
        # more.
        text = re.sub(r"(?ms)^# --- Order within a tier.*?(?=^# --- Proofs)", "", text)
        text = _without(text, "agents-call-tools", "small-jobs")
        text = re.sub(r"(?m)^prove agents-can-call-tools:.*\n", "", text)
    if not clouds:
        text = re.sub(r"(?m)^let frontier .*\n", "", text)
        text = _without(text, "critical-work", "dear-calls").replace(", then cloud\n", "\n")
        if found.pulled:
            text = re.sub(r"(?ms)^# --- Routes: who comes first.*?(?=^# --- )", "", text)
        for guard in ("private-stays-home", "save-the-last-fifth"):
            text = text.replace(f"forbid {guard}:", f"{_NO_CLOUD_YET}\nforbid {guard}:")
    return text


_NO_CLOUD_YET = (
    "# lint: allow selects-nothing because no cloud model is listed yet, and this guard is for the day one is"
)


def _without(text: str, *rules: str) -> str:
    """Without these rules and the blank line behind each."""
    for rule in rules:
        text = re.sub(rf"(?m)^[a-z]+ {rule}:.*\n(?:    .*\n)*\n?", "", text)
    return text


def _without_schema(text: str) -> str:
    """Without the first lines, which point an editor to a schema that is not beside the new folder."""
    return re.sub(r"\A# yaml-language-server:.*\n#?\n?", "", text)
