"""The one way out: every byte to a model, from our code or a vendor's SDK, goes through `GuardedTransport`.

It turns an HTTP request into an answer only when a permit for this very target is in force, the URL is the
target's, and the peer it really connected to is where the target's egress class allows. It reads no
environment (proxies, certificates, key logs), follows no redirect, retries nothing, and sends no header but
those it names.

The only module of the package that imports the HTTP library when it is imported; the providers import it when
they first send.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import cache
from typing import Any

import httpcore2
import httpx2

from engine.provider_apis import sdk_packages
from engine.providers.addresses import (
    Address,
    BadAddress,
    IPAddress,
    is_local,
    known_addresses,
    parse_address,
    parse_ip,
    parse_networks,
)
from engine.providers.base import Egress, Target
from engine.providers.errors import BrokenAnswer, EgressRefused, Truncated, Unfit
from engine.providers.http_exchange import TAIL_BYTES, Call, call_in_force
from engine.providers.secret import Secret

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""A host name and a port -> the IP addresses, as text."""

ANSWER_BYTES = 64 * 1024 * 1024
"""The most an answer may have. Nothing is decoded on its way, so these are the bytes that are kept."""

# What leaves. Everything else an SDK adds (x-stainless-*, organisation and project, trace headers, and
# whatever an environment variable put in) stays here.
_SENT = frozenset({"accept", "content-type", "content-length", "transfer-encoding"})
_KEPT = ("request-id", "x-request-id", "retry-after", "retry-after-ms", "date", "content-type")

# Names that can be repeated; what a server writes there itself stays out of messages.
_KNOWN_ENCODING = {name: name for name in ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")}


def open_client(
    target: Target,
    *,
    api_key: Secret | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
    resolve: Resolve | None = None,
) -> tuple[httpx2.AsyncClient, Address]:
    """A client that can reach `target` and nothing else, and its parsed address. Raises EgressRefused.

    `headers` are sent with every request and win over the SDK's; `api_key` goes out as a bearer token,
    written here and nowhere else; `ca_file` names a PEM file to trust instead of the system's certificates.
    """
    transport = GuardedTransport(
        target, api_key=api_key, headers=headers or {}, ca_file=ca_file, resolve=resolve or _look_up
    )
    _hush()
    client = httpx2.AsyncClient(
        transport=transport,
        base_url=transport.address.url,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(None),
    )
    return client, transport.address


class GuardedTransport(httpx2.AsyncBaseTransport):
    """An HTTP transport for one target, which refuses what the target's egress class does not allow."""

    def __init__(
        self,
        target: Target,
        *,
        api_key: Secret | None,
        headers: Mapping[str, str],
        ca_file: str | None,
        resolve: Resolve,
    ) -> None:
        self.target = target
        backend = _Door(target, resolve)
        self.address = backend.address
        self._api_key = api_key
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_shared_ssl_context(ca_file) if self.address.scheme == "https" else None,
            max_connections=256,
            max_keepalive_connections=16,
            keepalive_expiry=30.0,
            http2=False,
            retries=0,
            uds=self.address.socket,
            network_backend=backend,
        )

    def __repr__(self) -> str:
        return f"GuardedTransport({self.target.name!r})"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request under the call in force.

        Raises EgressRefused, Unfit for a redirect, and httpcore2's errors, which `wire_provider`
        classifies.
        """
        call = self._admitted(request)
        sent = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=self._headers_of(request),
            content=_Outgoing(request, call),
            extensions={"timeout": {"connect": call.connect_s}},
        )
        answer = await self._pool.handle_async_request(sent)
        call.status = answer.status
        read = httpx2.Headers(answer.headers)
        call.headers = {name: read[name] for name in _KEPT if name in read}
        if 300 <= answer.status < 400:
            await answer.aclose()
            raise Unfit(status=answer.status, detail="it redirects, and redirects are not followed")
        encoding = read.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            await answer.aclose()
            if answer.status >= 400:  # the status says enough, and its body stays unread
                return httpx2.Response(status_code=answer.status)
            raise BrokenAnswer(
                status=answer.status,
                detail=f"its answer is encoded ({_KNOWN_ENCODING.get(encoding, 'in an unknown way')}),"
                " which was not asked for",
            )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Incoming(answer, call),
            extensions={"http_version": answer.extensions.get("http_version", b"HTTP/1.1")},
        )

    def _admitted(self, request: httpx2.Request) -> Call:
        call = call_in_force()
        if call is None:
            raise self._refused("no permit is in force")
        if call.used:
            raise self._refused("the permit was for one request, which has been sent")
        self.target.check(call.permit)
        url = request.url
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        at_home = (url.scheme, url.host, port) == (self.address.scheme, self.address.host, self.address.port)
        if not at_home or not url.path.startswith(f"{self.address.path}/"):
            raise self._refused("the request is for another address than the target's")
        call.used = True
        return call

    def _headers_of(self, request: httpx2.Request) -> list[tuple[bytes, bytes]]:
        host = self.address.host if self.address.socket else request.url.netloc.decode("ascii")
        fixed = {
            "host": host,
            "user-agent": "engine",
            "accept-encoding": "identity",
            "connection": "keep-alive",
        }
        fixed |= {name: value for name, value in request.headers.items() if name.lower() in _SENT}
        fixed |= self._headers
        lines = [(name.encode("ascii"), value.encode("ascii", "replace")) for name, value in fixed.items()]
        if self._api_key is not None:
            lines.append((b"authorization", b"Bearer " + self._api_key.reveal().encode("ascii", "replace")))
        return lines

    def _refused(self, why: str) -> EgressRefused:
        return EgressRefused(provider=self.target.name, dispatched=False, detail=why)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Door(httpcore2.AsyncNetworkBackend):
    """Opens the target's connections: resolves once, pins what it found, and looks who answered."""

    def __init__(self, target: Target, resolve: Resolve) -> None:
        refused: EgressRefused | None = None
        try:
            self.address = parse_address(target.base_url)
            self._networks = parse_networks(target.networks)
        except BadAddress as bad:
            refused = self._refusal(target, f"its address is not taken: {bad}")
        if refused is not None:
            raise refused
        self._target = target
        self._resolve = resolve
        self._pinned: tuple[IPAddress, ...] = ()
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the target: a local one only at its pinned addresses, a cloud one wherever its name
        leads."""
        if (host, port) != (self.address.host, self.address.port):
            raise self._refusal(self._target, "the connection is for another address than the target's")
        if self._target.egress is Egress.CLOUD:
            stream = await self._plain.connect_tcp(host, port, timeout=timeout)
            if self.address.scheme == "http" and not self._peer_is_local(stream):
                await stream.aclose()
                raise self._refusal(
                    self._target, "a key and a prompt do not go over plain http to a far host"
                )
            return stream
        try:
            async with asyncio.timeout(timeout):
                return await self._connect_local(port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("connect timed out") from None

    async def _connect_local(self, port: int) -> httpcore2.AsyncNetworkStream:
        failure: httpcore2.ConnectError | None = None
        for address in await self._addresses():
            try:
                stream = await self._plain.connect_tcp(str(address), port)
            except httpcore2.ConnectError as exc:
                failure = exc
                continue
            if not self._peer_is_local(stream):
                await stream.aclose()
                raise self._refusal(self._target, "the peer that answered is not local")
            return stream
        raise failure or httpcore2.ConnectError("no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the target's unix socket, which is local by nature."""
        if path != self.address.socket:
            raise self._refusal(self._target, "the connection is for another socket than the target's")
        return await self._plain.connect_unix_socket(path, timeout=timeout)

    async def _addresses(self) -> tuple[IPAddress, ...]:
        if self._pinned:
            return self._pinned
        found: tuple[IPAddress | None, ...] = known_addresses(self.address.host)
        if not found:
            try:
                names = await self._resolve(self.address.host, self.address.port)
            except OSError:
                raise httpcore2.ConnectError("the host name cannot be resolved") from None
            found = tuple(parse_ip(name) for name in names)
        if not found:
            raise httpcore2.ConnectError("the host name has no address")
        # INVARIANT: one address outside is enough to refuse; otherwise the choice among them would be the
        # network's.
        local = tuple(ip for ip in found if ip is not None and is_local(ip, self._networks))
        if len(local) < len(found):
            raise self._refusal(
                self._target,
                "it is configured as local and its address is neither loopback nor in its networks",
            )
        self._pinned = local
        return local

    def _peer_is_local(self, stream: httpcore2.AsyncNetworkStream) -> bool:
        name = stream.get_extra_info("socket").getpeername()
        peer = parse_ip(name[0]) if isinstance(name, tuple) else None
        return peer is not None and is_local(peer, self._networks)

    @staticmethod
    def _refusal(target: Target, why: str) -> EgressRefused:
        return EgressRefused(provider=target.name, dispatched=False, detail=why)


class _Outgoing:
    """The request's body, which tells the call when its first byte leaves and when it has all been
    written."""

    def __init__(self, request: httpx2.Request, call: Call) -> None:
        self._request = request
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._call.dispatch()
        stream = self._request.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        async for part in stream:
            yield part
        self._call.written = True


class _Incoming(httpx2.AsyncByteStream):
    """The answer's body, which keeps its own end for the call and stops at a size no answer has."""

    def __init__(self, answer: httpcore2.Response, call: Call) -> None:
        self._answer = answer
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        # Not `aiter_stream`, which may be begun only once: an SDK drains what is left with a second loop.
        stream = self._answer.stream
        assert isinstance(stream, AsyncIterable)
        async for part in stream:
            size += len(part)
            if self._call.on_life is not None:
                self._call.on_life()
            if size > ANSWER_BYTES:
                raise Truncated(status=self._call.status, detail="the answer is larger than any answer is")
            self._call.tail = (self._call.tail + part)[-TAIL_BYTES:]
            yield part
        framed = {name.lower() for name, _ in self._answer.headers} & {
            b"content-length",
            b"transfer-encoding",
        }
        self._call.ended = bool(framed)

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _look_up(host: str, port: int) -> Iterable[str]:
    import socket

    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _ssl_context(ca_file: str | None) -> ssl.SSLContext:
    # `create_default_context` would read SSLKEYLOGFILE, and the default locations SSL_CERT_FILE and
    # SSL_CERT_DIR.
    if ca_file is None:
        return httpcore2.default_ssl_context(_trust_env=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    return context


_shared_ssl_context = cache(_ssl_context)
"""One context for all event loops: making one reads every certificate, which takes a tenth of a second."""


class _Quiet(logging.Filter):
    """Drops what the SDKs and the HTTP library log while a call of ours is in force: it can hold prompts
    and headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        return call_in_force() is None


_QUIET = _Quiet()


def _hush() -> None:
    # A filter sees only what is logged on its own logger, so it goes on every logger of these libraries.
    loud = ("httpx2", "httpcore2", *sdk_packages())
    for name in (*logging.root.manager.loggerDict, *loud):
        if name.split(".")[0] in loud:
            logging.getLogger(name).addFilter(_QUIET)
