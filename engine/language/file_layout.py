"""A parsed file -> its canonical text, every comment kept, in order, next to what it stood next to.

Formatting changes blank space and nothing else, so a place in a file is known by how many characters stand
before it, blank space and comments apart (`layout.weight`): the same number finds it in the printed text. A
comment inside a statement ends a line there if a line may end there; otherwise it moves to the end of its
line, or above it when there is more than one. Between statements the author's blank lines are kept, up to
two.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.language import syntax_tree as tree
from engine.language.diagnostics import Problems
from engine.language.formatter import INDENT, print_statement, widest_name
from engine.language.layout import weight
from engine.language.parser import parse
from engine.language.source import Source

MOST_BLANK_LINES = 2


class WouldChangeMeaning(Exception):  # noqa: N818 - a bug in the formatter, caught before it does harm
    """What was printed does not read as what was written."""


@dataclass(slots=True)
class _Comment:
    """A comment and its place: the weight before it, and whether something stands before it on its line."""

    text: str
    before: int
    is_trailing: bool
    start: int
    end: int


@dataclass(slots=True)
class _Item:
    """A statement, or a comment between statements; `start` and `end` are offsets in the source."""

    what: "tree.Statement | _Comment"
    start: int
    end: int
    inner: list[_Comment] = field(default_factory=list)
    behind: list[_Comment] = field(default_factory=list)
    blank_lines: int = 0
    indent: int = 0
    leads_to_close: bool = False
    """Of a comment: the next statement is a let or a proof."""

    @property
    def is_close(self) -> bool:
        """Lets and proofs may stand without a blank line between."""
        return isinstance(self.what, tree.Let | tree.Prove)


def format_source(source: Source, problems: Problems) -> str | None:
    """The canonical text of a file; None when it has errors, which are in the problems.

    Raises WouldChangeMeaning rather than give back a text that reads otherwise.
    """
    found = Problems()
    file = parse(source, found)
    for problem in found:
        problems.add(problem)
    if found.has_errors:
        return None
    text = format_file(file)
    _verify(file, text)
    return text


def format_file(file: tree.File) -> str:
    """The canonical text of a file without errors."""
    items = _items(file)
    above = [0, *map(_blank_lines, items, items[1:])]
    widths = _name_widths(items, above)
    lines: list[str] = []
    for place, item in enumerate(items):
        lines += [""] * above[place]
        if isinstance(item.what, _Comment):
            lines.append(" " * item.indent + item.what.text)
        else:
            lines += _statement_lines(item, widths[place])
    return "\n".join(lines) + "\n" if lines else ""


def _verify(file: tree.File, text: str) -> None:
    problems = Problems()
    again = parse(Source(file.source.name, text), problems)
    before, after = ([comment.text.rstrip() for comment in each.comments] for each in (file, again))
    if problems.has_errors or again.statements != file.statements or before != after:
        raise WouldChangeMeaning


# --- Statements and the comments between them ---------------------------------------------------------


def _items(file: tree.File) -> list[_Item]:
    """Statements and the comments between them, in order; a comment inside a statement, or behind it, is the
    statement's."""
    text = file.source.text
    comments = deque(_comments(file))
    items: list[_Item] = []
    position, before = 0, 0
    for statement in file.statements:
        start, end = statement.span.start, statement.span.end
        first = before + weight(text, position, start)
        before = first + weight(text, start, end)
        position = end
        while comments and comments[0].start < start:
            _add_between(items, comments.popleft())
        item = _Item(statement, start, end)
        while comments and comments[0].start < end:
            comment = comments.popleft()
            comment.before -= first
            item.inner.append(comment)
        if comments and comments[0].is_trailing and comments[0].before == before:
            item.behind.append(comments.popleft())
        items.append(item)
    for comment in comments:
        _add_between(items, comment)
    for place, item in enumerate(items):
        if place:
            previous = items[place - 1]
            last = previous.behind[-1].end if previous.behind else previous.end
            item.blank_lines = max(text.count("\n", last, item.start) - 1, 0)
    _keep_with_what_they_follow(items, file.source)
    return items


def _add_between(items: list[_Item], comment: _Comment) -> None:
    items.append(_Item(comment, comment.start, comment.end))


def _comments(file: tree.File) -> list[_Comment]:
    """Each with its place; one before a comma stands behind it."""
    text = file.source.text
    comments = []
    position = before = 0
    for comment in file.comments:
        span = comment.span
        before += weight(text, position, span.start)
        position = span.end
        line = text.rfind("\n", 0, span.start) + 1
        is_trailing = bool(text[line : span.start].strip())
        comments.append(_Comment(comment.text.rstrip(), before, is_trailing, span.start, span.end))
    following = ""
    for place in range(len(comments) - 1, -1, -1):
        end = comments[place + 1].start if place + 1 < len(comments) else len(text)
        between = text[comments[place].end : end].lstrip()
        following = between[:1] or following
        comments[place].before += following == ","
    return comments


def _keep_with_what_they_follow(items: Sequence[_Item], source: Source) -> None:
    """Finds what each comment leads to.

    Indented ones right below a statement, and further in than what comes next, stay its own.
    """
    next_columns = [1] * len(items)
    for place in range(len(items) - 2, -1, -1):
        following = items[place + 1]
        items[place].leads_to_close = following.is_close or (
            following.leads_to_close and isinstance(following.what, _Comment)
        )
        if not following.blank_lines:
            is_comment = isinstance(following.what, _Comment)
            next_columns[place] = (
                next_columns[place + 1] if is_comment else source.position(following.start)[1]
            )
    for previous, item, next_column in zip(items, items[1:], next_columns[1:], strict=False):
        if not isinstance(item.what, _Comment) or item.blank_lines:
            continue
        follows = not isinstance(previous.what, _Comment) or previous.indent > 0
        if follows and source.position(item.start)[1] > next_column:
            item.indent = INDENT


def _blank_lines(previous: _Item, item: _Item) -> int:
    if item.indent:
        return 0
    most = min(item.blank_lines, MOST_BLANK_LINES)
    if isinstance(previous.what, _Comment):
        return most if not previous.indent else max(most, 1)
    if isinstance(item.what, _Comment):
        return most if previous.is_close and item.leads_to_close else max(most, 1)
    is_run = item.is_close and type(previous.what) is type(item.what)
    return most if is_run else max(most, 1)


def _name_widths(items: Sequence[_Item], blank_lines_above: Sequence[int]) -> list[int]:
    """For each let and proof the widest name among those that stand close to it."""
    widths = [0] * len(items)
    run: list[int] = []
    kind: type | None = None
    for place, item in enumerate(items):
        is_comment = isinstance(item.what, _Comment)
        if blank_lines_above[place] or not (is_comment or type(item.what) is kind):
            _widen(items, run, widths)
            run, kind = [], type(item.what)
        if item.is_close and not is_comment:
            run.append(place)
    _widen(items, run, widths)
    return widths


def _widen(items: Sequence[_Item], run: Sequence[int], widths: list[int]) -> None:
    if not run:
        return
    widest = widest_name(_statement(items[place]) for place in run)
    for place in run:
        widths[place] = widest


def _statement(item: _Item) -> tree.Statement:
    assert not isinstance(item.what, _Comment)
    return item.what


# --- One statement and its comments -------------------------------------------------------------------


def _statement_lines(item: _Item, name_width: int) -> list[str]:
    forced = frozenset(comment.before for comment in item.inner)
    printed = print_statement(_statement(item), name_width, forced)
    total = weight(printed)
    lines: list[str] = []
    inner = deque(item.inner)
    end = 0
    for line in printed.split("\n"):
        end += weight(line)
        mine = []
        while inner and (inner[0].before < end or (inner[0].before == end and inner[0].is_trailing)):
            mine.append(inner.popleft())
        if not inner and end == total:
            mine += item.behind
        indent = line[: len(line) - len(line.lstrip())]
        last = mine.pop() if mine and mine[-1].is_trailing else None
        lines += [indent + comment.text for comment in mine]
        lines.append(f"{line}  {last.text}" if last else line)
    return lines
