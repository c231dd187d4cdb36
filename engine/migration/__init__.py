"""Migration from direct SDK calls: scan a code base, run in shadow, switch by flags, and roll back at once.

    from engine.migration import Flags, Shadow

Loaded when first used: `engine scan` needs no router.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.migration.flags import Flags, InvalidFlags
    from engine.migration.shadow import Shadow, ShadowSummary

_HOMES = {
    "Flags": "engine.migration.flags",
    "InvalidFlags": "engine.migration.flags",
    "Shadow": "engine.migration.shadow",
    "ShadowSummary": "engine.migration.shadow",
}

__all__ = ["Flags", "InvalidFlags", "Shadow", "ShadowSummary"]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'engine.migration' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
