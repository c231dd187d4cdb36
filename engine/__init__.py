"""A declarative policy language and rules engine that routes LLM calls, local first.

    from engine import ModelRouter, TaskProfile

The names below are the public ones. They are loaded when first used, so that `import engine` stays light and no provider SDK
is ever loaded by it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.decision.explanation import Explanation
    from engine.decision.facts import InvalidFact
    from engine.errors import EngineError
    from engine.model_router import Choice, ModelRouter, NoEligibleModel
    from engine.policy import ConfigurationError
    from engine.task_profiles import InvalidTask, TaskProfile

_HOMES = {
    "Choice": "engine.model_router",
    "ConfigurationError": "engine.policy",
    "EngineError": "engine.errors",
    "Explanation": "engine.decision.explanation",
    "InvalidFact": "engine.decision.facts",
    "InvalidTask": "engine.task_profiles",
    "ModelRouter": "engine.model_router",
    "NoEligibleModel": "engine.model_router",
    "TaskProfile": "engine.task_profiles",
}

__all__ = [
    "Choice",
    "ConfigurationError",
    "EngineError",
    "Explanation",
    "InvalidFact",
    "InvalidTask",
    "ModelRouter",
    "NoEligibleModel",
    "TaskProfile",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
