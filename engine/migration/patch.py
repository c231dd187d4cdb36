"""The calls of one file -> the file with the plain ones rewritten for the router, and why the
others are not plain.

A plain call is awaited, its client is created in this file, in `__init__` or at module level, the router has
all its keywords, and its answer is only read as text. Every other call is left to a person, with the reason.
"""

import ast
import difflib
import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.migration.call_site import CallSite, messages_code
from engine.migration.python_files import Module

FORMS = {"messages.create": "content[0].text", "chat.completions.create": "choices[0].message.content"}
PASSED_ON = ("max_tokens", "max_completion_tokens", "temperature", "tools")
UNDERSTOOD = frozenset({"model", "messages", "system", *PASSED_ON})
PLAIN_CLIENTS = frozenset({"AsyncAnthropic", "AsyncOpenAI", "AsyncClient"})
ADDRESSES = frozenset({"base_url", "http_client", "**"})
ROUTER = "model_router"
IMPORT = "from engine import ModelRouter, TaskProfile"


@dataclass(frozen=True, slots=True)
class FilePatch:
    """The new text of a file (None when no call in it is plain), and why each other call stays."""

    text: str | None
    left: dict[CallSite, str]


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(slots=True)
class _Plain:
    """A call that can be rewritten, where its client is created, and the expressions that read its answer."""

    site: CallSite
    created: ast.Assign
    owner: ast.ClassDef | None
    reads: list[ast.expr] = field(default_factory=list)


def rewrite(module: Module, sites: Sequence[CallSite]) -> FilePatch:
    """Every plain call of the file rewritten."""
    if not module.patchable:
        return FilePatch(None, dict.fromkeys(sites, "the file is not plain UTF-8 text with LF line ends"))
    reader = _Reader(module)
    plain: list[_Plain] = []
    left: dict[CallSite, str] = {}
    for site in sites:
        judged = reader.judge(site)
        if isinstance(judged, str):
            left[site] = judged
        else:
            plain.append(judged)
    first: dict[ast.ClassDef | None, ast.Assign] = {}
    for case in list(plain):
        if first.setdefault(case.owner, case.created) is not case.created:
            plain.remove(case)
            left[case.site] = "another client of the same place is replaced already"
    if not plain:
        return FilePatch(None, left)
    return FilePatch(_edited(module, _edits(module, reader, plain)), left)


def unified(file: str, before: str, after: str) -> str:
    """A patch that `patch -p1` and `git apply` take."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    text = ""
    for line in lines:
        text += line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
    return text


class _Reader:
    """The tree of one file, with the way up."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(module.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.library_names = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if _names_a_library(node, alias)
        }
        self.names_the_router = any(
            (isinstance(node, ast.Name) and node.id == ROUTER)
            or (isinstance(node, ast.Attribute) and node.attr == ROUTER)
            or (isinstance(node, ast.alias) and ROUTER in (node.name, node.asname))
            for node in ast.walk(module.tree)
        )

    def judge(self, site: CallSite) -> _Plain | str:
        """The call as a plain case, or why it is none."""
        found, node = site.found, site.found.node
        if self.names_the_router:
            return f"the file has a {ROUTER} already"
        if not site.traced:
            return "where its client comes from could not be traced"
        if found.kind.form not in FORMS or site.library not in ("anthropic", "openai"):
            return f"a {site.library} {found.kind.form} call has no router call of the same shape"
        if site.streaming:
            return "it streams: the router's stream gives other chunks"
        awaited = self.parents.get(node)
        if not site.asynchronous or not isinstance(awaited, ast.Await):
            return "it is synchronous, and the router is asynchronous"
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        if (
            node.args
            or len(given) != len(node.keywords)
            or set(given) != {name for name, _ in found.keywords}
        ):
            return "its arguments are not all written at the call"
        unknown = sorted(set(given) - UNDERSTOOD)
        if unknown:
            return f"the router has no {', '.join(unknown)}"
        if "messages" not in given:
            return "it has no messages"
        if any(_is_blocks(given[name]) for name in ("messages", "system") if name in given):
            return "its messages hold content blocks in the library's own shape"
        client = found.client
        if client is not None and (
            client.path.rpartition(".")[2] not in PLAIN_CLIENTS
            or ADDRESSES & {name for name, _ in client.keywords}
        ):
            return "its client has an address of its own: give it a provider in models.yaml"
        if "tools" in given and site.library == "anthropic":
            return "its tools are in Anthropic's shape"
        if _has_comment(ast.get_source_segment(self.module.text, node) or ""):
            return "a comment stands inside it"
        if self._errors_are_caught(node):
            return "its errors are caught by the library's own classes"
        created = self._creation(site)
        if isinstance(created, str):
            return created
        reads = self._reads(awaited, FORMS[found.kind.form])
        if isinstance(reads, str):
            return reads
        return _Plain(site, *created, reads)

    def enclosing(self, node: ast.AST, *kinds: type[ast.AST]) -> ast.AST | None:
        """The nearest node around it of one of the kinds."""
        around = self.parents.get(node)
        while around is not None and not isinstance(around, kinds):
            around = self.parents.get(around)
        return around

    def _errors_are_caught(self, node: ast.AST) -> bool:
        around = self.enclosing(node, ast.Try)
        while isinstance(around, ast.Try):
            for handler in around.handlers:
                if handler.type is not None and any(
                    isinstance(name, ast.Name) and name.id in self.library_names
                    for name in ast.walk(handler.type)
                ):
                    return True
            around = self.enclosing(around, ast.Try)
        return False

    def _creation(self, site: CallSite) -> tuple[ast.Assign, ast.ClassDef | None] | str:
        """Where the client is created: `self.x = Client(...)` in the same class, or `x = Client(...)` in
        the module."""
        elsewhere = "its client is not made in this file's `__init__` or at module level"
        client = site.found.client
        if client is None or client.created_at is None or client.created_at[0] != site.file:
            return elsewhere
        for node in ast.walk(self.module.tree):
            if (
                isinstance(node, ast.Assign)
                and (node.value.lineno, node.value.col_offset) == client.created_at[1:]
            ):
                break
        else:
            return elsewhere
        if len(node.targets) != 1:
            return elsewhere
        used = ast.unparse(site.found.node.func).removesuffix("." + site.found.kind.form)
        if used != ast.unparse(node.targets[0]):
            return elsewhere
        owner = self.enclosing(site.found.node, ast.ClassDef)
        match node.targets[0]:
            case ast.Attribute(value=ast.Name(id="self")) if isinstance(owner, ast.ClassDef):
                function = self.enclosing(node, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
                if (
                    isinstance(function, ast.FunctionDef)
                    and function.name == "__init__"
                    and self.parents.get(node) is function
                    and self.enclosing(function, ast.ClassDef) is owner
                ):
                    return node, owner
            case ast.Name() if self.parents.get(node) is self.module.tree:
                return node, None
        return elsewhere

    def _reads(self, awaited: ast.Await, read: str) -> list[ast.expr] | str:
        """The expressions that take the text of the answer."""
        otherwise = f"its answer is used for more than .{read}"
        parent = self.parents[awaited]
        direct = self._text_read(awaited, read)
        if direct is not None:
            return [direct]
        if not (
            isinstance(parent, ast.Assign)
            and len(parent.targets) == 1
            and isinstance(parent.targets[0], ast.Name)
        ):
            return otherwise
        name = parent.targets[0].id
        function = self.enclosing(parent, ast.FunctionDef, ast.AsyncFunctionDef)
        if function is None:
            return otherwise
        reads = []
        for node in ast.walk(function):
            if not isinstance(node, ast.Name) or node.id != name or node is parent.targets[0]:
                continue
            reading = self._text_read(node, read) if isinstance(node.ctx, ast.Load) else None
            if reading is None:
                return otherwise
            reads.append(reading)
        return reads or otherwise

    def _text_read(self, node: ast.expr, read: str) -> ast.expr | None:
        """`node.content[0].text`, when that is what stands around the node."""
        whole = (
            f"{ast.unparse(node)}.{read}" if isinstance(node, ast.Name) else f"({ast.unparse(node)}).{read}"
        )
        around: ast.AST | None = node
        for _ in range(read.count(".") + read.count("[") + 1):
            around = self.parents.get(around) if around is not None else None
        return around if isinstance(around, ast.expr) and ast.unparse(around) == whole else None


def _edits(module: Module, reader: _Reader, plain: list[_Plain]) -> list[_Edit]:
    place = _Places(module.text)
    edits: list[_Edit] = []
    for case in plain:
        edits.append(place.over(case.site.found.node, _call(module, case)))
        for read in case.reads:
            inner = next(
                node
                for node in ast.walk(read)
                if isinstance(node, ast.Name | ast.Await) and not isinstance(node, ast.Load)
            )
            if isinstance(inner, ast.Await):
                # `(await call).content[0].text`: keep the brackets, replace what follows them.
                start = place.offset(inner.end_lineno or 0, inner.end_col_offset or 0)
                text = module.text.encode()
                start = text.index(b")", start) + 1
                edits.append(_Edit(start, place.over(read, "").end, '["content"]'))
            else:
                edits.append(place.over(read, f'{ast.unparse(inner)}["content"]'))
    replaced: set[ast.AST] = set()
    for case in {case.created: case for case in plain}.values():
        prefix = "self." if case.owner is not None else ""
        router = f"{prefix}{ROUTER} = ModelRouter()"
        if _is_unused(reader, case, plain):
            edits.append(place.over(case.created, router))
            replaced.add(case.created)
        else:
            indent = " " * case.created.col_offset
            end = place.over(case.created, "").end
            edits.append(_Edit(end, end, f"\n{indent}{router}"))
    return edits + _import_edits(module, reader, place, replaced)


def _call(module: Module, case: _Plain) -> str:
    site = case.site
    given = {keyword.arg: keyword.value for keyword in site.found.node.keywords if keyword.arg is not None}
    segment = ast.get_source_segment(module.text, given["messages"]) or "messages"
    lines = [f"{site.profile.code()},", f"{messages_code(site.found, dict(site.found.keywords), segment)},"]
    for name in PASSED_ON:
        if name in given:
            passed = ast.get_source_segment(module.text, given[name]) or ast.unparse(given[name])
            lines.append(f"{name.replace('max_completion_tokens', 'max_tokens')}={passed},")
    line = module.text.split("\n")[site.line - 1]
    indent = line[: len(line) - len(line.lstrip())]
    router = f"self.{ROUTER}" if case.owner is not None else ROUTER
    body = "".join(f"{indent}    {argument}\n" for argument in lines)
    return f"{router}.select_and_invoke(\n{body}{indent})"


def _is_unused(reader: _Reader, case: _Plain, plain: list[_Plain]) -> bool:
    """Whether nothing but rewritten calls uses the client, so that it can go."""
    target = ast.unparse(case.created.targets[0])
    rewritten = {id(one.site.found.node) for one in plain}
    for node in ast.walk(reader.module.tree):
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        if ast.unparse(node) == target:
            call = reader.enclosing(node, ast.Call)
            if call is None or id(call) not in rewritten:
                return False
    return True


def _import_edits(module: Module, reader: _Reader, place: "_Places", replaced: set[ast.AST]) -> list[_Edit]:
    """The router's import; a client's import that nothing uses any more goes."""
    used = {
        node.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name)
        and not any(reader_node in replaced for reader_node in _up(reader, node))
    }
    texts = [
        node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    edits: list[_Edit] = []
    written = False
    last: ast.stmt | None = None
    for node in module.tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        last = node
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        kept = [
            alias
            for alias in node.names
            if not _names_a_library(node, alias)
            or (alias.asname or alias.name).partition(".")[0] in used
            or any((alias.asname or alias.name) in text for text in texts)
        ]
        if len(kept) == len(node.names) or not replaced:
            continue
        if kept:
            rebuilt = (
                ast.ImportFrom(node.module, kept, node.level)
                if isinstance(node, ast.ImportFrom)
                else ast.Import(kept)
            )
            edits.append(place.over(node, ast.unparse(rebuilt)))
        elif written:
            over = place.over(node, "")
            edits.append(_Edit(over.start, over.end + 1, ""))
        else:
            written = True
            edits.append(place.over(node, IMPORT))
    if not written and last is not None:
        end = place.over(last, "").end
        edits.append(_Edit(end, end, f"\n{IMPORT}"))
    return edits


def _is_blocks(node: ast.expr) -> bool:
    """Whether a dict with a `type` stands in it: a text block, an image, a tool result."""
    return any(
        isinstance(key, ast.Constant) and key.value == "type"
        for inner in ast.walk(node)
        if isinstance(inner, ast.Dict)
        for key in inner.keys
    )


def _has_comment(code: str) -> bool:
    words = tokenize.generate_tokens(io.StringIO(code).readline)
    return any(word.type == tokenize.COMMENT for word in words)


def _up(reader: _Reader, node: ast.AST) -> list[ast.AST]:
    chain = []
    around: ast.AST | None = node
    while around is not None:
        chain.append(around)
        around = reader.parents.get(around)
    return chain


def _names_a_library(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
    return module.partition(".")[0] in ("anthropic", "openai")


class _Places:
    """Line and column of a tree -> byte offsets in the file."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        for line in text.encode().split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def over(self, node: ast.expr | ast.stmt, text: str) -> _Edit:
        """Replace the node."""
        end = self.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return _Edit(self.offset(node.lineno, node.col_offset), end, text)


def _edited(module: Module, edits: list[_Edit]) -> str:
    data = module.text.encode()
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        data = data[: edit.start] + edit.text.encode() + data[edit.end :]
    return data.decode()
