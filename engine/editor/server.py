"""The language server: what an editor asks over LSP -> answers of the other modules of this package.

The only module that imports pygls. Positions in LSP count UTF-16 units, or whatever the client and the server
agreed on; everything else here counts code points.
"""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from engine.editor import completion, hover, renaming
from engine.editor.occurrences import Occurrence, occurrence_at
from engine.editor.view import View
from engine.language import syntax_tree as tree
from engine.language.diagnostics import Diagnostic, Level, Problems, visible
from engine.language.file_layout import WouldChangeMeaning, format_source
from engine.language.parser import parse
from engine.language.source import Source, Span

QUIET_S = 0.2
"""How long an author must have stopped typing before the whole folder is looked at."""

_SEVERITY = {
    Level.ERROR: types.DiagnosticSeverity.Error,
    Level.WARNING: types.DiagnosticSeverity.Warning,
    Level.INFO: types.DiagnosticSeverity.Information,
}
_ITEM_KINDS = {
    "keyword": types.CompletionItemKind.Keyword,
    "fact": types.CompletionItemKind.Variable,
    "attribute": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.EnumMember,
    "model": types.CompletionItemKind.Value,
    "provider": types.CompletionItemKind.Module,
    "let": types.CompletionItemKind.Constant,
    "rule": types.CompletionItemKind.Function,
}


class PolicyServer(LanguageServer):
    """One editor session: views of the folders that have a document open, each until something in it
    changes."""

    def __init__(self) -> None:
        super().__init__("engine", version("local-first-router"))
        self._views: dict[Path, View] = {}
        self._published: dict[Path, set[str]] = {}
        self._changes: dict[Path, int] = {}

    # --- Documents and folders ---

    def view(self, uri: str) -> View:
        """The folder a document lies in, with every open text."""
        folder = path_of(uri).parent
        if folder not in self._views:
            texts = {
                path_of(each).name: document.source
                for each, document in self.workspace.text_documents.items()
                if path_of(each).parent == folder
            }
            self._views[folder] = View(folder, texts)
        return self._views[folder]

    def forget(self, uri: str) -> None:
        self._views.pop(path_of(uri).parent, None)

    def source(self, uri: str) -> Source:
        """The document as it is in the editor."""
        return Source(path_of(uri).name, self.workspace.get_text_document(uri).source)

    def occurrence(self, uri: str, position: types.Position) -> Occurrence | None:
        source = self.source(uri)
        file = parse(source, Problems())
        return occurrence_at(file, self.offset(source, position))

    # --- Positions ---

    def offset(self, source: Source, position: types.Position) -> int:
        if position.line >= len(source.line_starts):
            return len(source.text)
        line = source.line_text(position.line + 1)
        wanted = min(position.character, self.workspace.position_codec.client_num_units(line))
        units = 0
        for column, character in enumerate(line):
            if units >= wanted:
                return source.line_starts[position.line] + column
            units += self.workspace.position_codec.client_num_units(character)
        return source.line_starts[position.line] + len(line)

    def range(self, span: Span) -> types.Range:
        return types.Range(self._position(span.source, span.start), self._position(span.source, span.end))

    def _position(self, source: Source, offset: int) -> types.Position:
        line, column = source.position(offset)
        before = source.line_text(line)[: column - 1]
        return types.Position(line - 1, self.workspace.position_codec.client_num_units(before))

    def location(self, view: View, span: Span) -> types.Location:
        return types.Location(self.uri(view, span.source.name), self.range(span))

    def uri(self, view: View, name: str) -> str:
        """How the editor calls a file of the folder."""
        document = self._open(view.folder, name)
        return document.uri if document else view.path(name).absolute().as_uri()

    def edit(self, view: View, edits: Sequence[tuple[Span, str]]) -> types.WorkspaceEdit:
        """Changes of texts as the client makes them, file by file."""
        changes: dict[str, list[types.TextEdit]] = {}
        for span, text in edits:
            changes.setdefault(self.uri(view, span.source.name), []).append(
                types.TextEdit(self.range(span), text)
            )
        return types.WorkspaceEdit(changes=changes)

    # --- Diagnostics ---

    def publish(self, uri: str) -> None:
        """Everything there is to say of the folder, file by file; also that there is nothing left to say."""
        view, folder = self.view(uri), path_of(uri).parent
        found: dict[str, list[types.Diagnostic]] = {name: [] for name in self._published.get(folder, ())}
        found |= {name: [] for name in view.open_texts}
        for finding in (*view.findings, *view.judged):
            name = finding.span.source.name
            found.setdefault(name, []).append(self.diagnostic(view, finding))
        self._published[folder] = {name for name, said in found.items() if said}
        for name, said in found.items():
            document = self._open(folder, name)
            place = self.uri(view, name)
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(place, said, document.version if document else None)
            )

    def _open(self, folder: Path, name: str) -> TextDocument | None:
        documents = self.workspace.text_documents.items()
        return next((each for uri, each in documents if path_of(uri) == folder / name), None)

    def diagnostic(self, view: View, finding: Diagnostic) -> types.Diagnostic:
        message = finding.message if finding.help is None else f"{finding.message}\n{finding.help}"
        return types.Diagnostic(
            self.range(finding.span),
            message,
            severity=_SEVERITY[finding.level],
            code=finding.slug,
            source="engine",
            related_information=[
                types.DiagnosticRelatedInformation(self.location(view, note.span), visible(note.label))
                for note in finding.notes
            ],
        )

    def publish_or_clear(self, folder: Path) -> None:
        """Findings are shown as long as a document of the folder is open."""
        uri = next((each for each in self.workspace.text_documents if path_of(each).parent == folder), None)
        if uri is not None:
            self.publish(uri)
            return
        for name in self._published.pop(folder, ()):
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams((folder / name).absolute().as_uri(), [])
            )

    async def publish_when_quiet(self, uri: str) -> None:
        folder = path_of(uri).parent
        mine = self._changes[folder] = self._changes.get(folder, 0) + 1
        await asyncio.sleep(QUIET_S)
        if self._changes[folder] != mine:
            return
        self.publish(uri)
        view = self.view(uri)
        await asyncio.to_thread(view.judge_unsaved)
        if view.judged and self._views.get(folder) is view:
            self.publish(uri)


def path_of(uri: str) -> Path:
    """The file a URI names; of a document that was never saved a path that no file has."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return Path("/nowhere", parts.scheme, unquote(parts.path).replace("/", "-") or "untitled")
    path = unquote(parts.path)
    is_windows_drive = len(path) > 2 and path[0] == "/" and path[2] == ":"
    return Path(path[1:] if is_windows_drive else path)


def make_server() -> PolicyServer:
    """A server that answers; `start_io` runs it."""
    server = PolicyServer()
    _documents(server)
    _questions(server)
    _changes(server)
    return server


def _documents(server: PolicyServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: PolicyServer, params: types.DidOpenTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)
        ls.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(ls: PolicyServer, params: types.DidChangeTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)
        await ls.publish_when_quiet(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(ls: PolicyServer, params: types.DidSaveTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)
        ls.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: PolicyServer, params: types.DidCloseTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)
        ls.publish_or_clear(path_of(params.text_document.uri).parent)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(ls: PolicyServer, params: types.DidChangeWatchedFilesParams) -> None:
        for change in params.changes:
            ls.forget(change.uri)
        for folder in {path_of(change.uri).parent for change in params.changes}:
            ls.publish_or_clear(folder)


def _questions(server: PolicyServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(ls: PolicyServer, params: types.HoverParams) -> types.Hover | None:
        uri = params.text_document.uri
        found = ls.occurrence(uri, params.position)
        said = hover.hover(ls.view(uri), found) if found else None
        if said is None:
            source = ls.source(uri)
            offset = ls.offset(source, params.position)
            start = completion.partial_word(source.text, offset)
            end = offset
            while end < len(source.text) and source.text[end].isalpha():
                end += 1
            said = hover.keyword(source.text[start:end])
        return None if said is None else types.Hover(types.MarkupContent(types.MarkupKind.Markdown, said))

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[" ", ".", "[", ",", ":"])
    )
    def completed(ls: PolicyServer, params: types.CompletionParams) -> types.CompletionList:
        uri = params.text_document.uri
        source = ls.source(uri)
        offset = ls.offset(source, params.position)
        place = ls.range(source.span(completion.partial_word(source.text, offset), offset))
        items = [
            types.CompletionItem(
                each.text,
                kind=_ITEM_KINDS[each.sort],
                detail=visible(each.about),
                sort_text=f"{number:05}",
                text_edit=types.TextEdit(place, each.text),
            )
            for number, each in enumerate(completion.complete(ls.view(uri), source.text, offset))
        ]
        return types.CompletionList(is_incomplete=False, items=items)

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: PolicyServer, params: types.DefinitionParams) -> types.Location | None:
        uri = params.text_document.uri
        found = ls.occurrence(uri, params.position)
        span = renaming.definition(ls.view(uri), found) if found else None
        return None if span is None else ls.location(ls.view(uri), span)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def referred(ls: PolicyServer, params: types.ReferenceParams) -> list[types.Location]:
        uri = params.text_document.uri
        found, view = ls.occurrence(uri, params.position), ls.view(uri)
        name = renaming.name_of(view, found) if found else None
        return [] if name is None else [ls.location(view, span) for span in renaming.references(view, name)]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(ls: PolicyServer, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        file = parse(ls.source(params.text_document.uri), Problems())
        return [_symbol(ls, each) for each in file.statements if not isinstance(each, tree.Language)]


def _symbol(ls: PolicyServer, statement: tree.Statement) -> types.DocumentSymbol:
    assert not isinstance(statement, tree.Language)
    name = statement.title if isinstance(statement, tree.Test) else statement.name
    kind = types.SymbolKind.Constant if isinstance(statement, tree.Let) else types.SymbolKind.Function
    if isinstance(statement, tree.Test | tree.Prove):
        kind = types.SymbolKind.Event
    word = statement.span.text.split(None, 1)[0]
    return types.DocumentSymbol(
        visible(name.text) or "test", kind, ls.range(statement.span), ls.range(name.span), detail=word
    )


def _changes(server: PolicyServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(ls: PolicyServer, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        source = ls.source(params.text_document.uri)
        try:
            text = format_source(source, Problems())
        except WouldChangeMeaning:
            text = None
        if text is None or text == source.text:
            return []
        return [types.TextEdit(ls.range(source.span(0, len(source.text))), text)]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def renamable(ls: PolicyServer, params: types.PrepareRenameParams) -> types.Range | None:
        uri = params.text_document.uri
        found = ls.occurrence(uri, params.position)
        if found is None:
            return None
        try:
            renaming.check_renamable(ls.view(uri), found)
        except renaming.CannotRename as reason:
            raise JsonRpcInvalidParams(str(reason)) from None
        return ls.range(found.span)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def renamed(ls: PolicyServer, params: types.RenameParams) -> types.WorkspaceEdit | None:
        uri = params.text_document.uri
        found, view = ls.occurrence(uri, params.position), ls.view(uri)
        if found is None:
            return None
        try:
            spans = renaming.rename(view, found, params.new_name)
        except renaming.CannotRename as reason:
            raise JsonRpcInvalidParams(str(reason)) from None
        return ls.edit(view, [(span, params.new_name) for span in spans])

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
    )
    def fixed(ls: PolicyServer, params: types.CodeActionParams) -> list[types.CodeAction]:
        view = ls.view(params.text_document.uri)
        name = path_of(params.text_document.uri).name
        return [
            action
            for finding in view.findings
            if finding.span.source.name == name and _touches(ls.range(finding.span), params.range)
            for action in [_fix(ls, view, finding)]
            if action is not None
        ]


def _fix(ls: PolicyServer, view: View, finding: Diagnostic) -> types.CodeAction | None:
    """The change that the finding's lint rule knows to be safe."""
    from engine.analysis.lint_rules import BY_SLUG

    rule = BY_SLUG.get(finding.slug)
    context = view.report.context if view.report is not None else None
    if rule is None or rule.fix is None or context is None:
        return None
    edits = [(edit.span, edit.text) for edit in rule.fix(context, finding)]
    if not edits:
        return None
    return types.CodeAction(
        f"fix {finding.slug}",
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[ls.diagnostic(view, finding)],
        edit=ls.edit(view, edits),
        is_preferred=True,
    )


def _touches(one: types.Range, other: types.Range) -> bool:
    ends = [(each.line, each.character) for each in (one.start, one.end, other.start, other.end)]
    return ends[0] <= ends[3] and ends[2] <= ends[1]
