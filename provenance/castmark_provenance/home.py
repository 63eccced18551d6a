"""Where the local key and the trust anchors live.

$CASTMARK_HOME, or the user data folder of the platform
├── keys/    root.pem, intermediate.pem, signer.pem, and their private keys (0600)
└── trust/   further anchors, one PEM file each
"""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """$CASTMARK_HOME if set, else the platform's user data folder. Nothing is created."""
    override = os.environ.get("CASTMARK_HOME")
    if override:
        return Path(override).expanduser()
    from platformdirs import user_data_path  # slow to import, and only needed without the override

    return user_data_path("castmark", appauthor=False)


def key_folder() -> Path:
    """The folder of the local signing key."""
    return home_folder() / "keys"


def trust_folder() -> Path:
    """The folder of further trust anchors."""
    return home_folder() / "trust"
