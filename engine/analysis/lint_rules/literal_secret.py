"""Something that looks like a key, in a rule or a comment."""

import re
from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, Example, Finding, LintRule

TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:sk|pk|rk|gsk|xai|pplx|nvapi|glpat)[-_](?=[A-Za-z_-]*+[0-9])[A-Za-z0-9_-]{16,}+"
    r"|(?:hf|r8|ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{16,}+"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}+|AIza[A-Za-z0-9_-]{20,}+|eyJ[A-Za-z0-9_-]{16,}+[A-Za-z0-9_.-]*+)"
)
"""What the common services hand out. A digit is asked for, so that no name in hyphens is one."""


def check(context: LintContext) -> Iterator[Finding]:
    for source in context.policy.folder.routes:
        for found in TOKEN.finditer(source.text):
            yield Finding(
                source.span(*found.span()),
                "this looks like a key, and keys do not belong in a policy; it is not printed",
                "take it out, and have it revoked: whoever can read the policy has it",
            )


RULE = LintRule(
    slug="literal-secret",
    level=ERROR,
    summary="a key in a rule or a comment",
    why="Policies are reviewed, copied and printed. A key in one is known to all who see it.",
    bad=Example(
        "# the key is sk-live-0123456789abcdefghij\nforbid f: gpt when task.labels has pii\n",
        ("sk-live-0123456789abcdefghij",),
    ),
    good=Example("# the key is in OPENAI_API_KEY\nforbid f: gpt when task.labels has pii\n"),
    near_miss=Example("# sk-something-with-many-hyphens-in-it\nforbid f: gpt when task.labels has pii\n"),
    check=check,
)
