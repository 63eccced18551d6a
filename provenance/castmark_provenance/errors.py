"""What can go wrong with provenance.

    ProvenanceError
    ├── KeyMaterialError    a private key, certificate or chain that cannot be used
    │   ├── KeyMismatch     the private key is not the certificate's
    │   ├── KeyExpired      the certificate is past its end, or not yet valid
    │   └── KeyExists       a key is there already; nothing was overwritten
    ├── TrustError          trust anchors that cannot be used
    ├── ClaimError          a claim that cannot be put into a manifest, or a manifest that holds none
    ├── SignError           the image could not be signed and read back as trusted; no bytes were returned
    │   ├── PixelMismatch   the file's pixels are not those the check was given
    │   └── TimestampError  no time-stamp in time, and the choice was to fail then
    └── RequirementError    a requirement the verifier does not know

A bad image is no error: `castmark_provenance.verify.verify` answers with a report for whatever it is given.
"""


class ProvenanceError(Exception):
    """Base of every error of this package; the message says what, to what, and what to do next."""


class KeyMaterialError(ProvenanceError):
    """A private key, certificate or chain that cannot be used."""


class KeyMismatch(KeyMaterialError):  # noqa: N818
    """The private key does not belong to the certificate."""


class KeyExpired(KeyMaterialError):  # noqa: N818
    """The signing certificate is past its end, or not yet valid."""


class KeyExists(KeyMaterialError):  # noqa: N818
    """A key is there already; nothing was overwritten."""


class TrustError(ProvenanceError):
    """Trust anchors cannot be read, or a file of them holds no certificate."""


class ClaimError(ProvenanceError):
    """A claim cannot be put into a manifest, or a manifest holds no readable claim of ours."""


class SignError(ProvenanceError):
    """The image could not be signed and read back as trusted; no bytes were returned."""


class PixelMismatch(SignError):  # noqa: N818
    """The pixels in the file are not those the check was given."""


class TimestampError(SignError):
    """No time-stamp from the authority, or none that can be used."""


class RequirementError(ProvenanceError):
    """A requirement the verifier does not know."""
