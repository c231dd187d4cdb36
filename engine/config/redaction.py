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
    r"(?!first_token(?![\w-]))[\w-]*(?:api[_-]?keys?|secrets?|secret[_-]keys?|access[_-]keys?|private[_-]keys?"
    r"|passwords?|passwd|token|credentials?|authorization)"
)

# `api_key: VALUE`, `"token": VALUE`: whatever follows, to the end of the line and of the block.
_SECRET = re.compile(rf"""(?<![\w-])(?i:{_SECRET_KEY})(?![\w-])["']?[ \t]*+:(?=\s)[ \t]*+""")
# A price by the token, and a name in place of a key: neither is one.
_NO_SECRET = re.compile(
    r"[-+]?[0-9][0-9_.,]*(?:e[-+]?[0-9]+)?|\$\{[A-Za-z_]\w*\}|\$[A-Z_][A-Z0-9_]*|os\.environ/[A-Za-z_]\w*|"
)

# `api_key_env: VALUE`
_VARIABLE_KEY = re.compile(r"""(?<![\w-])[\w-]*_env(?![\w-])["']?[ \t]*+:[ \t]++""")

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
    r"(?<=://)(?:[^\s/@\"'█]+|[^\s/@:\"'█]*:(?![0-9]+/)[^\s@\"'█]+)(?=@)|(?<=[?&])((?:api_?key|key|token|sig|secret)=)([^\s&\"']+)"
)


def without_secrets(source: Source) -> Source:
    """The source itself when nothing in it looks like a secret, else one of the same length without them."""
    text = _without_no_variables(_without_values(source.text))
    text = _TOKEN.sub(lambda found: BLANK * len(found[0]), text)
    text = _IN_ADDRESS.sub(_blank_in_address, text)
    return source if text == source.text else Source(source.name, text)


def is_blanked(text: str) -> bool:
    return BLANK in text


def is_secret_key(key: str) -> bool:
    """Whether a key of this name would hold a secret itself, and not the name of a variable."""
    return re.fullmatch(_SECRET_KEY, key, re.IGNORECASE) is not None


def variable_named(value: str) -> str | None:
    """The variable that a value of other tools refers to: `os.environ/NAME`, `${NAME}`, `$NAME`."""
    found = re.fullmatch(r"os\.environ/(\w+)|\$\{(\w+)\}|\$([A-Za-z_]\w*)", value.strip())
    return found and (found[1] or found[2] or found[3])


def _without_values(text: str) -> str:
    """The text with the value of every secret key blanked."""
    parts: list[str] = []
    at = 0
    for found in _SECRET.finditer(text):
        start = found.end()
        if found.start() < at:
            continue
        end = _end_of_value(text, found.start(), start)
        if _NO_SECRET.fullmatch(text[start:end].partition(" #")[0].strip(" \t\r\n\"'")) is None:
            parts += (text[at:start], _blanked(text[start:end]))
            at = end
    return "".join((*parts, text[at:]))


def _end_of_value(text: str, key: int, start: int) -> int:
    """Where a value ends that may be anything: with its line, less the brackets that were open before it, and
    with the lines below that belong to it."""
    line = text.rfind("\n", 0, key) + 1
    before = text[line:key]
    end = _line_end(text, start)
    opened = sum(map(before.count, "{[")) - sum(map(before.count, "}]"))
    if opened > 0:
        while (value := text[start:end]).count("[") + value.count("{") > value.count("]") + value.count("}"):
            if end == len(text):
                break
            end = _line_end(text, end + 1)
        closers = re.search(r"[\]} \t\r]*$", text[start:end])
        kept = len(closers[0]) if closers else 0
        while kept and sum(map(text[end - kept : end].count, "}]")) > opened:
            kept -= 1
        return end - kept
    column = len(before) - len(before.lstrip(" -"))
    may_be_list = not text[start:end].strip()
    if re.match(r"[|>][-+0-9]*[ \t\r]*(?:#|$)", text[start:end]):
        # A block, whose first line is of it even where it is not indented as it must be.
        while end < len(text) and not text[end + 1 : (end := _line_end(text, end + 1))].strip():
            pass
    while end < len(text):
        following = text[end + 1 : (after := _line_end(text, end + 1))]
        inside = len(following) - len(following.lstrip(" "))
        is_item = may_be_list and inside == column and following.lstrip(" ").startswith("- ")
        if following.strip() and inside <= column and not is_item:
            break
        end = after
    return end


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _blanked(value: str) -> str:
    """Every character but quotes, block marks and the sign that begins a comment."""
    return re.sub(r"(?<!\s)#|[^\"'|>\s#]", BLANK, value)


def _without_no_variables(text: str) -> str:
    """The text with what stands for the name of a variable, and is none, blanked."""
    parts: list[str] = []
    at = 0
    for found in _VARIABLE_KEY.finditer(text):
        start, end = found.end(), _end_of_value(text, found.start(), found.end())
        if found.start() >= at and not _is_variable(text[start:end]):
            parts += (text[at:start], _blanked(text[start:end]))
            at = end
    return "".join((*parts, text[at:]))


def _is_variable(value: str) -> bool:
    """Whether a value, with all that follows on its line, is the name of a variable and nothing else but
    further keys of the same brackets, closing ones, or a comment."""
    found = _VARIABLE_AND_MORE.fullmatch(value)
    return found is not None and (not found[1] or not _looks_random(found[1]))


_VARIABLE_AND_MORE = re.compile(
    r"""\s*["']?([A-Za-z_][A-Za-z0-9_]{0,79}|)["']?[ \t\r]*+(?:[}\]]+[ \t\r]*)*+"""
    r"""(?:,(?:[ \t]+["']?[\w-]+["']?[ \t]*:|[ \t\r]*(?:[{}\]]|\n|$)).*|(?<=[ \t])#.*|\s*)""",
    re.DOTALL,
)


def _blank_in_address(found: re.Match[str]) -> str:
    return (found[1] or "") + BLANK * len(found[2] or found[0])


def _looks_random(name: str) -> bool:
    """`a3f90c...`, `hf_abc`: no one calls a variable so."""
    if re.match("(?:sk|pk|gsk|xai|hf|r8|ghp|gho|pplx|nvapi|fw)_", name):
        return True
    return len(name) >= 20 and "_" not in name and bool(re.search("[0-9]", name)) and name != name.upper()
