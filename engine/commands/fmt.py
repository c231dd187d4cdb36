"""`engine fmt`: `.route` files in the one canonical layout, every comment kept."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.loading import COULD_NOT_RUN, add_config_argument, tell
from engine.commands.terminal import Terminal

if TYPE_CHECKING:
    from engine.language.source import Source

SUMMARY = "lay policy files out canonically"
DESCRIPTION = """Rewrites .route files in the one canonical layout. Comments are kept, in order, next to what
they stand next to; what a policy means never changes. A file with syntax errors is reported and left
alone."""
WOULD_CHANGE = 1
STANDARD_INPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files, or folders with the folders in them (default: as for --config); - reads standard input",
    )
    add_config_argument(parser)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 when a file would change"
    )
    parser.add_argument("--diff", action="store_true", help="as --check, and show what would change")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from engine.language.diagnostics import visible
    from engine.policy import find_folder

    if STANDARD_INPUT in arguments.paths:
        if len(arguments.paths) > 1:
            terminal.note("engine fmt: - stands alone")
            return COULD_NOT_RUN
        return _format_input(arguments, terminal)
    paths = [Path(path) for path in arguments.paths]
    paths = paths or [find_folder(arguments.config, os.environ.get("ENGINE_CONFIG_DIR"))]
    code = changed = 0
    files = 0
    for path in paths:
        if not path.exists():
            terminal.note(f"engine fmt: there is no {visible(str(path))}")
            code = COULD_NOT_RUN
            continue
        for file in _files(path):
            files += 1
            match _format_file(file, arguments, terminal):
                case None:
                    code = COULD_NOT_RUN
                case is_changed:
                    changed += is_changed
    would = "would be " if arguments.check or arguments.diff else ""
    where = "" if arguments.paths else f" in {visible(str(paths[0]))}"
    terminal.note(f"{changed} of {files} file{'' if files == 1 else 's'}{where} {would}changed")
    return code or (WOULD_CHANGE if changed and would else 0)


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or the policy files below a folder; no links, nothing whose name begins with a dot."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names, key=os.fsencode):
            file = Path(folder, name)
            is_policy = name.endswith(".route") and not name.startswith(".")
            if is_policy and file.is_file() and not file.is_symlink():
                yield file


def _format_file(path: Path, arguments: argparse.Namespace, terminal: Terminal) -> bool | None:
    """Whether the file is, or would be, changed; None when it could not be formatted."""
    from engine.language.diagnostics import visible

    name = visible(str(path))
    try:
        if not path.is_file():
            raise OSError(None, "it is no plain file")
        data = path.read_bytes()
    except OSError as error:
        terminal.note(f"engine fmt: cannot read {name}: {error.strerror}")
        return None
    text = _formatted(str(path), data, terminal)
    if text is None:
        return None
    formatted = text.encode()
    if formatted == data:
        return False
    if arguments.diff:
        terminal.out.write(_difference(name, data, text))
    elif arguments.check:
        terminal.say(f"would change {name}")
    else:
        try:
            _write(path, formatted)
        except OSError as error:
            terminal.note(f"engine fmt: cannot write {name}: {error.strerror}")
            return None
        terminal.say(f"changed {name}")
    return True


def _format_input(arguments: argparse.Namespace, terminal: Terminal) -> int:
    data = sys.stdin.buffer.read()
    text = _formatted("standard input", data, terminal)
    if text is None:
        return COULD_NOT_RUN
    if arguments.diff:
        terminal.out.write(_difference("standard input", data, text))
    elif not arguments.check:
        terminal.out.write(text)
    would = arguments.check or arguments.diff
    return WOULD_CHANGE if would and text.encode() != data else 0


def _formatted(name: str, data: bytes, terminal: Terminal) -> str | None:
    """The canonical text; None after the errors of the file are printed."""
    from engine.config.yaml_source import decode
    from engine.language.diagnostics import Level, Problems, visible
    from engine.language.file_layout import WouldChangeMeaning, format_source

    problems = Problems()
    source: Source | None = decode(name, data, problems)
    try:
        text = None if source is None else format_source(source, problems)
    except WouldChangeMeaning:
        terminal.note(
            f"engine fmt: {visible(name)} is left as it is: its new layout would not mean the same (a bug in "
            "fmt)"
        )
        return None
    tell((problem for problem in problems if problem.level is Level.ERROR), terminal)
    return text


def _difference(name: str, data: bytes, text: str) -> str:
    import difflib

    before = data.decode("utf-8").splitlines(keepends=True)
    lines = difflib.unified_diff(before, text.splitlines(keepends=True), name, f"{name} (formatted)")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _write(path: Path, data: bytes) -> None:
    """Replaces a file whole: writes beside it, then renames. Of a link the target is replaced."""
    import tempfile

    path = path.resolve()
    mode = path.stat().st_mode
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
