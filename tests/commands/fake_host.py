"""A code host's API for comments, on loopback: as much of GitHub's as a comment needs, and its faults."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
BOT = "github-actions[bot]"


@dataclass
class FakeHost:
    """`comments` of each pull request, oldest first. `user` is who a personal token belongs to; None for a
    workflow's token, which may not ask. `fault` answers every request that writes."""

    user: str | None = None
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: {7: []})
    fault: tuple[int, dict[str, str], bytes] | None = None
    fault_of: str = "POST PATCH"
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    _serial: int = 1000

    def add(self, number: int, body: str, author: str) -> dict[str, Any]:
        self._serial += 1
        comment = {
            "id": self._serial,
            "body": body.replace("\n", "\r\n"),
            "user": {"login": author, "type": "Bot" if author.endswith("[bot]") else "User"},
            "html_url": f"https://github.com/o/r/pull/{number}#issuecomment-{self._serial}",
        }
        self.comments[number].append(comment)
        return comment

    def answer(
        self, method: str, path: str, token: str, given: Any
    ) -> tuple[int, dict[str, str], bytes | Any]:
        self.asked.append(f"{method} {path}")
        self.tokens.append(token)
        if self.fault and method in self.fault_of.split():
            return self.fault
        if token != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        if (method, path) == ("GET", "/user"):
            if self.user is None:
                return 403, {}, {"message": "Resource not accessible by integration"}
            return 200, {}, {"login": self.user}
        if found := re.fullmatch(r"/repos/o/r/issues/(\d+)/comments(?:\?per_page=(\d+)&page=(\d+))?", path):
            number = int(found[1])
            if number not in self.comments:
                return 404, {}, {"message": "Not Found"}
            if method == "POST":
                return 201, {}, self.add(number, given["body"], self.user or BOT)
            size, page = min(int(found[2]), 100), int(found[3])
            return 200, {}, self.comments[number][(page - 1) * size : page * size]
        if method == "PATCH" and (found := re.fullmatch(r"/repos/o/r/issues/comments/(\d+)", path)):
            for comment in chain.from_iterable(self.comments.values()):
                if comment["id"] == int(found[1]):
                    comment["body"] = given["body"]
                    return 200, {}, comment
        return 404, {}, {"message": "Not Found"}


@contextmanager
def hosting(user: str | None = None) -> Iterator[FakeHost]:
    """Serves a host until the block ends."""
    host = FakeHost(user)

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            given = json.loads(self.rfile.read(size)) if size else None
            token = self.headers.get("authorization", "")
            status, headers, body = host.answer(self.command, self.path, token, given)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do  # noqa: N815 - as the server calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
