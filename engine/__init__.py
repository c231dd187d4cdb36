"""A declarative policy language and rules engine that routes LLM calls, local first.

    from engine import ModelRouter, TaskProfile

The names below are the public ones. They are loaded when first used, so that `import engine` stays light and
no provider SDK is ever loaded by it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.budget.errors import BudgetError, BudgetExceeded, LedgerUnavailable
    from engine.decision.explanation import Explanation
    from engine.decision.facts import InvalidFact
    from engine.errors import EngineError
    from engine.execution.errors import ChainExhausted, DeadlineExceeded
    from engine.model_router import Choice, ModelRouter, NoEligibleModel
    from engine.policy import ConfigurationError
    from engine.providers.errors import InvalidRequest, ProviderError, Refused, StreamInterrupted
    from engine.task_profiles import InvalidTask, TaskProfile

_HOMES = {
    "BudgetError": "engine.budget.errors",
    "BudgetExceeded": "engine.budget.errors",
    "ChainExhausted": "engine.execution.errors",
    "Choice": "engine.model_router",
    "ConfigurationError": "engine.policy",
    "DeadlineExceeded": "engine.execution.errors",
    "EngineError": "engine.errors",
    "Explanation": "engine.decision.explanation",
    "InvalidFact": "engine.decision.facts",
    "InvalidRequest": "engine.providers.errors",
    "InvalidTask": "engine.task_profiles",
    "LedgerUnavailable": "engine.budget.errors",
    "ModelRouter": "engine.model_router",
    "NoEligibleModel": "engine.model_router",
    "ProviderError": "engine.providers.errors",
    "Refused": "engine.providers.errors",
    "StreamInterrupted": "engine.providers.errors",
    "TaskProfile": "engine.task_profiles",
}

__all__ = [
    "BudgetError",
    "BudgetExceeded",
    "ChainExhausted",
    "Choice",
    "ConfigurationError",
    "DeadlineExceeded",
    "EngineError",
    "Explanation",
    "InvalidFact",
    "InvalidRequest",
    "InvalidTask",
    "LedgerUnavailable",
    "ModelRouter",
    "NoEligibleModel",
    "ProviderError",
    "Refused",
    "StreamInterrupted",
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
