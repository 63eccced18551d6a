"""What a base wears for a subject, and how strongly."""

from __future__ import annotations

from castmark_adapters.host import Adapter, Host
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Subject

REFERENCE_ALONE = 1.0
REFERENCE_WITH_LORA = 1.0
LORA = 1.0


def adapters_for(subject: Subject, host: Host, reference: ReferenceAdapter | None) -> list[Adapter]:
    """The subject's adapters for this base: the reference adapter, and its LoRA if it has learned one.

    The reference adapter comes first, so that `castmark_adapters.host.wearing` puts it under the LoRA.

    Raises:
        HostError: the LoRA was learned on another base.
        PackError, SubjectError: the subject's files are damaged or not at hand.
    """
    worn: list[Adapter] = []
    if reference is not None and subject.references:
        strength = REFERENCE_ALONE if subject.lora is None else REFERENCE_WITH_LORA
        worn.append(reference.of(subject, strength))
    if subject.lora is not None:
        lora = LoraAdapter.of(subject, LORA)
        lora.check(host)
        worn.append(lora)
    return worn
