"""Tokens of service accounts, for whoever asks for one by TokenRequest, as `kubectl create token` does.

A token is a JWT with the claims of a real one, and kept nowhere: the cluster signs it with a key that it makes when
it begins (HS256, for nobody else is to verify it), and believes it until it expires, as long as the very
ServiceAccount is there that it was made for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import uuid
from datetime import UTC, datetime

from sandbox.api.local_cluster import LocalCluster
from sandbox.api.requests import RequestInfo
from sandbox.core.cluster import Object, Resource
from sandbox.core.objects import at
from sandbox.schema.findings import bad_value, forbidden, invalid

TOKEN_REQUEST = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest", namespaced=True)
_ISSUER = "https://kubernetes.default.svc.cluster.local"
_USUAL, _LEAST, _MOST = 3600, 600, 1 << 32
_HEADER = {"alg": "HS256", "typ": "JWT"}


class ServiceAccountTokens:
    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster, self._key = cluster, secrets.token_bytes(32)

    def create(self, info: RequestInfo, account: Object, asked: Object, *, dry_run: bool) -> Object:
        """The answer to a TokenRequest about `account`. Raises ApiError for what is not sound."""
        spec = asked.get("spec") or {}
        seconds = spec.get("expirationSeconds") or (0 if "expirationSeconds" in spec else _USUAL)
        causes = []
        if spec.get("boundObjectRef"):
            causes.append(forbidden("spec.boundObjectRef", "not supported by the sandbox"))
        path = "spec.expirationSeconds"
        if seconds < _LEAST:
            causes.append(bad_value(path, seconds, "may not specify a duration less than 10 minutes"))
        if seconds > _MOST:
            causes.append(bad_value(path, seconds, "may not specify a duration larger than 2^32 seconds"))
        if causes:
            raise invalid(TOKEN_REQUEST, "", causes)
        audiences = spec.get("audiences") or [_ISSUER]
        now = int(time.time())
        token = "" if dry_run else self._signed(account, audiences, now, now + seconds)
        metadata = {"name": info.name, "namespace": info.namespace, "creationTimestamp": _written(now)}
        return {
            "kind": TOKEN_REQUEST.kind,
            "apiVersion": TOKEN_REQUEST.api_version,
            "metadata": metadata,
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": _written(now + seconds)},
        }

    def user(self, token: str) -> Object | None:
        """Whose it is (a UserInfo); None for one that is not believed, or not any more."""
        signed, _, signature = token.rpartition(".")
        try:
            if not hmac.compare_digest(_unpacked(signature), self._signature(signed)):
                return None
            claims = json.loads(_unpacked(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        if time.time() >= claims["exp"] or _ISSUER not in claims["aud"]:
            return None
        private = claims["kubernetes.io"]
        namespace, said = private["namespace"], private["serviceaccount"]
        account = self._cluster.find("serviceaccounts", namespace, said["name"])
        if account is None or at(account, "metadata", "uid") != said["uid"]:
            return None
        return {
            "username": claims["sub"],
            "uid": said["uid"],
            "groups": [
                *("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
            ],
            "extra": {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]},
        }

    def _signed(self, account: Object, audiences: list[str], now: int, until: int) -> str:
        metadata = account["metadata"]
        claims = {
            "aud": audiences,
            "exp": until,
            "iat": now,
            "iss": _ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": metadata["namespace"],
                "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        signed = ".".join(_packed(json.dumps(part, separators=(",", ":")).encode()) for part in (_HEADER, claims))
        return f"{signed}.{_packed(self._signature(signed))}"

    def _signature(self, signed: str) -> bytes:
        return hmac.digest(self._key, signed.encode(errors="surrogateescape"), hashlib.sha256)


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)


def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
