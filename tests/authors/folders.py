"""The shipped folders in memory, for edits of one of their files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from engine.bundled import bundled_path
from engine.config.folder import folder_in_memory
from engine.language.diagnostics import Diagnostic, Problems
from engine.policy import Policy, build

SHIPPED = {
    path.name: path
    for path in (bundled_path("policies", "default"), *sorted(bundled_path("policies", "examples").iterdir()))
}


@dataclass(frozen=True, slots=True)
class Folder:
    """The texts of a policy folder, by file name."""

    name: str
    files: Mapping[str, str]

    def with_file(self, file: str, text: str) -> "Folder":
        return replace(self, files={**self.files, file: text})

    def built(self) -> tuple[Policy | None, list[Diagnostic]]:
        """The policy, None when it has errors, and all that is said of it."""
        problems = Problems()
        routes = {name: text for name, text in self.files.items() if name.endswith(".route")}
        folder = folder_in_memory(
            self.files["models.yaml"],
            self.files.get("policies.yaml"),
            routes,
            problems=problems,
            name=self.name,
        )
        policy = None if folder is None else build(folder, problems)
        return policy, list(problems)


@cache
def shipped(name: str) -> Folder:
    path = SHIPPED[name]
    files = {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(path.iterdir())
        if file.suffix in (".route", ".yaml")
    }
    return Folder(name, files)
