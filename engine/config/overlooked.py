"""What lies in a policy folder and is not read -> an error for each file that holds rules or settings.

A guard in a file that is not read protects no one, and a limit in one limits nothing. Nothing found here is
read as policy.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.config.messages import folder as messages
from engine.language.diagnostics import Problems
from engine.language.source import Source

MOST_BYTES_PEEKED = 64 * 1024
_DEEPEST = 3
_MOST_FILES = 500

# Pages and programs quote rules, and editors keep copies: neither is meant to be in force.
_NOT_MEANT = re.compile(
    r"(?:\.(?:md|rst|html|json|jsonl|py|sh|diff|patch|svg|csv|log|lark|bak|orig|rej|old|swp|swo|tmp)|~)$|^[.]?#",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"^[ \t]*(?:forbid|require|prefer|avoid|weigh|route)[ \t]+[a-z][a-z0-9-]*[ \t]*(?:\(\w+\))?[ \t]*:",
    re.MULTILINE,
)
_SETTING = re.compile(r"^(?:routing|budgets|task_types|labels|task_overrides):", re.MULTILINE)


def report_overlooked(folder: Path, read: Iterable[str], problems: Problems) -> None:
    """Looks through a folder and what is below it; `read` are the names in it that are read."""
    known = set(read)
    for count, name in enumerate(_below(folder, "", _DEEPEST)):
        if count == _MOST_FILES:
            return
        if name not in known and may_hold_policy(name):
            report_if_policy(name, _peek(folder / name), problems)


def may_hold_policy(name: str) -> bool:
    """Whether a file of this name may be meant to be in force."""
    return _NOT_MEANT.search(name.rpartition("/")[2]) is None


def report_if_policy(name: str, text: str, problems: Problems) -> bool:
    """Reports a file that is not read if it holds rules or settings."""
    place = Source(name, "").span(0, 0)
    holds = "rules" if _RULE.search(text) else "settings" if _SETTING.search(text) else None
    if holds is None or (holds == "settings" and not name.lower().endswith((".yml", ".yaml"))):
        return False
    problems.add(messages.policy_overlooked(name, holds, place))
    return True


def _below(folder: Path, above: str, depth: int) -> Iterator[str]:
    """The plain files of a folder, and of those below that are no policy folder of their own."""
    try:
        with os.scandir(folder / above) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in entries}
    if above and "models.yaml" in names:
        return
    for entry in entries:
        name = f"{above}{entry.name}"
        if entry.is_file(follow_symlinks=False):
            yield name
        elif depth and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _below(folder, f"{name}/", depth - 1)


def _peek(path: Path) -> str:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as stream:
            return stream.read(MOST_BYTES_PEEKED).decode("utf-8", "replace")
    except OSError:
        return ""
