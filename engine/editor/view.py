"""A policy folder as an editor has it, unsaved texts over saved ones -> everything an editor may ask of it,
as far as it can be read.

Broken statements are left out, the rest is read all the same. Nothing is written, and nothing outside the
folder is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundled import bundled_path
from engine.config.catalogue import Catalogue, load_catalogue
from engine.config.folder import BASE, CATALOGUE, SETTINGS, PolicyFolder, read_folder
from engine.config.lowering import lower, names_of
from engine.config.settings import Settings, load_settings
from engine.config.yaml_source import read_yaml
from engine.language import syntax_tree as tree
from engine.language.checked_policy import CheckedPolicy
from engine.language.diagnostics import Diagnostic, Problems
from engine.language.known_names import Names
from engine.language.parser import parse
from engine.language.source import Source
from engine.language.type_checker import check

if TYPE_CHECKING:
    from engine.analysis.linter import Report

NOTHING_KNOWN = Names(modes={}, default_mode="", providers=(), models=())


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a name is declared: the statement, and the name in it."""

    statement: tree.Statement
    name: tree.Identifier


class View:
    """One folder at one moment. `open_texts` are the files open in the editor, by their name in the
    folder."""

    def __init__(self, folder: Path, open_texts: Mapping[str, str]) -> None:
        self.folder = folder
        self.open_texts = dict(open_texts)
        self.problems = Problems()
        self.saved = read_folder(folder, self.problems)
        self.policy_folder = _overlaid(self.saved, self.open_texts)
        self.judged: tuple[Diagnostic, ...] = ()
        self.sources = self._sources()
        self.files = tuple(
            parse(source, Problems()) for source in self.sources if source.name.endswith(".route")
        )
        self.base = parse(
            Source(BASE, bundled_path("policies", BASE).read_text(encoding="utf-8")), Problems()
        )

    def _sources(self) -> tuple[Source, ...]:
        """The author's files. Of a folder that is no policy folder only what is open."""
        files = self.policy_folder
        if files is None:
            return tuple(Source(name, text) for name, text in sorted(self.open_texts.items()))
        return (*files.routes, files.models, *([files.policies] if files.policies else []))

    def source(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)

    def file(self, name: str) -> tree.File | None:
        return next((file for file in self.files if file.source.name == name), None)

    def path(self, name: str) -> Path:
        """Where a source lies: in the folder, or with the engine."""
        is_base = name == BASE and self.source(BASE) is None
        return bundled_path("policies", BASE) if is_base else self.folder / name

    # --- What the names mean ---

    @cached_property
    def _configured(self) -> tuple[Catalogue, Settings] | None:
        files = self.policy_folder
        if files is None:
            return None
        nothing = Problems()
        models = read_yaml(files.models, nothing)
        policies = None if files.policies is None else read_yaml(files.policies, nothing)
        if models is None:
            return None
        catalogue = load_catalogue(models, nothing)
        return catalogue, load_settings(policies, catalogue, nothing)

    @property
    def catalogue(self) -> Catalogue | None:
        return None if self._configured is None else self._configured[0]

    @cached_property
    def names(self) -> Names:
        return NOTHING_KNOWN if self._configured is None else names_of(*self._configured)

    @cached_property
    def checked(self) -> CheckedPolicy:
        """Every statement without an error."""
        return self.checked_with()

    def checked_with(self, *extra: tree.Statement) -> CheckedPolicy:
        """The same with statements of the editor's own behind the author's."""
        if self._configured is None:
            return CheckedPolicy(())
        file = tree.File(Source("editor", ""), extra)
        lowered = lower(self._configured[1])
        return check([*self.files, file], lowered, [self.base], self.names, Problems())

    @cached_property
    def declared(self) -> Mapping[str, Declared]:
        """Rules, lets and proofs, the engine's own included. Of a name declared twice the first counts."""
        found: dict[str, Declared] = {}
        for file in (self.base, *self.files):
            for statement in file.statements:
                if not isinstance(statement, tree.Language | tree.Test):
                    found.setdefault(statement.name.text, Declared(statement, statement.name))
        if self._configured is not None:
            for rule in lower(self._configured[1]):
                found.setdefault(rule.name.text, Declared(rule, rule.name))
        return found

    def is_let(self, name: str) -> bool:
        declared = self.declared.get(name)
        return declared is not None and isinstance(declared.statement, tree.Let)

    # --- What there is to say ---

    @cached_property
    def report(self) -> "Report | None":
        """What `engine lint` says; None where there is no policy folder."""
        if self.policy_folder is None:
            return None
        from engine.analysis.linter import lint

        problems = Problems()
        for problem in self.problems:
            problems.add(problem)
        return lint(self.policy_folder, problems)

    @cached_property
    def findings(self) -> tuple[Diagnostic, ...]:
        """In a folder that is no policy folder only what is wrong with the syntax."""
        if self.report is not None:
            return tuple(self.report.findings)
        problems = Problems()
        for source in self.sources:
            if source.name.endswith(".route"):
                parse(source, problems)
        return tuple(problems)

    def judge_unsaved(self) -> None:
        """Puts into `judged` what saving the open texts would let out or spend; nothing where they have an
        error. Takes longer than an author waits for a hover."""
        from engine.editor.unsaved import unsaved_findings

        if self.saved is not None and self.report is not None and self.report.context is not None:
            self.judged = tuple(unsaved_findings(self.saved, self.report.context.policy))

    def with_texts(self, texts: Mapping[str, str]) -> "View":
        """The folder as it would be with other texts."""
        return View(self.folder, {**self.open_texts, **texts})


def _overlaid(files: PolicyFolder | None, texts: Mapping[str, str]) -> PolicyFolder | None:
    if files is None:
        return None
    routes = {source.name: source for source in files.routes}
    routes |= {
        name: Source(name, text) for name, text in texts.items() if name.endswith(".route") and name != BASE
    }
    models, policies = texts.get(CATALOGUE), texts.get(SETTINGS)
    return replace(
        files,
        routes=tuple(routes[name] for name in sorted(routes, key=str.encode)),
        models=files.models if models is None else Source(CATALOGUE, models),
        policies=files.policies if policies is None else Source(SETTINGS, policies),
    )
