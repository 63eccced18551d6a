"""The durable layer's part of a verifier's report. Light to import: numpy only when there is work to do.

A file without a manifest is looked up in the user's registry (`of_stripped`). A file with its manifest is
compared with the soft bindings that it declares only where that was required (`of_whole`): its own hashes
say more, and cost less.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from castmark_provenance.report import Check, Report, State

if TYPE_CHECKING:
    from castmark_provenance.durable.recovery import Recovery

ORIGINAL = (
    "ask for the original file: what the manifest says holds for the picture this is a copy of, "
    "and this file may have been changed since"
)
NOT_ASKED = "not looked for in a file that has its manifest, unless required"


def of_stripped(
    data: bytes, path: str | None, media_type: str | None, anchors: str
) -> tuple[Report | None, tuple[Check, ...]]:
    """The report of a file that lost its manifest, if its manifest is found; and what was looked at."""
    from castmark_provenance.durable.errors import RegistryError
    from castmark_provenance.home import home_folder

    if not (home_folder() / "registry" / "registry.sqlite").is_file():
        why = "there is no registry here to look it up in (castmark registry import)"
        return None, _both("not checked", why)
    from castmark_provenance.durable.recovery import look_up
    from castmark_provenance.durable.registry import Registry

    try:
        with Registry.open(create=False) as registry:
            search = look_up(data, registry, anchors)
    except (RegistryError, ValueError) as error:
        return None, _both("not checked", str(error))
    if search.recovery is None:
        return None, (
            Check(name="watermark", outcome="failed" if search.watermark else "absent", detail=search.why),
            Check(name="fingerprint", outcome="absent", detail=search.why),
        )
    return _recovered(search.recovery, search.why, path, media_type), ()


def of_whole(data: bytes, active: Mapping[str, Any], required: Collection[str]) -> tuple[Check, ...]:
    """Checks of an intact file against the soft bindings that its active manifest declares."""
    if not {"watermark", "fingerprint"} & set(required):
        return _both("not checked", NOT_ASKED)
    from castmark_provenance.durable import binding, fingerprint, watermark
    from castmark_provenance.durable.recovery import pixels_of

    try:
        pixels = pixels_of(data)
    except ValueError as error:
        return _both("not checked", f"the picture cannot be decoded ({error})")
    bound = binding.bound(active)
    stated = bound.get(watermark.ALGORITHM)
    mark = watermark.read(pixels)
    if stated is None:
        first = Check(name="watermark", outcome="absent", detail="the manifest declares no watermark of ours")
    elif mark is None:
        first = Check(name="watermark", outcome="absent", detail=f"declared {stated}, and none can be read")
    else:
        name = binding.shown(mark.identifier)
        what = f"declared {stated}, read {name}"
        first = Check(name="watermark", outcome="passed" if stated == name else "failed", detail=what)
    looks = bound.get(fingerprint.ALGORITHM)
    if looks is None:
        return first, Check(name="fingerprint", outcome="absent", detail="the manifest declares none of ours")
    try:
        away = fingerprint.distance(bytes.fromhex(looks), fingerprint.fingerprint(pixels))
    except ValueError:
        away = 256
    what = f"{away} of 256 bits from the declared one"
    outcome = "passed" if away <= fingerprint.COPY else "failed"
    return first, Check(name="fingerprint", outcome=outcome, detail=what)


def _both(outcome: Any, why: str) -> tuple[Check, ...]:
    return (
        Check(name="watermark", outcome=outcome, detail=why),
        Check(name="fingerprint", outcome=outcome, detail=why),
    )


def _recovered(found: Recovery, why: str, path: str | None, media_type: str | None) -> Report:
    state = State.RECOVERED
    signer = (found.signer and (found.signer.common_name or found.signer.organisation)) or "an unnamed signer"
    anchor = "no trust anchor" if found.signer_problems else "a trust anchor"
    day = f"{found.claim.created:%Y-%m-%d}"
    mark = Check(name="watermark", outcome="absent", detail="none in the picture")
    if found.by == "watermark":
        mark = Check(name="watermark", outcome="passed", detail=f"id {found.watermark}, registered")
    elif found.watermark is not None:
        mark = Check(name="watermark", outcome="failed", detail=f"id {found.watermark}, not this picture's")
    near = f"{found.distance} of 256 bits from the registered picture"
    return Report(
        path=path,
        state=state,
        exit_code=state.exit_code,
        verdict=(
            f"{state.value}: not trusted; a copy, by its {found.by}, of "
            f"{found.claim.title or 'a picture'!r}, made {day} "
            f"and signed by {signer}, for whom {anchor} vouches"
        ),
        remedy=ORIGINAL,
        media_type=media_type,
        signer=found.signer,
        generator=found.generator,
        claim=found.claim,
        checks=(
            Check(name="manifest", outcome="absent", detail=f"not in the file; from the registry: {why}"),
            Check(name="integrity", outcome="not checked", detail="these are not the bytes that were signed"),
            Check(
                name="signer",
                outcome="failed" if found.signer_problems else "passed",
                detail=f"{anchor} vouches for {signer}, who signed the registered manifest",
            ),
            mark,
            Check(name="fingerprint", outcome="passed", detail=near),
        ),
    )
