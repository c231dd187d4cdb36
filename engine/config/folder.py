"""A policy folder on disk -> all of its files in memory, and their digests.

Everything is read once and nothing afterwards, so that what is hashed, checked and compiled is the same text.
Below the folder only plain files are opened, never through a link, and none that is too big. Nothing here is
parsed, and nothing looks at the environment: the caller hands in what it found there.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.bundled import bundled_path
from engine.config.messages import folder as messages
from engine.config.overlooked import report_overlooked
from engine.config.yaml_source import MOST_BYTES, decode
from engine.language.diagnostics import Problems
from engine.language.source import Source, Span

CATALOGUE = "models.yaml"
SETTINGS = "policies.yaml"
BASE = "base.route"
MOST_BYTES_TOGETHER = 8 * MOST_BYTES


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """The files of one policy as they were read. `policies` is None when there is no policies.yaml.

    `policy_digest` is of the rules (policies.yaml, every `.route` file, base.route), `catalogue_digest` of
    models.yaml: its plain sha256.
    """

    name: str
    models: Source
    policies: Source | None
    routes: tuple[Source, ...]
    base: Source
    policy_digest: str
    catalogue_digest: str


def locate_folder(
    explicit: str | Path | None, from_environment: str | None, working: Path, default: Path
) -> Path:
    """The policy folder in force: as asked, ENGINE_CONFIG_DIR, ./config, ./policies, the default set.

    One that is named is the one, even when it cannot be used: `read_folder` says so.
    """
    if explicit is not None:
        return Path(explicit)
    if from_environment:
        return Path(from_environment)
    beside = (working / name for name in ("config", "policies"))
    return next((folder for folder in beside if (folder / CATALOGUE).is_file()), default)


def read_folder(path: str | Path, problems: Problems) -> PolicyFolder | None:
    """Every file of a policy folder; None when it cannot be used, and the problems say why."""
    files = _read_files(Path(path), problems)
    if files is None:
        return None
    return _folder(str(path), files, problems)


def folder_in_memory(
    models: str | bytes,
    policies: str | bytes | None = None,
    routes: Mapping[str, str | bytes] | None = None,
    *,
    problems: Problems,
    name: str = "in memory",
) -> PolicyFolder | None:
    """A policy folder that was never on disk: for tests, editors and programs that hold their policy as
    text."""
    written: dict[str, str | bytes | None] = {CATALOGUE: models, SETTINGS: policies, **(routes or {})}
    files = {
        file: text.encode() if isinstance(text, str) else text
        for file, text in written.items()
        if text is not None
    }
    return _folder(name, files, problems)


# --- Files to a folder ----------------------------------------------------------------------------------


def _folder(name: str, files: Mapping[str, bytes], problems: Problems) -> PolicyFolder | None:
    base = bundled_path("policies", BASE).read_bytes()
    routes = {file: files[file] for file in sorted(files, key=os.fsencode) if file.endswith(".route")}
    if BASE in routes:
        problems.add(messages.base_route_in_folder(_place(BASE)))
        del routes[BASE]
    read = {file: decode(file, files[file], problems) for file in (CATALOGUE, SETTINGS) if file in files}
    sources = [decode(file, data, problems) for file, data in routes.items()]
    models = read.get(CATALOGUE)
    if models is None or None in sources or (SETTINGS in read and read[SETTINGS] is None):
        return None
    rules = {file: files[file] for file in (SETTINGS,) if file in files} | routes | {BASE: base}
    return PolicyFolder(
        name=name,
        models=models,
        policies=read.get(SETTINGS),
        routes=tuple(source for source in sources if source is not None),
        base=Source(BASE, base.decode()),
        policy_digest=_digest(rules.items()),
        catalogue_digest=f"sha256:{hashlib.sha256(files[CATALOGUE]).hexdigest()}",
    )


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    """Over every name and content, each with its length before it, so that no two folders can run
    together."""
    digest = hashlib.sha256()
    for name, data in files:
        for part in (os.fsencode(name), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"


# --- Reading --------------------------------------------------------------------------------------------


def _read_files(path: Path, problems: Problems) -> dict[str, bytes] | None:
    """The bytes of models.yaml, policies.yaml and every `*.route`, by name; what cannot be read is left
    out."""
    try:
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        problems.add(messages.no_folder(_place(str(path))))
        return None
    try:
        names = sorted(os.listdir(root), key=os.fsencode)
        if CATALOGUE not in names:
            misspelt = next((name for name in names if name.lower() in ("models.yml", CATALOGUE)), None)
            problems.add(messages.no_catalogue(_place(str(path)), misspelt))
        so_far = len(problems.found)
        report_overlooked(path, wanted_files(names), problems)
        reported = {each.span.source.name for each in problems.found[so_far:]}
        warn_of_overlooked([name for name in names if name not in reported], problems)
        files: dict[str, bytes] = {}
        for name in wanted_files(names):
            data = _read_file(name, root, problems)
            if data is not None:
                files[name] = data
        if sum(map(len, files.values())) > MOST_BYTES_TOGETHER:
            problems.add(messages.folder_too_big(_place(str(path)), MOST_BYTES_TOGETHER))
            return None
        return files
    finally:
        os.close(root)


def wanted_files(names: Iterable[str]) -> Iterator[str]:
    """Those names in a folder that belong to a policy."""
    for name in names:
        if name in (CATALOGUE, SETTINGS) or (name.endswith(".route") and not name.startswith(".")):
            yield name


def warn_of_overlooked(names: list[str], problems: Problems) -> None:
    """Warns of files whose names are nearly those of a policy's."""
    for name in names:
        stem, _, ending = name.lower().rpartition(".")
        if ending == "route":
            meant = f"{name[:-6]}.route"
        elif stem == "policies" and ending in ("yml", "yaml"):
            meant = SETTINGS
        else:
            continue
        if meant not in names and not name.startswith("."):
            problems.add(messages.file_overlooked(name, meant, _place(name)))


def _read_file(name: str, root: int, problems: Problems) -> bytes | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # Looked at before it is opened, because opening a device can act; and again after, because it can
        # change.
        if not _is_regular(name, os.stat(name, dir_fd=root, follow_symlinks=False), problems):
            return None
        file = os.open(name, flags, dir_fd=root)
        try:
            if not _is_regular(name, os.fstat(file), problems):
                return None
            return _read_up_to_limit(file)
        finally:
            os.close(file)
    except OSError as error:
        problems.add(messages.unreadable_file((error.strerror or "unknown error").lower(), _place(name)))
        return None


def _read_up_to_limit(file: int) -> bytes:
    """The content, or one byte more than is allowed, which `decode` refuses."""
    data = b""
    while len(data) <= MOST_BYTES and (part := os.read(file, MOST_BYTES + 1 - len(data))):
        data += part
    return data


def _is_regular(name: str, status: os.stat_result, problems: Problems) -> bool:
    if stat.S_ISREG(status.st_mode):
        return True
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    problems.add(
        messages.no_regular_file(kinds.get(stat.S_IFMT(status.st_mode), "something else"), _place(name))
    )
    return False


def _place(name: str) -> Span:
    """The beginning of a file that has not been read."""
    return Source(name, "").span(0, 0)
