"""The scanned modules by the names that imports may use for them, and which of them can matter to a scan."""

import ast
from collections.abc import Iterator, Sequence

from engine.migration.libraries import MENTIONS_A_LIBRARY, library_of
from engine.migration.python_files import Module
from engine.migration.values import ExternalName, ScannedModule, Value


def related_modules(modules: Sequence[Module]) -> list[Module]:
    """The modules that mention a library, those that import one of them or are imported by one, and so on."""
    imports = {module.file: set(_last_names(module)) for module in modules}
    last_name = {module.file: module.name.rpartition(".")[2] for module in modules}
    related = {module.file for module in modules if MENTIONS_A_LIBRARY.search(module.text)}
    while True:
        names = {last_name[file] for file in related}
        imported = {name for file in related for name in imports[file]}
        more = {file for file in last_name if last_name[file] in imported or imports[file] & names}
        if more <= related:
            return [module for module in modules if module.file in related]
        related |= more


def _last_names(module: Module) -> Iterator[str]:
    """The last part of every module or name that an import mentions."""
    for node in module.imports:
        paths = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            paths.append(node.module or "")
        yield from filter(None, (path.rpartition(".")[2] for path in paths))


class ModuleIndex:
    """Finds scanned modules and packages by dotted name."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._modules = {module.name for module in modules}
        self._packages = {
            ".".join(module.name.split(".")[:length])
            for module in modules
            for length in range(1, module.name.count(".") + 1 + module.is_package)
        }
        self._by_ending: dict[str, list[str]] = {}
        for module in modules:
            parts = module.name.split(".")
            for begin in range(1, len(parts)):
                self._by_ending.setdefault(".".join(parts[begin:]), []).append(module.name)

    def __contains__(self, name: str) -> bool:
        return name in self._modules or name in self._packages

    def find(self, name: str) -> ScannedModule | None:
        """The scanned module or package of that name, wherever the scan began."""
        if name in self:
            return ScannedModule(name)
        if library_of(name) is not None:
            return None
        candidates = self._by_ending.get(name, [])
        if len(candidates) == 1:
            return ScannedModule(candidates[0])
        first, _, rest = name.partition(".")
        if rest and first not in self._packages and rest in self._modules:
            return ScannedModule(rest)
        return None

    def resolve(self, name: str) -> Value:
        """What `import name` binds."""
        return self.find(name) or ExternalName(name)


def absolute_name(module: Module, node: ast.ImportFrom) -> str:
    """The module that `from ... import` names, with its leading dots resolved."""
    base = node.module or ""
    if not node.level:
        return base
    parts = module.name.split(".") if module.name else []
    keep = len(parts) - node.level + (1 if module.is_package else 0)
    return ".".join([*parts[: max(0, keep)], *([base] if base else [])])
