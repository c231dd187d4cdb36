"""A scanned code base -> the checklist before a migration, as far as code can answer it."""

import ast
import configparser
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.migration.call_site import CallSite
from engine.migration.libraries import OTHER_VENDORS, library_of
from engine.migration.python_files import Module, Note, read_plain
from engine.provider_apis import sdk_packages

CRITICAL = ("high", "critical")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(?:API_KEY|BASE_URL|API_BASE|AUTH_TOKEN|ENDPOINT)")
KEY = re.compile(r"sk-[A-Za-z0-9_-]{16,}")
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)")


@dataclass(frozen=True, slots=True)
class Dependency:
    """A declared package of interest. `advice` is empty where nothing is to be done."""

    name: str
    version: str
    file: str
    advice: str


@dataclass(frozen=True, slots=True)
class Checklist:
    """The three parts of the checklist; counts are of calls unless they say otherwise."""

    calls: int
    files: int
    by_library: dict[str, int]
    by_model: dict[str, int]
    by_task_type: dict[str, int]
    asynchronous: int
    streaming: int
    tools: int
    untraced: int
    imported: dict[str, int]
    declared: tuple[Dependency, ...]
    variables: tuple[str, ...]
    critical: int
    most_max_tokens: int | None
    without_max_tokens: int
    without_model: int


def check_list(root: Path, modules: Sequence[Module], sites: Sequence[CallSite]) -> Checklist:
    """Counts, dependencies and requirements of a code base."""
    limits = [site.max_tokens for site in sites if site.max_tokens is not None]
    return Checklist(
        calls=len(sites),
        files=len({site.file for site in sites}),
        by_library=_counted(site.library for site in sites),
        by_model=_counted(model for site in sites for model in site.models),
        by_task_type=_counted(site.profile.task_type for site in sites),
        asynchronous=sum(site.asynchronous for site in sites),
        streaming=sum(site.streaming for site in sites),
        tools=sum(site.tools for site in sites),
        untraced=sum(not site.traced for site in sites),
        imported=_counted(name for module in modules for name in _imported(module)),
        declared=tuple(_declared(root)),
        variables=tuple(sorted({name for module in modules for name in _variables(module)})),
        critical=sum(site.profile.criticality in CRITICAL for site in sites),
        most_max_tokens=max(limits, default=None),
        without_max_tokens=sum(site.max_tokens_source is None for site in sites),
        without_model=sum(not site.models for site in sites),
    )


def keys_in_code(modules: Sequence[Module]) -> list[Note]:
    """Places where the code contains what looks like a secret key. The key itself is never shown."""
    return [
        Note(
            module.file,
            node.lineno,
            "what looks like a secret key stands in the code: move it to the environment",
        )
        for module in modules
        for node in module.texts
        if KEY.fullmatch(str(node.value))
    ]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _imported(module: Module) -> set[str]:
    """The libraries and other vendors' packages a file imports."""
    names: set[str] = set()
    for node in module.imports:
        paths = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if not node.level
            else []
        )
        for path in paths:
            top = path.partition(".")[0]
            library = library_of(path)
            if library is not None:
                names.add(library)
            elif top in OTHER_VENDORS and top != "google":
                names.add(top)
            elif path.startswith(("google.generativeai", "google.genai")):
                names.add("google")
    return names


def _variables(module: Module) -> Iterator[str]:
    return (text for node in module.texts if VARIABLE.fullmatch(text := str(node.value)))


def _declared(root: Path) -> Iterator[Dependency]:
    folder = root if root.is_dir() else root.parent
    found = _declared_in(folder)
    if not found:
        # `engine scan src`: what a project declares stands beside its source folder.
        found = {
            (package, version, f"../{file}")
            for package, version, file in _declared_in(folder.resolve().parent)
        }
    for package, version, file in sorted(found):
        if (
            package in ("litellm", *sdk_packages())
            or package.startswith("langchain")
            or package in OTHER_VENDORS
        ):
            yield Dependency(package, version, file, _advice(package, version))


def _declared_in(folder: Path) -> set[tuple[str, str, str]]:
    """(package, version, file) for every package that a file of this folder declares."""
    found = set()
    for path in sorted([*folder.glob("*requirements*.txt"), *folder.glob("requirements/*.txt")]):
        file = path.relative_to(folder).as_posix()
        found |= {(package, version, file) for package, version in _lines(_text(path))}
    for name, read in (
        ("pyproject.toml", _from_pyproject),
        ("setup.cfg", _from_setup_cfg),
        ("Pipfile", _from_pipfile),
    ):
        text = _text(folder / name)
        if text:
            found |= {(package, version, name) for package, version in read(text)}
    return found


def _text(path: Path) -> str:
    data = read_plain(path)
    return data.decode("utf-8", errors="replace") if isinstance(data, bytes) else ""


def _lines(text: str) -> Iterator[tuple[str, str]]:
    return _requirements(line for line in text.splitlines() if not line.lstrip().startswith(("-", "#")))


def _requirements(lines: Iterable[object]) -> Iterator[tuple[str, str]]:
    for line in lines:
        matched = REQUIREMENT.match(line) if isinstance(line, str) else None
        if matched:
            yield matched[1].lower().replace("_", "-"), matched[2].strip().rstrip("\\").strip()


def _from_pyproject(text: str) -> Iterator[tuple[str, str]]:
    project = _toml(text)
    listed = _table(project, "project").get("dependencies")
    yield from _requirements(listed if isinstance(listed, list) else [])
    for group in _table(project, "project", "optional-dependencies").values():
        yield from _requirements(group if isinstance(group, list) else [])
    yield from _mapped(_table(project, "tool", "poetry", "dependencies"))


def _from_pipfile(text: str) -> Iterator[tuple[str, str]]:
    yield from _mapped(_table(_toml(text), "packages"))


def _from_setup_cfg(text: str) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        listed = parser.get("options", "install_requires", fallback="")
    except configparser.Error:
        return
    yield from _lines(listed)


def _mapped(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, version in table.items():
        if isinstance(version, dict):
            version = version.get("version", "")
        yield name.lower(), version if isinstance(version, str) else ""


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _table(table: dict[str, Any], *names: str) -> dict[str, Any]:
    inner: object = table
    for name in names:
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else {}


def _advice(package: str, version: str) -> str:
    sdk = sdk_packages().get(package)
    if sdk is None:
        return ""
    pinned = re.match(r"(?:==|===|~=|\^)?\s*(\d+)", version)
    below = re.search(r"<\s*(\d+)(?:\.0)*\s*(?:,|$)", version)
    if (pinned and int(pinned[1]) < sdk.first) or (below and int(below[1]) <= sdk.first):
        return f"the router needs {package} >={sdk.first},<{sdk.beyond}"
    return ""
