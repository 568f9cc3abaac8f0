"""The sandbox's certificates, as strict clients see them: RFC 5280 as OpenSSL checks it with
X509_V_FLAG_X509_STRICT, which Python sets by default from 3.13 on (What's New In Python 3.13, ssl)."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sandbox.server.certificates import server_context


def shaken_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raises SSLError where either side refuses the other. Through memory: no socket, no thread."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    while sides:
        for side in tuple(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
def test_a_strict_client_accepts_the_server_s_certificate(tmp_path: Path, name: str) -> None:
    server, authority = server_context(("127.0.0.1",), tmp_path)
    client = ssl.create_default_context(cadata=authority.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    shaken_hands(server, client, name)


def test_it_is_for_no_other_address(tmp_path: Path) -> None:
    server, authority = server_context(("127.0.0.1",), tmp_path)
    client = ssl.create_default_context(cadata=authority.decode())
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shaken_hands(server, client, "127.0.0.2")
