"""What an Ollama daemon tells of its models: which name means which, how large its window is, whether it runs
here.

Pure functions over the JSON of `/api/tags`, `/api/ps` and `/api/show`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.providers.usage_reading import count_of
from engine.providers.wire_provider import text_of


def cloud_name(name: str) -> bool:
    """True when the daemon would take the name as a wish for the vendor's cloud, or might in another version.

    >>> [cloud_name(name) for name in ("gpt-oss:120b-cloud", "x:CLOUD", "my-cloud-model", "qwen3:8b")]
    [True, True, False, False]
    """
    tags = [tag.strip().lower() for tag in name.split(":")[1:]]
    return any(tag == "cloud" or tag.endswith("-cloud") for tag in tags)


def canonical_name(name: str) -> str:
    """One spelling for one model: `llama3`, `library/llama3` and `llama3:latest` are the same."""
    plain = name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    plain = plain.removesuffix(":local")
    return plain if ":" in plain.rsplit("/", 1)[-1] else f"{plain}:latest"


def find_model(models: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The entry of a list of the daemon's for the model of this name, in any spelling."""
    wanted = canonical_name(name)
    return next(
        (
            model
            for model in models
            for written in (model.get("name"), model.get("model"))
            if isinstance(written, str) and canonical_name(written) == wanted
        ),
        None,
    )


def remote_host(described: Mapping[str, Any]) -> str | None:
    """The host, or else the model behind it, that a model's description says it is passed on to."""
    for name in ("remote_host", "remote_model"):
        value = described.get(name)
        if value:
            return text_of(value) or name
    return None


def tells_all(listed: Mapping[str, Any]) -> bool:
    """True when a daemon's list tells capabilities and window, so that no model need be asked about."""
    return bool(texts_of(listed.get("capabilities"))) and listed_window(listed) is not None


def listed_window(listed: Mapping[str, Any]) -> int | None:
    """The window of a model, in tokens, where the daemon's list has it."""
    details = listed.get("details")
    return count_of(details.get("context_length")) if isinstance(details, Mapping) else None


def texts_of(value: object) -> tuple[str, ...]:
    """The printable texts of a list."""
    found = (text_of(item) for item in value) if isinstance(value, list) else ()
    return tuple(text for text in found if text is not None)


def shown_window(shown: Mapping[str, Any]) -> int | None:
    """The window of a model, in tokens, as `/api/show` describes it."""
    info = shown.get("model_info")
    if not isinstance(info, Mapping):
        return None
    counts = (count_of(value) for key, value in info.items() if str(key).endswith(".context_length"))
    return max((count for count in counts if count), default=None)
