"""What a certificate's key may be used for."""

from __future__ import annotations

from cryptography import x509

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def key_usage(*allowed: str) -> x509.KeyUsage:
    """These, by their names in `cryptography`, and nothing else."""
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})
