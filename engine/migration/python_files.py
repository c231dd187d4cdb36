"""A path -> the Python files below it, parsed, and notes on those that could not be parsed.

Nothing is imported or executed. Links are not followed, only plain files are opened, and no file raises,
however odd.
"""

import ast
import io
import os
import stat
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

MOST_BYTES = 1_048_576
MOST_FILES = 20_000
LEFT_OUT = frozenset(
    {"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv", ".git", ".hg", ".venv"}
)


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a file that a reader of the report should know. `line` is 0 where none is meant."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A parsed file. `file` is its path below the root, with `/`; `name` how other files may import it."""

    file: str
    name: str
    is_package: bool
    text: str
    tree: ast.Module
    patchable: bool = True
    """Whether `text`, in UTF-8, is the file byte for byte, so that a patch of it applies."""
    imports: tuple[ast.Import | ast.ImportFrom, ...] = ()
    texts: tuple[ast.Constant, ...] = ()
    awaited: frozenset[ast.expr] = frozenset()
    """Every import, every string and every awaited expression of the tree, gathered in one walk."""

    def __hash__(self) -> int:
        return hash(self.file)


def read_modules(root: Path) -> tuple[list[Module], list[Note]]:
    """Every Python file below `root` (or `root` itself), in the order of their paths."""
    modules: list[Module] = []
    notes: list[Note] = []
    for path in _python_files(root, notes):
        file = path.name if path == root else path.relative_to(root).as_posix()
        if len(modules) >= MOST_FILES:
            notes.append(Note(file, 0, f"only the first {MOST_FILES:,} files are read"))
            break
        read = _read(path)
        parsed = _parse(read) if isinstance(read, bytes) else read
        if isinstance(parsed, tuple):
            text, tree = parsed
            name, is_package = _module_name(file)
            patchable = text.encode() == read and file.isprintable()
            modules.append(_walked(Module(file, name, is_package, text, tree, patchable)))
        else:
            notes.append(Note(file, parsed.line, parsed.text))
    return modules, notes


def read_plain(path: Path) -> bytes | Note:
    """The bytes of a plain file, or why not."""
    return _read(path)


def _python_files(root: Path, notes: list[Note]) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root, followlinks=False):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted(links):
            notes.append(Note(_below(root, folder, name), 0, "a link to a folder: not followed"))
        folders[:] = sorted(
            name
            for name in folders
            if name not in LEFT_OUT
            and name not in links
            and not name.startswith(".")
            and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            if name.endswith((".py", ".pyw")):
                yield Path(folder, name)


def _below(root: Path, folder: str, name: str) -> str:
    return Path(folder, name).relative_to(root).as_posix()


def _read(path: Path) -> bytes | Note:
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return Note("", 0, "a link: not followed")
        if not stat.S_ISREG(found.st_mode):
            return Note("", 0, "no plain file: left alone")
        if found.st_size > MOST_BYTES:
            return Note("", 0, f"larger than {MOST_BYTES // 1024:,} KiB: not read")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        return Note("", 0, f"cannot be read: {(error.strerror or 'unknown error').lower()}")


def _parse(data: bytes) -> tuple[str, ast.Module] | Note:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return Note("", 0, "not in the encoding it says, or that Python assumes (UTF-8)")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        return Note("", 0, "holds null characters: no Python")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return Note("", error.lineno or 0, f"not Python {version}: {error.msg}")
    except (RecursionError, MemoryError, ValueError, OverflowError):
        return Note("", 0, "nested too deeply to be read")
    return text, tree


def _walked(module: Module) -> Module:
    imports: list[ast.Import | ast.ImportFrom] = []
    texts: list[ast.Constant] = []
    awaited: set[ast.expr] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                imports.append(node)
            case ast.Constant(value=str()):
                texts.append(node)
            case ast.Await(value=value):
                awaited.add(value)
    return replace(module, imports=tuple(imports), texts=tuple(texts), awaited=frozenset(awaited))


def _module_name(file: str) -> tuple[str, bool]:
    parts = file.rpartition(".")[0].split("/")
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package
