"""Why there was no answer, out of texts as urllib3 makes them."""

from __future__ import annotations

import pytest

from workshop.azure.unreached import Unreached

POOL = "HTTPSConnectionPool(host='management.azure.com', port=443): "
RETRIES = POOL + "Max retries exceeded with url: / (Caused by "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POOL + "Read timed out. (read timeout=30.0)", "no answer within 30 s"),
        (
            RETRIES + "ConnectTimeoutError(<HTTPSConnection(host='management.azure.com', port=443) at 0x7f>, "
            "'Connection to management.azure.com timed out. (connect timeout=10.0)'))",
            "no connection within 10 s",
        ),
        (
            "HTTPSConnection(host='management.azure.com', port=443): Failed to resolve 'management.azure.com' "
            "([Errno -2] Name or service not known)",
            "its name does not resolve (DNS)",
        ),
        (
            RETRIES + "NewConnectionError(\"HTTPSConnection(host='management.azure.com', port=443): Failed to "
            'establish a new connection: [Errno 101] Network is unreachable"))',
            "Network is unreachable",
        ),
        (
            RETRIES + "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
            "failed: self-signed certificate in certificate chain (_ssl.c:1006)')))",
            "certificate verify failed: self-signed certificate in certificate chain",
        ),
        (
            RETRIES + "SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)')))",
            "wrong version number",
        ),
    ],
)
def test_the_reason_is_one_short_sentence(text: str, said: str) -> None:
    assert str(Unreached.read(text)) == f"management.azure.com: {said}"


def test_a_port_of_its_own_is_told() -> None:
    error = Unreached("127.0.0.1:8443", "Connection refused").worded("look")
    assert error.next_command == "curl -I -m 10 https://127.0.0.1:8443/"
    found = Unreached.read("HTTPSConnection(host='127.0.0.1', port=8443): [Errno 111] Connection refused")
    assert found == Unreached("127.0.0.1:8443", "Connection refused")


def test_a_proxy_is_named_as_one() -> None:
    found = Unreached.read(
        "('Unable to connect to proxy', NewConnectionError(\"HTTPSConnection(host='127.0.0.1', port=9): Failed to "
        'establish a new connection: [Errno 111] Connection refused"))'
    )
    assert found == Unreached("", "the proxy that is set (HTTPS_PROXY): Connection refused")
    assert found.worded("look").next_command == "env | grep -i proxy"


def test_what_is_not_about_a_connection() -> None:
    assert Unreached.read("AADSTS700082: The refresh token has expired") is None
