"""Everything the engine raises on purpose.

    CastmarkError
    ├── InputError          a shot, a job file or a setting the user can correct
    ├── MissingExtra        a command needs an optional part of the installation
    ├── BaseError           a base that cannot be loaded, or cannot draw what was asked
    ├── CheckError          the check could not be completed (never a pass)
    │   └── NotCalibrated   no thresholds for this encoder and policy, or stale ones
    ├── SigningError        the image could not be signed and read back as trusted
    ├── RefusedError        the check refused the image; carries the refusal
    └── LedgerError         a run's journal is locked, damaged or of another job

Every message says what happened, to what, and what to do next.
"""


class CastmarkError(Exception):
    """Base of every error of the engine."""


class InputError(CastmarkError):
    """A shot, job file or setting that the user can correct."""


class MissingExtra(CastmarkError):  # noqa: N818
    """A command needs an optional part of the installation.

    Args:
        broken: why the part, which is installed, cannot be loaded, and what to do.
    """

    def __init__(self, what: str, extra: str, *, broken: str = "") -> None:
        if broken:
            told = f"the {extra!r} extra, which is installed but cannot be loaded {broken}"
        else:
            told = f"the {extra!r} extra; install it with: pip install 'castmark[{extra}]'"
        super().__init__(f"{what} needs {told}")
        self.extra = extra


class BaseError(CastmarkError):
    """A base that cannot be loaded, or cannot draw what was asked."""


class CheckError(CastmarkError):
    """The check could not be completed. Never a pass."""


class NotCalibrated(CheckError):  # noqa: N818
    """No thresholds for this encoder and policy, or stale ones."""


class SigningError(CastmarkError):
    """An image could not be signed and read back as trusted."""


class RefusedError(CastmarkError):
    """The check refused the image. ``refusal`` says why, with every score."""

    def __init__(self, message: str, refusal: object) -> None:
        super().__init__(message)
        self.refusal = refusal


class LedgerError(CastmarkError):
    """A run's journal is locked by another process, damaged, or belongs to another job."""
