"""The loop that the pipeline is measured against: what one writes first, with the same base, judge and key.

    for prompt in prompts:
        image = pipe(prompt)
        if safe(image):
            image.save(path)
            sign(path)

One picture at a time, Pillow's default PNG, the C2PA library with its default settings (a thumbnail in the
manifest), nothing cached and nothing read back.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
from PIL import Image

from castmark.errors import CastmarkError
from castmark.shot import ResolvedShot, Shot
from castmark.studio.claims import claim_of
from castmark.studio.studio import Studio
from castmark.take import Draft, Verdict
from castmark_provenance.claim import PromptRecord, new_salt
from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import to_manifest


def plain_loop(studio: Studio, shots: Sequence[Shot], folder: Path) -> int:
    """Draw, check, save and sign every shot, one after the other; how many were signed."""
    key = studio.signing_key
    if not isinstance(key, PemKey):
        raise CastmarkError("the plain loop signs with a key in a file; open the studio with one")
    signed = 0
    for index, shot in enumerate(shots):
        resolved = studio.base.resolve(shot)
        if not studio.checker.check_prompt(shot.prompt).prompt_allowed:
            continue
        draft = Draft(resolved=resolved, pixels=_draw(studio, resolved), settings={})
        (verdict,) = studio.checker.check([draft])
        if not verdict.allowed:
            continue
        path = folder / f"{index}.png"
        Image.fromarray(draft.pixels).save(path)
        path.write_bytes(_sign(studio, shot, draft, verdict, path.read_bytes(), key))
        signed += 1
    return signed


def _draw(studio: Studio, resolved: ResolvedShot) -> Any:
    """``pipe(prompt)`` where the base is a diffusers pipeline, else the base's own drawing of one."""
    import torch

    pipeline: Any = studio.base.host.pipeline
    if pipeline is None:
        return studio.base.draw([resolved])[0].pixels
    image = pipeline(
        resolved.text,
        width=resolved.width,
        height=resolved.height,
        num_inference_steps=resolved.steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(resolved.seed),
    ).images[0]
    return np.array(image)


def _sign(studio: Studio, shot: Shot, draft: Draft, verdict: Verdict, png: bytes, key: PemKey) -> bytes:
    salt = new_salt()
    prompt = PromptRecord.of(shot.prompt, salt)
    claim = claim_of(
        shot, studio.key(shot), draft, verdict, base=studio.base, ingredients=(), prompt=prompt, salt=salt
    )
    info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.private_pem(), None)
    out = io.BytesIO()
    with c2pa.Builder(to_manifest(claim)) as builder:
        builder.sign(c2pa.Signer.from_info(info), "image/png", io.BytesIO(png), out)
    return out.getvalue()
