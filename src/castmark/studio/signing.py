"""The only maker of signed images: what was judged is encoded, claimed, signed and registered."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from castmark.errors import CheckError
from castmark.outputs.files import MEDIA_TYPES, encode
from castmark.outputs.openraster import layer_digests, layer_files, openraster
from castmark.outputs.parameters import parameters_text
from castmark.shot import Shot
from castmark.studio.claims import claim_of
from castmark.take import Draft, SignedImage, Verdict
from castmark_provenance.claim import PromptRecord, new_salt, pixel_digest
from castmark_provenance.sign import sign

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark_adapters.host import Ingredient
    from castmark_provenance.durable.layer import Marker
    from castmark_provenance.keys import Key


def signed(
    shot: Shot,
    key: str,
    draft: Draft,
    verdict: Verdict,
    *,
    base: Base,
    signing_key: Key,
    made_from: Iterable[Ingredient],
    disclose_prompt: bool,
    parameters: bool,
    durable: Marker | None,
) -> SignedImage:
    """The signed image of a draft that its verdict allows. The arguments are those of `Studio`.

    Raises:
        CheckError: the verdict does not allow it, or is for other pixels.
        ProvenanceError: it cannot be signed or registered.
    """
    height, width, _ = draft.pixels.shape
    rgb = draft.pixels.tobytes()
    if not verdict.allowed or verdict.pixel_digest != pixel_digest(width, height, rgb):
        raise CheckError(f"{shot.name or key[:12]}: the verdict is not for these pixels; nothing was signed")
    start = time.perf_counter()
    text = parameters_text(draft, base) if parameters else None
    file, media_type = encode(draft, shot.format, text), MEDIA_TYPES[shot.format]
    files = layer_files(draft.layers)
    draft = replace(draft, settings={**draft.settings, **layer_digests(files)})
    encoded = time.perf_counter()
    salt = new_salt()
    claim = claim_of(
        shot,
        key,
        draft,
        verdict,
        base=base,
        ingredients=made_from,
        prompt=PromptRecord.of(shot.prompt, salt, disclose=disclose_prompt),
        salt=salt,
    )
    bindings = () if durable is None else durable.additions(draft.pixels, draft.watermark)
    data = sign(file, media_type, claim, signing_key, pixels=rgb, additions=bindings)
    seconds = {"encode": encoded - start, "sign": time.perf_counter() - encoded}
    if durable is not None:  # before anybody has the file: what is handed out can be found again
        durable.register(data, media_type, draft.pixels, draft.watermark, claim.title)
    take = SignedImage(
        shot=shot,
        key=key,
        data=data,
        media_type=media_type,
        claim=claim,
        verdict=verdict,
        salt=salt,
        timings={**draft.timings, **seconds},
    )
    if not draft.layers:
        return take
    name = take.file_name.removesuffix(".png") + ".ora"
    return replace(take, companions={name: openraster(data, draft.layers, files)})
