"""`--env-file FILE`: a .env file read on request, never by itself, because it can say where requests go.

Lines are NAME=VALUE, with `export` before and quotes around the value if one likes; `#` begins a comment
line. What the environment says already stays.
"""

import argparse
import os
import re
from pathlib import Path

from engine.errors import EngineError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


class UnreadableEnvFile(EngineError):  # noqa: N818
    """The file of `--env-file` cannot be read; the message names place and reason, never a value."""


def add_env_file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-file", metavar="FILE", help="read variables from a .env file (never read by itself)"
    )


def add_probe_cloud_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe-cloud",
        action="store_true",
        help="ask cloud providers too, once, in a mode that forbids the cloud",
    )


def apply_env_file(arguments: argparse.Namespace) -> None:
    """Puts the file's variables into the environment. Raises UnreadableEnvFile."""
    if arguments.env_file is not None:
        for name, value in read_env_file(Path(arguments.env_file)).items():
            os.environ.setdefault(name, value)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a .env file. Raises UnreadableEnvFile."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    else:
        return dict(
            _variable(path, number, line) for number, line in enumerate(lines, start=1) if _says(line)
        )
    raise UnreadableEnvFile(f"cannot read {path}: {reason}")


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _variable(path: Path, number: int, line: str) -> tuple[str, str]:
    read = _LINE.fullmatch(line.strip())
    if read is None:
        raise UnreadableEnvFile(f"{path}:{number}: write NAME=VALUE")
    name, value = read[1], read[2].strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return name, value[1:-1]
    return name, re.split(r"\s+#", value, maxsplit=1)[0]
