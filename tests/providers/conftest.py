"""What every provider test runs under: the socket audit, and a fresh environment without proxies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .dialects import DIALECTS, Dialect
from .socket_audit import AUDIT, Audit

AUDIT.install()


@pytest.fixture(autouse=True)
def socket_audit() -> Iterator[Audit]:
    """Fails a test that connected, or tried to, beyond loopback."""
    AUDIT.reset()
    yield AUDIT
    assert not AUDIT.outside, f"connects beyond loopback: {AUDIT.outside}"


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each of the three dialects."""
    return DIALECTS[request.param]
