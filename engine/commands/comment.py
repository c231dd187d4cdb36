"""`engine comment`: puts what `engine review` wrote on the pull request, in the place of what was there."""

import argparse
from pathlib import Path

from engine.commands.terminal import Terminal
from engine.errors import EngineError

SUMMARY = "put a review on its pull request, in the place of the one before"
DESCRIPTION = """Writes the comment that `engine review` made on a pull request, or writes it again where it
stands already: a comment with the same hidden first line, by the same author. Comments of others are never
touched. Reads GITHUB_TOKEN, GITHUB_REPOSITORY and GITHUB_API_URL, as a workflow sets them; the token is sent
to that address and printed nowhere. This is the only command that writes to a code host."""


class NoReview(EngineError):  # noqa: N818 - what the user reads is the message
    """A file that `engine review` did not write."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what `engine review` wrote")
    parser.add_argument(
        "--pull-request", type=_number, required=True, metavar="NUMBER", help="of the pull request"
    )
    parser.add_argument(
        "--author",
        metavar="LOGIN",
        help="whose comments are ours (default: the token's user, for a workflow's own token "
        "github-actions[bot])",
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    import os

    from engine.commands.pull_request import DEFAULT_API, PullRequest
    from engine.providers.secret import Secret

    body = _review(Path(arguments.file))
    pull_request = PullRequest(
        os.environ.get("GITHUB_API_URL") or DEFAULT_API,
        os.environ.get("GITHUB_REPOSITORY", ""),
        arguments.pull_request,
        Secret(os.environ.get("GITHUB_TOKEN", "").strip()),
        arguments.author,
    )
    written, address = pull_request.write(body)
    terminal.say(f"{written} {address}".rstrip())
    return 0


def _review(path: Path) -> str:
    """Raises NoReview."""
    from engine.commands.pull_request import MOST_CHARACTERS
    from engine.commands.review_markdown import MARKER

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise NoReview(f"{path} cannot be read: {error}") from error
    first_line = text.split("\n", 1)[0]
    if not (first_line.startswith(MARKER) and first_line.endswith("-->")):
        raise NoReview(f"{path} does not begin as what `engine review BASE HEAD` writes")
    if len(text) > MOST_CHARACTERS:
        raise NoReview(f"{path} is longer than the {MOST_CHARACTERS:,} characters of a comment")
    return text


def _number(text: str) -> int:
    """Argparse tells a person when it is no number."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
