"""Parity of what a reader read of a set of pictures, or why it cannot be told of them."""

from __future__ import annotations

from collections.abc import Mapping

from castmark.safety.bias.parity import Parity, parity
from castmark.safety.bias.quotas import target_shares
from castmark.safety.policy import Fairness
from castmark.safety.reader import Reader


def measured(
    attribute: str, counts: Mapping[str, int], fairness: Fairness, reader: Reader, *, seed: int = 0
) -> Parity | str:
    """Parity of ``counts`` with the declared shares, corrected for the reader's errors; or, in words, that
    the reader does not know a group that has one. What has none and is not known either is passed over.

    Raises:
        ValueError: the policy declares a group that nothing can read.
    """
    shares = target_shares(fairness, attribute)
    found = reader.attributes.get(attribute)
    known = () if found is None else found.probe.classes
    unknown = [group for group, share in shares.items() if share and group not in known]
    if found is None or unknown:
        return f"cannot tell: the reader does not know {', '.join(unknown)}"
    return parity(
        attribute,
        {group: counts.get(group, 0) for group in known},
        {group: share for group, share in shares.items() if group in known},
        fairness.gate,
        confusion=found.confusion,
        seed=seed,
    )


def untold(found: Parity, why: str) -> Parity:
    """The counts, without anything that rests on the reader's errors as they were measured: these were of
    other pictures."""
    return found.model_copy(
        update={
            **dict.fromkeys(("corrected", "tv", "tv_low", "tv_high", "entropy", "ratio")),
            "p": 1.0,
            "state": "cannot tell",
            "statement": f"{found.attribute}: cannot tell: {why}",
        }
    )
