"""The text of a file -> the same text with every secret blanked, character by character.

Keys do not belong in these files, and an error that says so must not print them: findings show the author's
own line, and so do traces and pull requests. So the blanking comes before anything reads the text, and places
stay where they were. It errs towards blanking: what is no secret but looks like one is refused all the same.
"""

import re

from engine.language.source import Source

BLANK = "█"

# `first_token` is a time limit, and holds a number.
_SECRET_KEY = (
    r"(?!first_token(?![\w-]))[\w-]*(?:api[_-]?key|secret|secret[_-]key|access[_-]key|password|passwd|token|credentials?"
    r"|authorization)"
)

# `api_key: VALUE`, `"token": VALUE`, `api_key_env: VALUE`; possessive, so that long lines cost no more than
# once.
_ASSIGNMENT = re.compile(
    rf"""(?<![\w-])((?i:{_SECRET_KEY})|[\w-]*_env)(?![\w-])["']?[ \t]*+:[ \t]++"""
    r"""("(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?|[|>][-+0-9]*+[ \t]*+\r?\n[^\n]*+|[^\s,}\]#][^\n,}\]#]*+)"""
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")

# What the common services hand out, wherever it stands. A digit is asked for, so that no word in hyphens is
# one.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:sk|pk|rk|gsk|xai|pplx|nvapi|glpat|fw)[-_](?=[A-Za-z_-]*+[0-9])[A-Za-z0-9_-]{16,}+"
    r"|(?:hf|r8|ghp|gho|ghs|github_pat|tgp_v1)_[A-Za-z0-9_]{16,}+"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}+|AIza[A-Za-z0-9_-]{20,}+|eyJ[A-Za-z0-9_-]{16,}+[A-Za-z0-9_.-]*+"
    r")|(?<=[Bb]earer )[A-Za-z0-9_.~+/=-]{8,}+"
)
_IN_ADDRESS = re.compile(
    r"(?<=://)[^\s/@\"'█]+(?=@)|(?<=[?&])((?:api_?key|key|token|sig|secret)=)([^\s&\"']+)"
)


def without_secrets(source: Source) -> Source:
    """The source itself when nothing in it looks like a secret, else one of the same length without them."""
    text = _ASSIGNMENT.sub(_blank_assignment, source.text)
    text = _TOKEN.sub(lambda found: BLANK * len(found[0]), text)
    text = _IN_ADDRESS.sub(_blank_in_address, text)
    return source if text == source.text else Source(source.name, text)


def is_blanked(text: str) -> bool:
    return BLANK in text


def is_secret_key(key: str) -> bool:
    """Whether a key of this name would hold a secret itself, and not the name of a variable."""
    return re.fullmatch(_SECRET_KEY, key, re.IGNORECASE) is not None


def _blank_assignment(found: re.Match[str]) -> str:
    key, value = found[1], found[2]
    bare = value.strip(" \t\"'")
    holds_a_name = key.endswith("_env") and _VARIABLE.fullmatch(bare) and not _looks_random(bare)
    if holds_a_name or not bare:
        return found[0]
    start = found.start(2) - found.start()
    return found[0][:start] + re.sub(r"[^\"'|>\s]", BLANK, value)


def _blank_in_address(found: re.Match[str]) -> str:
    return (found[1] or "") + BLANK * len(found[2] or found[0])


def _looks_random(name: str) -> bool:
    """`a3f90c...`, `hf_abc`: no one calls a variable so."""
    if re.match("(?:sk|pk|gsk|xai|hf|r8|ghp|gho|pplx|nvapi|fw)_", name):
        return True
    return len(name) >= 20 and "_" not in name and bool(re.search("[0-9]", name)) and name != name.upper()
