"""A text -> the one comment with its first line on a pull request, through the API of the code host.

GitHub's REST API, and what speaks it. The token goes to the one address it was given for and is shown
nowhere; nothing is redirected, retried or read beyond what is needed to find the comment.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from engine.errors import EngineError
from engine.language.diagnostics import visible
from engine.providers.sanitising import sanitise
from engine.providers.secret import Secret

TIMEOUT_S = 30
MOST_CHARACTERS = 65_536
"""What the host takes of a comment."""

DEFAULT_API = "https://api.github.com"
BOT = "github-actions[bot]"
"""Whose name a workflow's own token writes under; such a token may not ask for it."""

_PAGE = 100
_MOST_PAGES = 100
_MOST_BYTES = 64 * 1024 * 1024

Written: TypeAlias = Literal["created", "updated", "unchanged"]


class NotWritten(EngineError):  # noqa: N818 - what the user reads is the message
    """The comment was not written, and why; never with the token."""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of the pull request, as the host has it."""

    id: int
    author: str
    body: str
    address: str


class PullRequest:
    """The comments of one pull request. `author` is whose comments are ours; the host is asked when it is
    None."""

    def __init__(
        self, api: str, repository: str, number: int, token: Secret, author: str | None = None
    ) -> None:
        """Raises NotWritten when one of them cannot be what it should be."""
        _refuse_open_address(api)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", repository):
            raise NotWritten(f"{visible(repository[:100])!r} is no OWNER/REPOSITORY (GITHUB_REPOSITORY)")
        if not token or not token.fits_a_header():
            raise NotWritten("GITHUB_TOKEN holds no token: give the step one that may write comments")
        self._api, self._token, self._author = api.rstrip("/"), token, author
        self._of_issue = f"/repos/{repository}/issues/{number}/comments"
        self._of_comment = f"/repos/{repository}/issues/comments"

    def write(self, body: str) -> tuple[Written, str]:
        """Writes the comment, or writes it again where ours has the same first line; says what was done and
        its address. Raises NotWritten."""
        author = self._author or self._whoami()
        first_line = body.split("\n", 1)[0]
        mine = next(
            (
                comment
                for comment in self._comments()
                if comment.author == author and comment.body.split("\n", 1)[0] == first_line
            ),
            None,
        )
        if mine is None:
            return "created", _comment(self._ask("POST", self._of_issue, {"body": body})).address
        if mine.body.strip() == body.strip():
            return "unchanged", mine.address
        self._ask("PATCH", f"{self._of_comment}/{mine.id}", {"body": body})
        return "updated", mine.address

    def _whoami(self) -> str:
        try:
            login = self._ask("GET", "/user").get("login")
        except _Refused as refused:
            if refused.status == 401:
                raise
            return BOT
        return login if isinstance(login, str) else BOT

    def _comments(self) -> Iterator[Comment]:
        """The oldest first."""
        for page in range(1, _MOST_PAGES + 1):
            listed = self._ask("GET", f"{self._of_issue}?per_page={_PAGE}&page={page}")
            if not isinstance(listed, list):
                raise NotWritten("the code host answered with something that is no list of comments")
            yield from map(_comment, listed)
            if len(listed) < _PAGE:
                return
        raise NotWritten(f"there are more than {_PAGE * _MOST_PAGES:,} comments")

    def _ask(self, method: str, path: str, given: Mapping[str, str] | None = None) -> Any:
        import httpx2

        headers = {
            "accept": "application/vnd.github+json",
            "user-agent": "local-first-router",
            "x-github-api-version": "2022-11-28",
        }
        try:
            with (
                # A proxy is for what is encrypted; what stays on this machine needs none.
                httpx2.Client(
                    timeout=TIMEOUT_S,
                    follow_redirects=False,
                    headers=headers,
                    trust_env=self._api.startswith("https:"),
                ) as client,
                client.stream(
                    method,
                    self._api + path,
                    json=given,
                    headers={"authorization": f"Bearer {self._token.reveal()}"},
                ) as response,
            ):
                body = b""
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise NotWritten("the code host answers without end")
                status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Its own text may hold the request.
            what = type(error).__name__
            raise NotWritten(f"the code host could not be asked at {self._where(path)}: {what}") from None
        if not 200 <= status < 300:
            raise _Refused(status, f"{method} {self._where(path)}", _message(body, self._token))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise NotWritten(f"the code host answered {self._where(path)} with what is no JSON") from None

    def _where(self, path: str) -> str:
        return visible(self._api + path.partition("?")[0])


class _Refused(NotWritten):
    def __init__(self, status: int, what: str, message: str) -> None:
        hint = {
            401: "the token is not valid",
            403: "the token may not do this: the job needs `pull-requests: write`, which a fork never has",
            404: "there is no such pull request, or the token may not see it",
        }.get(status, "")
        parts = [f"the code host answered {status} to {what}", *filter(None, (message, hint))]
        super().__init__("; ".join(parts))
        self.status = status


def _refuse_open_address(api: str) -> None:
    """A token is sent over TLS, or nowhere but to this machine."""
    try:
        address = urlsplit(api)
        host, is_plain = address.hostname, not (address.username or address.password or address.query)
    except ValueError:
        host, is_plain = None, False
    is_here = host in ("127.0.0.1", "::1", "localhost")
    if not (host and is_plain and (address.scheme == "https" or (address.scheme == "http" and is_here))):
        raise NotWritten("GITHUB_API_URL is no https address without a user, a password and a query")


def _comment(value: Any) -> Comment:
    match value:
        case {"id": int(number), "user": user, "body": str(body)}:
            login = user.get("login") if isinstance(user, dict) else None
            address = value.get("html_url")
            return Comment(
                number,
                login if isinstance(login, str) else "",
                body.replace("\r\n", "\n"),
                visible(address) if isinstance(address, str) else "",
            )
    raise NotWritten("the code host answered with something that is no comment")


def _message(body: bytes, token: Secret) -> str:
    """What the host says of a refusal, as far as it may be shown."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    text = said.get("message") if isinstance(said, dict) else None
    return sanitise(text, None, token) if isinstance(text, str) else ""
