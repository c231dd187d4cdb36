"""Nothing leaves that should not: addresses, permits, peers, redirects, environment variables.

Paths L1 to L10 of the design, each tried for real: what is refused sends no byte, and says why.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.providers.addresses import BadAddress, is_local, parse_address, parse_ip, parse_networks
from engine.providers.base import Egress
from engine.providers.conduct import ErrorClass
from engine.providers.errors import AuthFailed, EgressRefused, ProviderError, Unfit, Unreachable
from engine.providers.reply import collect
from engine.providers.secret import Secret

from .dialects import DIALECTS, KEY, OLLAMA, OPENAI, TEXT, Dialect, asked, permit, target
from .socket_audit import Audit
from .wire_server import Answer, Received, WireServer, wire_server

SPELLINGS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "wire" / "addresses.yaml").read_text()
)


def test_there_are_enough_spellings() -> None:
    """At least sixty spellings of not-really-local are recorded."""
    assert len(SPELLINGS) >= 60


@pytest.mark.parametrize("case", SPELLINGS, ids=lambda case: repr(case["url"]))
async def test_a_spelling_of_not_here_is_refused(case: dict[str, Any], socket_audit: Audit) -> None:
    """A local target at this address is refused with a reason, without any connect, for prompts and
    probes."""

    async def resolve(host: str, port: int) -> Iterable[str]:
        return case["resolves"]  # type: ignore[no-any-return]

    for dialect in (OPENAI, OLLAMA):
        provider = dialect.provider(target(case["url"]), resolve=resolve)
        with pytest.raises(EgressRefused) as refused:
            await provider.complete(asked(provider.target))
        with pytest.raises(EgressRefused):
            await collect(provider.stream(asked(provider.target)))
        assert (await provider.probe(permit(provider.target))).status == "misconfigured"
        assert refused.value.detail
        assert ("address is not taken" in refused.value.detail) == (case["verdict"] == "spelling")
        assert not refused.value.dispatched
        await provider.aclose()
    assert not socket_audit.peers


@pytest.mark.parametrize(
    ("url", "resolves"),
    [
        ("http://127.0.0.1:{port}", None),
        ("http://localhost:{port}", None),
        ("http://LOCALHOST:{port}", None),
        ("http://127.0.0.2:{port}", None),
        ("http://my-gpu:{port}/", ["127.0.0.1"]),
        ("http://my-gpu.internal:{port}", ["::ffff:127.0.0.1", "127.0.0.1"]),
    ],
)
async def test_what_is_really_here_is_reached(url: str, resolves: list[str] | None) -> None:
    """Loopback by number, by `localhost` without lookup, and by a name that resolves to nothing else."""

    async def resolve(host: str, port: int) -> Iterable[str]:
        assert resolves is not None, "a number and localhost are not looked up"
        return resolves

    async with wire_server(OLLAMA.handler()) as served:
        bound = url.format(port=served.port)
        if "127.0.0.2" in bound:
            bound = bound.replace("127.0.0.2", "127.0.0.1")
        provider = OLLAMA.provider(target(bound), resolve=resolve)
        assert (await provider.complete(asked(provider.target))).content == TEXT
        await provider.aclose()


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_only_loopback_is_local(packed: bytes) -> None:
    """Without configured networks an address is local exactly when it, unmapped, is in 127/8 or is ::1."""
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    plain = mapped or address
    expected = str(plain).startswith("127.") if plain.version == 4 else int(plain) == 1
    assert is_local(address, ()) == expected


@given(st.text(max_size=40))
def test_parsing_never_repairs(host: str) -> None:
    """Whatever text stands where a host should: it is refused, or it is that host, letter for letter."""
    try:
        address = parse_address(f"http://{host}:11434")
    except BadAddress:
        return
    assert address.host in (host.lower(), str(parse_ip(host.strip("[]"))))


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "lan", "0.0.0.0/7", "::ffff:0:0/0"]
)
def test_a_network_that_is_everything_is_no_network(cidr: str) -> None:
    """A CIDR that is malformed or absurdly wide does not make the internet local."""
    with pytest.raises(BadAddress):
        parse_networks((cidr,))


def test_a_configured_network_is_local() -> None:
    """An address in a configured network is local, its neighbour is not, and mapping into IPv6 changes
    neither."""
    networks = parse_networks(("192.168.7.0/24", "fd00:7::/64"))
    verdicts = {
        text: is_local(ipaddress.ip_address(text), networks)
        for text in ("192.168.7.9", "::ffff:192.168.7.9", "192.168.8.9", "fd00:7::1", "fd00:8::1")
    }
    assert verdicts == {
        "192.168.7.9": True,
        "::ffff:192.168.7.9": True,
        "192.168.8.9": False,
        "fd00:7::1": True,
        "fd00:8::1": False,
    }


async def test_a_name_is_resolved_once_and_pinned() -> None:
    """A name that changes its mind after the first look-up is not asked again (DNS rebinding)."""
    answers = iter([["127.0.0.1"], ["203.0.113.9"]])

    async def resolve(host: str, port: int) -> Iterable[str]:
        return next(answers)

    async with wire_server(OLLAMA.handler()) as served:
        served_close = served.handler

        def closing(received: Received) -> Answer:
            return dataclasses.replace(served_close(received), framing="close", after="close")

        served.handler = closing
        provider = OLLAMA.provider(target(f"http://my-gpu:{served.port}"), resolve=resolve)
        for _ in range(2):
            assert (await provider.complete(asked(provider.target))).content == TEXT
        assert served.connections > 2
        await provider.aclose()


async def test_the_peer_is_looked_at_before_a_byte_is_sent(
    monkeypatch: pytest.MonkeyPatch, dialect: Dialect
) -> None:
    """When the connected peer is not where the pinned address said, nothing is sent over the connection."""
    from engine.providers import transport

    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        monkeypatch.setattr(transport._Door, "_peer_is_local", lambda door, stream: False)
        with pytest.raises(EgressRefused):
            await provider.complete(asked(provider.target))
        await provider.aclose()
    assert (served.connections, bytes(served.raw)) == (1, b"")


@pytest.mark.parametrize(
    "changes",
    [{"target": "other"}, {"egress": Egress.CLOUD}, {"policy_digest": "sha256:newer"}, {"policy_digest": ""}],
)
async def test_a_permit_must_match(dialect: Dialect, changes: dict[str, Any]) -> None:
    """A permit for another target, another class or another policy opens nothing."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        request = asked(provider.target)
        wrong = dataclasses.replace(request, permit=dataclasses.replace(request.permit, **changes))
        with pytest.raises(EgressRefused):
            await provider.complete(wrong)
        with pytest.raises(EgressRefused):
            await collect(provider.stream(wrong))
        with pytest.raises(EgressRefused):
            await provider.discover(wrong.permit)
        assert (await provider.probe(wrong.permit)).status == "misconfigured"
        await provider.aclose()
    assert (served.connections, served.received) == (0, [])


async def test_a_target_without_a_policy_sends_nothing() -> None:
    """An empty digest matches nothing, not even an empty permit."""
    async with wire_server(OLLAMA.handler()) as served:
        there = dataclasses.replace(target(served.url), policy_digest="")
        with pytest.raises(EgressRefused):
            await OLLAMA.provider(there).complete(asked(there))
    assert served.connections == 0


async def test_no_permit_no_request() -> None:
    """The transport sends nothing for code that comes without a call, or with one that was used."""
    from engine.providers.http_exchange import Call
    from engine.providers.transport import open_client

    async with wire_server(OPENAI.handler()) as served:
        there = target(served.url)
        http, _ = open_client(there)
        with pytest.raises(EgressRefused, match="no permit"):
            await http.get(f"{served.url}/v1/models")
        call = Call(permit(there), 1.0)
        with call.in_force():
            await http.get(f"{served.url}/v1/models")
            with pytest.raises(EgressRefused, match="for one request"):
                await http.get(f"{served.url}/v1/models")
        for elsewhere in (
            f"http://127.0.0.1:{served.port + 1}/x",
            "https://127.0.0.1/x",
            "http://api.example/x",
        ):
            with Call(permit(there), 1.0).in_force(), pytest.raises(EgressRefused, match="another address"):
                await http.get(elsewhere)
        await http.aclose()
    assert len(served.received) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(dialect: Dialect, status: int) -> None:
    """Every 3xx is UNFIT; the host it names sees no request, the prompt is sent once."""
    async with wire_server(Answer(200)) as canary:
        location = {"location": f"{canary.url}{dialect.prompt_path}"}
        moved = Answer(status, b"", location)
        async with wire_server(dialect.handler(moved, moved)) as served:
            for egress in Egress:
                provider = dialect.at(served.url, egress)
                with pytest.raises(Unfit) as refused:
                    await provider.complete(asked(provider.target))
                with pytest.raises(Unfit):
                    await collect(provider.stream(asked(provider.target)))
                assert (refused.value.status, refused.value.kind) == (status, ErrorClass.UNFIT)
                await provider.aclose()
            assert len(served.prompts()) == 4
    assert canary.connections == 0


POISON = """HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy OLLAMA_HOST ANTHROPIC_BASE_URL
OPENAI_BASE_URL OPENAI_API_BASE OPENAI_BASE_PATH ANTHROPIC_VERTEX_BASE_URL AZURE_OPENAI_ENDPOINT
OPENAI_WEBSOCKET_BASE_URL""".split()  # noqa: SIM905


def _poison(monkeypatch: pytest.MonkeyPatch, canary: WireServer, tmp_path: Path) -> None:
    for name in POISON:
        monkeypatch.setenv(name, canary.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    for name in (
        "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_WEBHOOK_SECRET",
        "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_WEBHOOK_SIGNING_KEY",
    ):  # fmt: skip
        monkeypatch.setenv(name, "env-canary-value")
    monkeypatch.setenv(
        "ANTHROPIC_CUSTOM_HEADERS",
        "X-Env: env-canary-value\nAuthorization: Bearer env-canary-value\n"
        "anthropic-version: env-canary-value\n"
        "Host: env-canary-value\nanthropic-beta: env-canary-value\nUser-Agent: env-canary-value",
    )
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Env: env-canary-value")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "env-canary-value")
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE", "content")


@pytest.mark.parametrize("egress", list(Egress), ids=lambda egress: egress.value)
async def test_a_poisoned_environment_changes_nothing(
    dialect: Dialect, egress: Egress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With every variable set that a library is known to read, no byte reaches the host they name and none
    of their values reaches the wire: prompts, streams and errands go where the configuration says, with
    its key alone."""
    async with wire_server(Answer(200)) as canary, wire_server(dialect.handler()) as served:
        _poison(monkeypatch, canary, tmp_path)
        provider = dialect.at(served.url, egress)
        assert (await provider.complete(asked(provider.target))).content == TEXT
        assert (await collect(provider.stream(asked(provider.target)))).content == TEXT
        await provider.discover(permit(provider.target))
        assert (await provider.probe(permit(provider.target))).status == "up"
        await provider.aclose()
    assert (canary.connections, bytes(canary.raw)) == (0, b"")
    assert b"env-canary" not in served.raw
    keys = {received.headers.get("authorization") for received in served.received}
    assert keys == {f"Bearer {KEY}" if egress is Egress.CLOUD else None}
    assert not list(tmp_path.iterdir())


def test_the_environment_chooses_no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE are not read, and certificates and names are checked."""
    from engine.providers.transport import _ssl_context

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "absent"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    context = _ssl_context(None)
    assert (context.keylog_filename, context.check_hostname, context.verify_mode) == (
        None,
        True,
        ssl.CERT_REQUIRED,
    )
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for 127.0.0.1 and localhost that signs itself, and its key."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    asked_for = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    )
    names = [
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "keyUsage=digitalSignature,keyCertSign",
    ]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([tool, *asked_for.split(), *names, *files], check=True, capture_output=True)
    return f"{folder}/cert.pem", f"{folder}/key.pem"


async def test_tls_is_real(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over TLS: a certificate that `ca_file` vouches for is taken, and its session keys are not logged;
    without it, even when SSL_CERT_FILE vouches, the target is UNREACHABLE and the prompt and the key stay."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    for host in ("127.0.0.1", "localhost"):
        async with wire_server(OPENAI.handler(), tls) as served:
            url = f"https://{host}:{served.port}"
            for egress in Egress:
                provider = OPENAI.at(url, egress, ca_file=certificate[0])
                assert (await provider.complete(asked(provider.target))).content == TEXT
                await provider.aclose()
                stranger = OPENAI.at(url, egress)
                with pytest.raises(Unreachable):
                    await stranger.complete(asked(stranger.target))
                await stranger.aclose()
            assert len(served.prompts()) == 2
    assert not (tmp_path / "keys.log").exists()


async def test_only_named_headers_leave(dialect: Dialect) -> None:
    """The headers on the wire are those the transport names: no SDK telemetry, no organisation, no trace."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url, Egress.CLOUD)
        await provider.complete(asked(provider.target))
        await provider.aclose()
    sent = set().union(*(received.headers for received in served.received))
    allowed = {
        "host", "user-agent", "accept", "accept-encoding", "connection", "content-type", "content-length",
        "transfer-encoding", "authorization", "anthropic-version",
    }  # fmt: skip
    assert sent <= allowed
    assert {received.headers["host"] for received in served.received} == {f"127.0.0.1:{served.port}"}


async def test_a_cloud_target_over_plain_http_stays_on_the_machine(socket_audit: Audit) -> None:
    """A key and a prompt do not travel in clear: http to a peer beyond loopback is refused once connected."""
    from engine.providers import transport

    async with wire_server(OPENAI.handler()) as served:
        provider = OPENAI.at(served.url, Egress.CLOUD)
        assert (await provider.complete(asked(provider.target))).content == TEXT
        await provider.aclose()
        provider = OPENAI.at(served.url, Egress.CLOUD)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport._Door, "_peer_is_local", lambda door, stream: False)
            with pytest.raises(EgressRefused, match="plain http"):
                await provider.complete(asked(provider.target))
        await provider.aclose()
    assert len(served.prompts()) == 1


@pytest.mark.parametrize("name", ["anthropic", "openai"])
async def test_a_vendor_without_a_key_is_sent_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, or one that no header can carry: AUTH at once, nothing dispatched."""
    dialect = DIALECTS[name]
    monkeypatch.setattr(dialect.provider, "vendor_host", "127.0.0.1")
    async with wire_server(dialect.handler()) as served:
        for key in (None, Secret(""), Secret(f"{KEY}\n"), Secret("schlüssel"), Secret("two words")):
            provider = dialect.at(served.url, Egress.CLOUD, api_key=key)
            with pytest.raises(ProviderError) as failed:
                await provider.complete(asked(provider.target))
            assert (failed.value.kind, failed.value.dispatched) == (ErrorClass.AUTH, False)
            assert (await provider.probe(permit(provider.target))).status == "misconfigured"
            await provider.aclose()
    assert served.connections == 0


@pytest.mark.parametrize("name", ["anthropic", "openai"])
async def test_a_server_of_ones_own_may_want_no_key(name: str) -> None:
    """A cloud target that is not the vendor is called without a key when none is configured; an empty one
    is AUTH."""
    dialect = DIALECTS[name]
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url, Egress.CLOUD, api_key=None)
        assert (await provider.complete(asked(provider.target))).content == TEXT
        await provider.aclose()
        provider = dialect.at(served.url, Egress.CLOUD, api_key=Secret(""))
        with pytest.raises(AuthFailed):
            await provider.complete(asked(provider.target))
        await provider.aclose()
    assert [got.headers.get("authorization") for got in served.received] == [None]


async def test_a_unix_socket_is_local() -> None:
    """A server on a unix socket is reached without any address."""
    import asyncio

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s.sock")
        served = WireServer(OPENAI.handler())
        listening = await asyncio.start_unix_server(served.serve, path)
        provider = OPENAI.provider(target(f"http+unix://{path.replace('/', '%2F')}/v1"))
        assert (await provider.complete(asked(provider.target))).content == TEXT
        await provider.aclose()
        served.end()
        listening.close()
        await listening.wait_closed()


async def test_images_by_url_are_not_fetched_for_us_by_a_local_server(dialect: Dialect) -> None:
    """A local server is not handed a URL to fetch, which would carry it out; nothing is sent."""
    messages = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://canary.example/x.png"}}],
        }
    ]
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        with pytest.raises(Unfit, match="a local server is asked to fetch nothing"):
            await provider.complete(asked(provider.target, messages=messages))
        await provider.aclose()
    assert not served.prompts()


async def test_the_audit_hears_a_connect_beyond_loopback(socket_audit: Audit) -> None:
    """The guard of this suite works: a connect elsewhere is stopped and recorded."""
    from .socket_audit import OutsideConnect

    with socket.socket() as sock, pytest.raises(OutsideConnect):
        sock.connect(("203.0.113.9", 9))
    assert socket_audit.outside == [("203.0.113.9", 9)]
    socket_audit.reset()


def test_a_dead_name_is_unreachable() -> None:
    """A name that does not resolve is UNREACHABLE, not a refusal."""
    import asyncio

    async def resolve(host: str, port: int) -> Iterable[str]:
        raise OSError("no such host")

    provider = DIALECTS["ollama"].provider(target("http://my-gpu:11434"), resolve=resolve)
    with pytest.raises(Unreachable):
        asyncio.run(provider.complete(asked(provider.target)))
