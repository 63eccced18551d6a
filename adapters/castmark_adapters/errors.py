"""What can go wrong with a subject or an adapter.

AdapterError
├── SubjectError        a card, a reference or a consent that cannot be used
├── PackError           a subject pack on disk that is damaged or not ours
└── HostError           the base cannot wear this adapter
"""


class AdapterError(Exception):
    """Base of every error of this package; the message says what, where, and what to do next."""


class SubjectError(AdapterError):
    """A subject's card, reference image or consent cannot be used."""


class PackError(AdapterError):
    """A subject pack is damaged, incomplete, or its digests do not match."""


class HostError(AdapterError):
    """A base cannot wear the adapter asked of it."""
