"""Trust anchors: whose signatures count. The local root, the local trust folder, and what the user adds."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path

from castmark_provenance.errors import TrustError
from castmark_provenance.home import key_folder, trust_folder

# Extended key usages a signing certificate may have: emailProtection, documentSigning, c2pa-kp.
TRUST_CONFIG = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1"

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")


def local_anchors() -> str:
    """PEM of the local key's root and of every file in the trust folder; empty if there are none.

    Raises:
        TrustError: one of them cannot be used.
    """
    files = [root] if (root := key_folder() / "root.pem").is_file() else []
    folder = trust_folder()
    if folder.is_dir():
        files += sorted(folder.glob("*.pem"))
    return read_anchors(files)


def read_anchors(files: Iterable[str | Path]) -> str:
    """PEM of every certificate in ``files``, each once.

    Raises:
        TrustError: a file cannot be read, holds no certificate, or one that is damaged.
    """
    from cryptography import x509

    blocks: dict[bytes, str] = {}
    for file in files:
        path = Path(file)
        try:
            text = path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not a PEM file"
            raise TrustError(f"{path}: trust anchors cannot be read ({reason}); give a PEM file") from error
        found = _BLOCK.findall(text)
        if not found:
            raise TrustError(f"{path}: holds no certificate; give a PEM file with the signer's root")
        for body in found:
            try:
                der = base64.b64decode("".join(str(body).split()), validate=True)
                x509.load_der_x509_certificate(der)
            except ValueError as error:
                raise TrustError(
                    f"{path}: a certificate in it cannot be read ({error}); ask for the file again"
                ) from error
            blocks[der] = f"-----BEGIN CERTIFICATE-----\n{_wrapped(der)}\n-----END CERTIFICATE-----\n"
    return "".join(blocks.values())


def _wrapped(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
