"""One git command in a working tree -> what it printed.

Only objects and references are asked for: nothing is fetched, nothing is checked out, no lock is waited for,
and no hook or program that the repository configures runs. So the repository of a stranger can be read.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine.errors import EngineError

TIMEOUT_S = 60
_OPTIONS = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")
_ENVIRONMENT = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# A hook of git sets these for its own repository, which need not be the one that is asked for here.
_OF_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE")


class GitFailed(EngineError):  # noqa: N818 - what the user reads is the message
    """What git said when it did not do it, or why it could not be asked."""


def git(inside: Path, *words: str, given: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
    """Runs git in a folder with `given` on its standard input. Raises GitFailed."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY}
    try:
        done = subprocess.run(
            ["git", *_OPTIONS, "-C", str(inside), *words],
            input=given,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**environment, **_ENVIRONMENT, **(variables or {})},
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git could not be asked: {error}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitFailed(f"git says: {lines[-1] if lines else 'nothing'}")
    return done.stdout
