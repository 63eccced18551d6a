"""What a check costs on a GPU: ViT-B/32 over every drawing, as a judge for real bases would.

It allows everything, for measuring and never for use: drawings of random weights are noise, which a
calibrated check refuses. Scores and verdicts are made as the gate makes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import open_clip
import torch

from castmark.safety.policy import Fairness
from castmark.take import Draft, Finding, Verdict

MODEL = "ViT-B-32"
CATEGORIES = 8
RUNGS = ("L0 integrity", "L1 prompt", "L2 image")


class CostOfACheck:
    """An open_clip ViT-B/32 with random weights; with ``small``, one of a few layers."""

    policy_digest = fingerprint = calibration_digest = hashlib.sha256(b"cost of a check").hexdigest()
    max_redraws = 0
    fairness = Fairness()

    def __init__(self, device: str, *, small: bool) -> None:
        config = cast("dict[str, Any]", open_clip.get_model_config(MODEL))
        if small:
            config["vision_cfg"] = {**config["vision_cfg"], "layers": 1, "width": 64, "head_width": 32}
            config["text_cfg"] = {**config["text_cfg"], "layers": 1, "width": 64, "heads": 2}
        self._size = int(config["vision_cfg"]["image_size"])
        model: Any = open_clip.CLIP(**config)
        self._device, self._dtype = device, torch.float32 if device == "cpu" else torch.bfloat16
        self._tower = model.visual.to(device, self._dtype).eval()
        words = torch.randn(CATEGORIES, config["embed_dim"], generator=torch.Generator().manual_seed(0))
        self._texts = torch.nn.functional.normalize(words, dim=-1).to(device, self._dtype)

    def check_prompt(self, text: str) -> Verdict:
        """Every prompt passes."""
        return self._verdict("", [0.0])

    @torch.inference_mode()
    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """Every drawing is encoded and scored, and passes."""
        pixels = torch.from_numpy(np.stack([draft.pixels for draft in drafts])).to(self._device)
        scaled = pixels.permute(0, 3, 1, 2).to(self._dtype) / 255
        seen = torch.nn.functional.interpolate(scaled, size=self._size, mode="bilinear", antialias=False)
        found: Any = torch.nn.functional.normalize(self._tower(seen * 2 - 1), dim=-1) @ self._texts.T
        return [
            self._verdict(draft.pixel_digest, scores)
            for draft, scores in zip(drafts, found.float().tolist(), strict=True)
        ]

    def _verdict(self, pixel_digest: str, scores: Sequence[float]) -> Verdict:
        findings = tuple(
            Finding(rung=rung, name=f"text {index}", score=score, threshold=2.0, allowed=True)
            for rung in RUNGS
            for index, score in enumerate(scores)
        )
        return Verdict(
            pixel_digest=pixel_digest,
            policy="none: a measurement",
            policy_digest=self.policy_digest,
            checker=self.fingerprint,
            calibration=self.calibration_digest,
            domain="anything",
            findings=findings,
        )
