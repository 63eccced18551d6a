"""Whether a signature is a key's, by the algorithms of COSE."""

from __future__ import annotations

from typing import Any


def is_signature(signature: bytes, signed: bytes, key: object, algorithm: Any) -> bool:
    """Whether it is the key's, by a COSE algorithm (RFC 9053 section 2, RFC 8230 section 2).

    Args:
        algorithm: its number in COSE.

    Raises:
        KeyError: the key is not for this algorithm.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    ecdsa = {-7: hashes.SHA256(), -35: hashes.SHA384(), -36: hashes.SHA512()}
    pss = {-37: hashes.SHA256(), -38: hashes.SHA384(), -39: hashes.SHA512()}
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            key.verify(encode_dss_signature(*pair), signed, ec.ECDSA(ecdsa[algorithm]))
        elif isinstance(key, rsa.RSAPublicKey):
            digest = pss[algorithm]
            key.verify(signature, signed, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)
        else:
            return False
    except InvalidSignature:
        return False
    return True
