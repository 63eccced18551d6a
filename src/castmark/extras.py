"""Optional parts of the installation: ask for one by name, get an error that says how to install it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from castmark.errors import MissingExtra

MODULES = {
    "engine": ("torch", "diffusers", "transformers", "peft", "open_clip", "jinja2", "yaml", "numpy"),
    "world": ("skia", "numpy"),
    "ray": ("ray",),
}
"""The modules an extra brings, by extra."""


def installed(extra: str) -> bool:
    """Whether the modules of an extra are there, without importing them."""
    return all(find_spec(module) is not None for module in MODULES[extra])


def require(what: str, *extras: str) -> None:
    """Make sure that the modules of ``extras`` are installed, without importing them; save for the renderer,
    which is small and needs libraries of the system that a machine without a screen may lack.

    Raises:
        MissingExtra: naming ``what`` needs it, and the command that installs it.
    """
    for extra in extras:
        if not installed(extra):
            raise MissingExtra(what, extra)
        if extra == "world" and (broken := renderer_broken()):
            raise MissingExtra(what, extra, broken=f"({broken}); {RENDERER_NEEDS}")


RENDERER_NEEDS = "on Debian and Ubuntu: apt-get install libegl1 libgl1"
"""What to do where it cannot be loaded."""


def renderer_broken() -> str:
    """Why skia-python, which is installed, cannot be loaded; nothing where it can."""
    try:
        import_module("skia")
    except ImportError as error:
        return str(error)
    return ""
