"""Environment variables and one YAML file -> whether a task goes to the router yet, for a gradual migration.

The values of `USE_MODEL_ROUTER` and `USE_ROUTER_FOR_<TASK TYPE>` are true, false or a share such as `25%`.
In the file:

    use_model_router: true
    use_router_for:
      qa: 25%
      planning: false

`USE_MODEL_ROUTER=false` is the rollback: whatever else is set, nothing goes to the router. Otherwise the flag
of the task type decides, else `USE_MODEL_ROUTER`; without either nothing goes to the router. A variable wins
over the file. Both are read again for every task, so a change applies from the next call on.

A share is decided by `TaskProfile.bucket`: a key is always on the same side, and stays with the router when
the share grows.
"""

import logging
import os
import random
import re
from collections.abc import Mapping
from pathlib import Path

from engine.environment import InvalidEnvironment
from engine.errors import EngineError
from engine.task_profiles import TaskProfile

EVERYTHING = "USE_MODEL_ROUTER"
BY_TYPE = "USE_ROUTER_FOR_"
_WORDS = {"true": 100, "yes": 100, "on": 100, "1": 100, "false": 0, "no": 0, "off": 0, "0": 0}
_SHARE = re.compile(r"(\d{1,3})\s*%")
_LOGGER = logging.getLogger("engine.migration")

# Per cent by name: "" is everything, else a task type as the variables spell it.
_Shares = dict[str, int]


class InvalidFlags(EngineError, ValueError):  # noqa: N818
    """A file of flags that cannot be read; the message says what is wrong."""


class Flags:
    """Which tasks go to the router. Safe to use from several threads.

    `file` need not exist yet. After the first read, an unreadable version of it changes nothing and is
    logged, and a deleted file sets no flags any more. A variable with an invalid value counts as false. The
    constructor raises InvalidEnvironment for such a variable and InvalidFlags for such a file.
    """

    def __init__(self, file: str | Path | None = None, *, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._file = None if file is None else Path(file)
        self._read: tuple[tuple[int, int, int] | None, _Shares] = (None, {})
        for name, text in self._variables.items():
            if (name == EVERYTHING or name.startswith(BY_TYPE)) and share_of(text) is None:
                raise InvalidEnvironment(f"{name} is true, false or a share such as 25%, not {text[:40]!r}")
        if self._file is not None:
            self._from_file(strict=True)

    def use_router(self, task: TaskProfile | str, key: str | None = None) -> bool:
        """Whether this task goes to the router now. `task` is a profile or a task type; `key` (a tenant, a
        session) is as in TaskProfile. Without a key a share is decided by chance. Never raises."""
        task_type = task if isinstance(task, str) else task.task_type
        share = self.share(task_type)
        if share in (0, 100):
            return share == 100
        if isinstance(task, TaskProfile) and key is None:
            bucket = task.bucket
        else:
            bucket = TaskProfile("any", key=key).bucket
        return (random.randrange(100) if bucket is None else bucket) < share

    def share(self, task_type: str) -> int:
        """The per cent of this task type's keys that go to the router now."""
        variables = self._variables
        in_file = self._from_file(strict=False)
        everything = _known(variables.get(EVERYTHING), in_file.get(""))
        if everything == 0:
            return 0
        name = variable_name(task_type)
        own = _known(variables.get(name), in_file.get(name))
        return own if own is not None else everything or 0

    def _from_file(self, *, strict: bool) -> _Shares:
        if self._file is None:
            return {}
        try:
            status = self._file.stat()
        except OSError:
            self._read = (None, {})
            return {}
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._read[0] == version:
            return self._read[1]
        try:
            self._read = (version, read_flags(self._file))
        except InvalidFlags as error:
            if strict:
                raise
            self._read = (version, self._read[1])
            _LOGGER.error("the flags stay as they were: %s", error)
        return self._read[1]


def variable_name(task_type: str) -> str:
    """`qa` -> `USE_ROUTER_FOR_QA`; what is no letter or digit becomes an underscore."""
    return BY_TYPE + re.sub(r"[^A-Z0-9]", "_", task_type.upper())


def share_of(text: str) -> int | None:
    """`true`, `no`, `25%` -> per cent; None when it is nothing of the kind."""
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    if word == "":
        return 0
    share = _SHARE.fullmatch(word)
    return int(share[1]) if share and int(share[1]) <= 100 else None


def read_flags(file: Path) -> dict[str, int]:
    """The shares a file names, by variable name; "" for all. Raises InvalidFlags."""
    from engine.config.yaml_source import decode, read_yaml
    from engine.language.diagnostics import Problems

    problems = Problems()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidFlags(
            f"cannot read {file.name}: {(error.strerror or 'unknown error').lower()}"
        ) from None
    source = decode(file.name, data, problems)
    document = None if source is None else read_yaml(source, problems)
    if document is None or problems.has_errors:
        reason = next((f"line {one.span.line}: {one.message}" for one in problems), "it is no YAML")
        raise InvalidFlags(f"{file.name}: {reason}")
    value = {} if document.value is None else document.value
    if not isinstance(value, dict) or value.keys() - {"use_model_router", "use_router_for"}:
        raise InvalidFlags(f"{file.name}: it holds use_model_router and use_router_for, nothing else")
    types = value.get("use_router_for")
    if not isinstance(types, dict | None):
        raise InvalidFlags(f"{file.name}: use_router_for lists task types, each with true, false or a share")
    shares: dict[str, int] = {}
    flags = {variable_name(name): flag for name, flag in (types or {}).items()}
    if "use_model_router" in value:
        flags[""] = value["use_model_router"]
    for name, flag in flags.items():
        text = str(flag).lower() if isinstance(flag, bool | str) else ""
        share = share_of(text) if text else None
        if share is None:
            raise InvalidFlags(f"{file.name}: {name or EVERYTHING} is true, false or a share such as 25%")
        shares[name] = share
    return shares


def _known(text: str | None, in_file: int | None) -> int | None:
    if text is None:
        return in_file
    share = share_of(text)
    return 0 if share is None else share
