"""Says where an image came from: C2PA manifests, signed and verified, failing closed. No torch, ever.

    >>> from castmark_provenance import verify
    >>> verify(b"not an image").state.exit_code
    7

Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castmark_provenance.authority import keygen as keygen
    from castmark_provenance.claim import Claim as Claim
    from castmark_provenance.errors import ProvenanceError as ProvenanceError
    from castmark_provenance.keys import CallbackKey as CallbackKey
    from castmark_provenance.keys import Key as Key
    from castmark_provenance.keys import PemKey as PemKey
    from castmark_provenance.keys import ensure_local_key as ensure_local_key
    from castmark_provenance.report import Check as Check
    from castmark_provenance.report import Report as Report
    from castmark_provenance.report import State as State
    from castmark_provenance.sign import sign as sign
    from castmark_provenance.trust import local_anchors as local_anchors
    from castmark_provenance.trust import read_anchors as read_anchors
    from castmark_provenance.verify import verify as verify
    from castmark_provenance.verify import verify_all as verify_all

_HOMES = {
    "CallbackKey": "keys",
    "Check": "report",
    "Claim": "claim",
    "Key": "keys",
    "PemKey": "keys",
    "ProvenanceError": "errors",
    "Report": "report",
    "State": "report",
    "ensure_local_key": "keys",
    "keygen": "authority",
    "local_anchors": "trust",
    "read_anchors": "trust",
    "sign": "sign",
    "verify": "verify",
    "verify_all": "verify",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    """Keeps ``sign`` and ``verify`` the functions: importing a submodule would set its name to the module."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in _HOMES:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
