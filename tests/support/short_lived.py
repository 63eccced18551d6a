"""A signing key whose certificate ends within seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


def short_lived_key(folder: Path, *, seconds: float) -> PemKey:
    """A key whose certificate is good for ``seconds`` from now, under a root of its own."""
    keys = keygen(folder / "keys")
    leaf, middle = x509.load_pem_x509_certificates((keys / "signer.pem").read_bytes())
    issuer = serialization.load_pem_private_key((keys / "intermediate.key").read_bytes(), None)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(seconds=seconds))
    )
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    short = builder.sign(issuer, hashes.SHA256())
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (short, middle))
    (keys / "signer.pem").write_bytes(pem)
    return PemKey.load_folder(keys)
