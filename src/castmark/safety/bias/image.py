"""Rungs L4 and L5, one image: what is read of the person in it, against what the prompt states, a quota
assigned or a subject is.

One image cannot break parity: what a prompt leaves open is recorded for the campaign (`castmark.safety.bias
.campaign`), and only drift of a subject's locked attribute, or a quota that the policy redraws for, can
refuse an image. A value that the reader was never taught refuses none: the record says that nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from castmark.safety.bias.words import stated
from castmark.safety.reader import Reader, Reading
from castmark.take import Finding

OPEN = ", left open by the prompt"
ASKED = ", stated by the prompt"
UNKNOWN = "the reader does not know"


def reading_findings(
    readings: Mapping[str, Reading], text: str, reader: Reader | None, quota: Sequence[str] = ()
) -> list[Finding]:
    """What is read of each attribute. Where the prompt states it: the margin by which something else is read.
    Where it is left open: how sure the reading is, which is how far this image leans to one group.

    ``text`` says what a ``quota`` assigned, too; whoever wrote it had left that open.
    """
    said = stated(text)
    dealt = {record.partition(": ")[0] for record in quota}
    found: list[Finding] = []
    for name, reading in readings.items():
        if reader is not None and name in said and name not in dealt:
            known = [value for value in said[name] if value in reading.probabilities]
            if not known:
                found.append(_recorded(name + ASKED, 1.0, 0.0, f"{UNKNOWN} {', '.join(said[name])}"))
                continue
            asked = min(known, key=reading.margin)
            limit = reader.attributes[name].drift_at
            found.append(_recorded(name + ASKED, reading.margin(asked), limit, asked))
        else:
            sure = reading.probabilities[reading.value]
            found.append(_recorded(name + OPEN, sure, 1.0, reading.value))
    return found


def quota_findings(
    quota: Sequence[str],
    readings: Mapping[str, Reading],
    reader: Reader | None,
    action: Literal["warn", "redraw"],
) -> list[Finding]:
    """Whether what a campaign's quota assigned can be seen: the margin by which another class is read, above
    0 where nobody is. What the reader does not know binds nothing, since no redraw could show it."""
    found: list[Finding] = []
    for record in quota:
        name, _, group = record.partition(": ")
        attribute = None if reader is None else reader.attributes.get(name)
        limit = 0.0 if attribute is None else attribute.drift_at
        known = reader is None or (attribute is not None and group in attribute.probe.classes)
        margin = readings[name].margin(group) if known and name in readings else max(limit, 0.0) + 1.0
        found.append(
            Finding(
                rung="L5 campaign",
                name=f"quota {record}",
                score=margin,
                threshold=limit,
                allowed=margin <= limit,
                binding=known and action == "redraw",
                action=action if known else "warn",
                detail="" if known else f"{UNKNOWN} {group}",
            )
        )
    return found


def drift_findings(
    subject: str,
    references: Sequence[Mapping[str, Reading]],
    readings: Mapping[str, Reading],
    reader: Reader,
    locked: Sequence[str],
) -> list[Finding]:
    """Whether a subject's attributes drifted from those of its references: the margin by which another class
    is read, against the margin that the right class hardly ever shows.

    Only attributes on which more than half of the references agree are compared. A locked one whose picture
    shows nobody has drifted; a locked one that the references do not settle cannot be checked, and forbids.
    """
    found: list[Finding] = []
    for name, attribute in reader.attributes.items():
        if name == "presence":
            continue
        values = [seen[name].value for seen in references if name in seen]
        value = max(set(values), key=values.count) if values else None
        bound = name in locked
        if value is None or 2 * values.count(value) <= len(references):
            if bound:
                found.append(_drift(f"{name} of {subject}", 1.0, 0.0, bound, "references disagree"))
            continue
        margin = readings[name].margin(value) if name in readings else attribute.drift_at + 1.0
        found.append(_drift(f"{name} of {subject}", margin, attribute.drift_at, bound, value))
    return found


def _recorded(name: str, score: float, limit: float, value: str) -> Finding:
    """The value goes into the detail, which is not published: it may repeat the prompt."""
    return Finding(
        rung="L4 bias",
        name=name,
        score=score,
        threshold=limit,
        allowed=score <= limit,
        binding=False,
        action="warn",
        detail=value,
    )


def _drift(name: str, score: float, limit: float, binding: bool, value: str) -> Finding:
    return Finding(
        rung="L3 subject",
        name=name,
        score=score,
        threshold=limit,
        allowed=score <= limit,
        binding=binding,
        action="redraw" if binding else "warn",
        detail=value,
    )
