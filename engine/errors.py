"""The root of every exception the engine raises on purpose.

EngineError
├── ConfigurationError    a policy folder that cannot decide anything (engine.policy)
├── InvalidTask           a TaskProfile or fact with a bad value (engine.task_profiles)
├── NoEligibleModel       a refusal; carries the whole explanation (engine.model_router)
├── ChainExhausted        no member of the chain answered, or not in time (engine.execution)
├── BudgetError           money: refused, unavailable, broken (engine.budget)
└── ProviderError         a provider that failed, by class (engine.providers)

A bug is a plain exception and is nobody's to catch.
"""


class EngineError(Exception):
    """Anything the engine says no to; the message is safe to show and holds no secret and no prompt."""
