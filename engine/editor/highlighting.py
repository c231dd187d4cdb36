"""`.route` text -> tokens for Pygments, and so for rich, Sphinx, MkDocs and whatever else highlights with it.

Found through the entry point `pygments.lexers`. It reads what is written, right or wrong; what parses is for
the grammar to say.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Text

from engine.language.statement_forms import keywords
from engine.language.vocabulary import ATTRIBUTES, FACTS, FOUR_LEVELS, QUALITIES, TOOL_SUPPORT, WEEKDAYS
from engine.language.wording import BARE_NAME

_groups: Callable[..., Any] = bygroups  # its stubs say nothing of it

_NAME = BARE_NAME.pattern
_WATCH = r"(?:\s*\(\s*watch\s*\))?"
_RULE_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_CONSTANTS = tuple(dict.fromkeys((*FOUR_LEVELS, *QUALITIES, *TOOL_SUPPORT)))


def _words(*words: str) -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return rf"(?:{'|'.join(word.replace('.', chr(92) + '.') for word in longest_first)})(?![A-Za-z0-9_.:-])"


class RouteLexer(RegexLexer):
    """Policies of the local-first router."""

    name = "Route policy"
    aliases: ClassVar = ["route", "route-part"]
    filenames: ClassVar = ["*.route"]
    mimetypes: ClassVar = ["text/x-route"]
    version_added = ""

    tokens: ClassVar = {
        "root": [
            (r"\s+", Text.Whitespace),
            (r"#.*", Comment.Single),
            (r'"(?:[^"\\\n]|\\.)*"?', String.Double),
            (
                rf"({keywords('number')})(\s+)([0-9]+(?:\.[0-9]+)?)",
                _groups(Keyword.Namespace, Text.Whitespace, Number),
            ),
            (
                rf"({keywords('name and colon')})(\s+)({_RULE_NAME})(?={_WATCH}\s*:)",
                _groups(Keyword.Declaration, Text.Whitespace, Name.Function),
            ),
            (
                rf"({keywords('name and equals')})(\s+)({_RULE_NAME})(?=\s*=)",
                _groups(Keyword.Declaration, Text.Whitespace, Name.Constant),
            ),
            (rf'(?:{keywords("title")})(?=\s*")', Keyword.Declaration),
            (
                rf"(because)(\s+)({_RULE_NAME})(?![A-Za-z0-9_.:-])",
                _groups(Keyword, Text.Whitespace, Name.Function),
            ),
            (
                rf"(expect)(\s+)(route)(\s+)({_RULE_NAME})(?![A-Za-z0-9_.:-])",
                _groups(Keyword, Text.Whitespace, Keyword, Text.Whitespace, Name.Function),
            ),
            (
                rf"(prove)(\s+)({_RULE_NAME})(\s*:\s*)(first|route|refused)(?![A-Za-z0-9_.:-])",
                _groups(Keyword.Declaration, Text.Whitespace, Name.Function, Punctuation, Keyword),
            ),
            (r"(session)(\s+)(had)(?![A-Za-z0-9_.:-])", _groups(Keyword, Text.Whitespace, Keyword)),
            (
                r"(has)(\s+)(any|all)(?![A-Za-z0-9_.:-])",
                _groups(Operator.Word, Text.Whitespace, Operator.Word),
            ),
            (_words("and", "or", "not", "is", "in", "has", "empty"), Operator.Word),
            (
                _words(
                    *("when", "unless", "because", "use", "then", "by", "given", "expect", "watch"),
                    *("never", "only", "some", "refused", "chain", "after"),
                ),
                Keyword,
            ),
            (_words(*FACTS), Name.Variable.Global),
            (_words(*ATTRIBUTES), Name.Attribute),
            (_words("local", "cloud", "any"), Name.Builtin),
            (_words(*_CONSTANTS), Name.Constant),
            (rf"(?:{'|'.join(WEEKDAYS)})(?=\.\.)", Name.Constant),
            (_words(*WEEKDAYS), Name.Constant),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}", Number),
            (r"\$?[0-9]+(?:\.[0-9]+)?[kM%]?", Number),
            (r"<=|>=|<|>|=(?!=)|\.\.\.?", Operator),
            (r"[\[\](),:]", Punctuation),
            (_NAME, Name),
            (r".", Error),
        ]
    }
