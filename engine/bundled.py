"""Where the files that travel with the engine are: `grammar/`, `policies/` and `schemas/`.

In a wheel they lie inside the package, under `engine/_data/`; in an editable install and in a bare checkout
they are the folders beside it. This module imports nothing of the engine, so every wing may use it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundled_path(*parts: str) -> Path:
    """The path of a bundled file or folder: `bundled_path("policies", "base.route")`."""
    inside_wheel = _PACKAGE / "_data" / parts[0]
    root = inside_wheel.parent if inside_wheel.is_dir() else _PACKAGE.parent
    return root.joinpath(*parts)


def bundled_text(*parts: str) -> str:
    """The text of a bundled file."""
    return bundled_path(*parts).read_text(encoding="utf-8")
