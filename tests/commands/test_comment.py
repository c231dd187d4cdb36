"""`engine comment`: one comment a pull request, made first and written again later; others' are left alone,
and no fault shows the token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.commands.pull_request import NotWritten, PullRequest
from engine.providers.secret import Secret
from tests.commands.fake_host import BOT, TOKEN, FakeHost, hosting
from tests.commands.running import Ran, Shell

MARKER = "<!-- engine review config -->"
REVIEW = f"{MARKER}\n## Policy review: same\n\nNo cloud model joins or leaves a chain.\n"
ANOTHER = REVIEW.replace("same", "looser")

Say = Callable[..., Ran]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    with hosting() as served:
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        monkeypatch.setenv("GITHUB_API_URL", served.url)
        yield served


@pytest.fixture
def say(shell: Shell, tmp_path: Path, host: FakeHost) -> Say:
    """Writes a review on pull request 7; nothing that is printed holds the token."""

    def comment(text: str, *words: str, number: int = 7) -> Ran:
        (tmp_path / "review.md").write_text(text, encoding="utf-8")
        ran = shell("comment", str(tmp_path / "review.md"), "--pull-request", str(number), *words)
        for part in (TOKEN, TOKEN[:12], TOKEN[-12:], TOKEN[::-1]):
            assert part not in ran.out + ran.err
        return ran

    return comment


def bodies(host: FakeHost) -> list[str]:
    return [comment["body"].replace("\r\n", "\n") for comment in host.comments[7]]


def test_the_first_review_makes_a_comment_and_the_next_writes_it_again(say: Say, host: FakeHost) -> None:
    """In its place; a review that says the same writes nothing."""
    first = say(REVIEW)
    assert (first.code, first.out.split()[0], bodies(host)) == (0, "created", [REVIEW])
    assert first.out.split()[1] == host.comments[7][0]["html_url"]
    assert (say(REVIEW).out.split()[0], bodies(host)) == ("unchanged", [REVIEW])
    assert (say(ANOTHER).out.split()[0], bodies(host)) == ("updated", [ANOTHER])
    assert [asked.split()[0] for asked in host.asked if "user" not in asked] == (
        ["GET", "POST", "GET", "GET", "PATCH"]
    )


def test_each_policy_folder_has_a_comment_of_its_own(say: Say, host: FakeHost) -> None:
    """The hidden line names the folder."""
    other = REVIEW.replace("review config", "review teams/policies")
    say(REVIEW)
    say(other)
    say(ANOTHER)
    assert bodies(host) == [ANOTHER, other]


def test_comments_of_others_are_not_touched(say: Say, host: FakeHost) -> None:
    """Whoever copies the hidden line keeps their comment; so does who quotes it further down."""
    host.add(7, REVIEW, "mallory")
    host.add(7, f"> {REVIEW}", BOT)
    host.add(7, "looks good", "alice")
    assert say(ANOTHER).out.startswith("created ")
    assert say(REVIEW).out.startswith("updated ")
    assert bodies(host) == [REVIEW, f"> {REVIEW}", "looks good", REVIEW]
    assert {asked for asked in host.asked if asked.startswith("PATCH")} == {
        f"PATCH /repos/o/r/issues/comments/{host.comments[7][3]['id']}"
    }


@pytest.mark.parametrize("before", [0, 99, 100, 101, 250])
def test_ours_is_found_behind_many_comments(say: Say, host: FakeHost, before: int) -> None:
    """On whatever page it is, and where a page is just full."""
    for number in range(before):
        host.add(7, f"comment {number}", "alice")
    mine = host.add(7, REVIEW, BOT)
    for number in range(3):
        host.add(7, f"later {number}", "alice")
    assert say(ANOTHER).out.startswith("updated ")
    assert mine["body"] == ANOTHER
    assert len(host.comments[7]) == before + 4


def test_a_personal_token_writes_under_its_own_name(say: Say, host: FakeHost) -> None:
    """The host is asked whose it is; `--author` says it for a token that may not ask, as of another app."""
    host.user = "carol"
    host.add(7, REVIEW, BOT)
    say(REVIEW)
    say(ANOTHER)
    assert bodies(host) == [REVIEW, ANOTHER]
    host.user = None
    mine = host.add(7, REVIEW, "policy-app[bot]")
    assert say(ANOTHER, "--author", "policy-app[bot]").out.startswith("updated ")
    assert mine["body"] == ANOTHER


FAULTS = {
    "fork": (403, {}, b'{"message": "Resource not accessible by integration"}', "pull-requests: write"),
    "echo": (403, {}, f'{{"message": "bad token {TOKEN} {TOKEN[::-1]}"}}'.encode(), "bad token [...]"),
    "gone": (404, {}, b'{"message": "Not Found"}', "no such pull request"),
    "too long": (422, {}, b'{"message": "Body is too long"}', "Body is too long"),
    "broken": (502, {}, b"<html>bad gateway</html>", "502"),
    "no json": (200, {}, b"<html>", "no JSON"),
    "odd json": (201, {}, b"[]", "no comment"),
    "deep json": (200, {}, b"[" * 100_000, "no JSON"),
    "elsewhere": (307, {"location": "http://127.0.0.1:9/"}, b"", "307"),
    "escapes": (500, {}, b'{"message": "x\\u001b]0;y\\u0007 z"}', "x ]0;y z"),
}


@pytest.mark.parametrize(("status", "headers", "body", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_the_host_is_said_in_one_line(
    say: Say, host: FakeHost, status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    """2, with the status and what it means; no token, no trace, no terminal code."""
    host.fault = status, headers, body
    ran = say(REVIEW)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert said in ran.err
    assert ran.err[:-1].isprintable()


def test_a_token_that_is_not_valid_is_not_used_twice(
    say: Say, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer ends it."""
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_expired0123456789abcdef")
    ran = say(REVIEW)
    assert (ran.code, host.asked, "the token is not valid" in ran.err) == (2, ["GET /user"], True)
    assert "expired0123" not in ran.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", ""),
        ("GITHUB_TOKEN", "two words"),
        ("GITHUB_TOKEN", "line\nx-more: header"),
        ("GITHUB_REPOSITORY", ""),
        ("GITHUB_REPOSITORY", "o/r/../../user"),
        ("GITHUB_API_URL", "http://api.example"),
        ("GITHUB_API_URL", "http://127.0.0.1@api.example"),
        ("GITHUB_API_URL", "https://user:pass@api.example"),
        ("GITHUB_API_URL", "ftp://127.0.0.1"),
        ("GITHUB_API_URL", "https://[bad"),
        ("GITHUB_API_URL", "http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    say: Say, host: FakeHost, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """No token in the clear beyond this machine; nobody who listens is a fault like others."""
    monkeypatch.setenv(name, value)
    ran = say(REVIEW)
    assert (ran.code, host.asked, name in ran.err or "could not be asked" in ran.err) == (2, [], True)
    assert "pass@" not in ran.err


@pytest.mark.parametrize("text", ["", "hello", "<!-- engine review config", f"{MARKER}\n" + "x" * 65_536])
def test_only_a_review_is_written(say: Say, host: FakeHost, text: str) -> None:
    """A file that does not begin as one, or is too long, is not sent."""
    assert (say(text).code, host.asked) == (2, [])


def test_no_pull_request_is_none(say: Say, host: FakeHost) -> None:
    """An unknown number is a fault; a word is wrong usage."""
    assert "no such pull request" in say(REVIEW, number=8).err
    assert say(REVIEW, number=0).code == 2


def test_the_token_is_not_in_a_trace(host: FakeHost) -> None:
    """Neither of the request nor of what could not be sent."""
    host.fault = 500, {}, b"{}"
    pull_request = PullRequest(host.url, "o/r", 7, Secret(TOKEN))
    assert TOKEN not in repr(vars(pull_request))
    with pytest.raises(NotWritten) as caught:
        pull_request.write(REVIEW)
    ours = [entry.frame.f_locals for entry in caught.traceback if Path(entry.path).name == "pull_request.py"]
    assert len(ours) >= 2
    assert TOKEN not in repr(ours)
