"""Modules that are imported when they are first needed, away from the event loop: the SDKs take seconds."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

_WHOLE: dict[str, Any] = {}
"""Modules whose import is known to be over. One that stands in `sys.modules` may be half made yet, by another
thread."""


async def imported(name: str, *more: str) -> Any:
    """The module `name`, imported whole, and `more` beside it. Waits for another thread that is at it."""
    module = _WHOLE.get(name)
    return await asyncio.to_thread(_import, name, *more) if module is None else module


def _import(name: str, *more: str) -> Any:
    # `import_module` waits for the module's own lock while another thread imports it.
    module = importlib.import_module(name)
    for other in more:
        importlib.import_module(other)
    _WHOLE[name] = module
    return module
