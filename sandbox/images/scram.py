"""SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides: how MongoDB's users log in, and nobody sends a password.

Names and passwords are taken as they are (no SASLprep), so they had better be ASCII. There is no channel binding.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import lru_cache

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 15_000
"""MongoDB's own number."""
_HEADER = "n,,"


class ScramError(ValueError):
    """What came is none of SCRAM, or proves nothing."""


@lru_cache(maxsize=32)
def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    """Some 10 ms, so once for each password."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _proof(salted: bytes, signed: str) -> bytes:
    key = _mac(salted, "Client Key")
    signature = _mac(hashlib.sha256(key).digest(), signed)
    return bytes(one ^ other for one, other in zip(key, signature, strict=True))


def _fields(message: str) -> dict[str, str]:
    return {part[:1]: part[2:] for part in message.split(",") if part[1:2] == "="}


def _name(user: str) -> str:
    return user.replace("=", "=3D").replace(",", "=2C")


class Server:
    """One conversation with somebody who says he is `user`."""

    def __init__(self, user: str, password: str, salt: bytes) -> None:
        self._user, self._password, self._salt = user, password, salt
        self._asked = self._said = self._nonce = ""

    def first(self, message: str) -> str:
        """The answer to the client's first message. Raises ScramError."""
        if not message.startswith(_HEADER):
            raise ScramError("the client asks for channel binding, or for another user's rights")
        self._asked = message.removeprefix(_HEADER)
        fields = _fields(self._asked)
        if not fields.get("r"):
            raise ScramError("the client has no nonce")
        self._known = fields.get("n") == _name(self._user)
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        self._said = f"r={self._nonce},s={base64.b64encode(self._salt).decode()},i={ITERATIONS}"
        return self._said

    def last(self, message: str) -> str:
        """The answer to its second one. Raises ScramError for who is not the user."""
        fields, bare = _fields(message), message.rpartition(",p=")[0]
        signed = f"{self._asked},{self._said},{bare}"
        salted = _salted(self._password, self._salt, ITERATIONS)
        expected = base64.b64encode(_proof(salted, signed)).decode()
        if not (
            self._known and fields.get("r") == self._nonce and hmac.compare_digest(fields.get("p", ""), expected)
        ):
            raise ScramError("the user or the password is another one")
        return "v=" + base64.b64encode(_mac(_mac(salted, "Server Key"), signed)).decode()


class Client:
    """One conversation as `user`."""

    def __init__(self, user: str, password: str) -> None:
        self._password, self._nonce = password, secrets.token_urlsafe(18)
        self._asked = f"n={_name(user)},r={self._nonce}"

    @property
    def first(self) -> str:
        return _HEADER + self._asked

    def last(self, said: str) -> str:
        """The second message, to the server's first one. Raises ScramError."""
        fields = _fields(said)
        try:
            nonce, salt, iterations = fields["r"], base64.b64decode(fields["s"]), int(fields["i"])
        except (KeyError, ValueError) as error:
            raise ScramError("the server says nothing of SCRAM") from error
        if not nonce.startswith(self._nonce) or not 0 < iterations <= 100_000:
            raise ScramError("the server answers another question")
        bare = f"c={base64.b64encode(_HEADER.encode()).decode()},r={nonce}"
        proof = _proof(_salted(self._password, salt, iterations), f"{self._asked},{said},{bare}")
        return f"{bare},p={base64.b64encode(proof).decode()}"
