"""Castmark draws one subject, recognisably the same, in every scene; checks every image; signs what passes.

No complete check, no signature; no signature, no file.

    from castmark import Shot, Studio, Subject

    studio = Studio.open()
    mira = Subject.from_images("mira", ["m1.png", "m2.png", "m3.png"], kind="character")
    print(studio.shoot(Shot("mira at the beach", subjects=[mira], seed=7)).save("out/"))

The public names are imported when they are first used: ``import castmark`` alone loads no torch and no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castmark.errors import (
        BaseError,
        CastmarkError,
        CheckError,
        InputError,
        LedgerError,
        MissingExtra,
        NotCalibrated,
        RefusedError,
        SigningError,
    )
    from castmark.jobs import Job, JobRow, read_job
    from castmark.runs.runners import LocalRunner, Runner, RunSummary
    from castmark.shot import Shot
    from castmark.studio.studio import Studio
    from castmark.take import Draft, Failure, Finding, Refusal, SignedImage, Take, Verdict
    from castmark_adapters.subject import Consent, Subject

    __version__: str

_HOME = {
    "castmark.jobs": ("Job", "JobRow", "read_job"),
    "castmark.errors": (
        "BaseError",
        "CastmarkError",
        "CheckError",
        "InputError",
        "LedgerError",
        "MissingExtra",
        "NotCalibrated",
        "RefusedError",
        "SigningError",
    ),
    "castmark.runs.runners": ("LocalRunner", "RunSummary", "Runner"),
    "castmark.shot": ("Shot",),
    "castmark.studio.studio": ("Studio",),
    "castmark.take": ("Draft", "Failure", "Finding", "Refusal", "SignedImage", "Take", "Verdict"),
    "castmark_adapters.subject": ("Consent", "Subject"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "BaseError",
    "CastmarkError",
    "CheckError",
    "Consent",
    "Draft",
    "Failure",
    "Finding",
    "InputError",
    "Job",
    "JobRow",
    "LedgerError",
    "LocalRunner",
    "MissingExtra",
    "NotCalibrated",
    "Refusal",
    "RefusedError",
    "RunSummary",
    "Runner",
    "Shot",
    "SignedImage",
    "SigningError",
    "Studio",
    "Subject",
    "Take",
    "Verdict",
    "__version__",
    "read_job",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("castmark")
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
