"""Sample sheets of a denoiser: what it draws of the words of held-out scenes, each time from one noise.

What words leave open is told as it is in the scene, where the base has a prior: so a sheet's rows are to look
like its renders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from castmark.training.common import TrainSettings, seeded
from castmark.training.denoiser import NoisePath, TextToLatents, new_scheduler, prompt_tokenizer
from castmark.training.labels import labels_of, said
from castmark.training.latents import Batch
from castmark.training.paths import GUIDANCE, guided_paths
from castmark.training.progress import Rows
from castmark.training.samples import COUNT, SEED, SIDE, Pictures, held_out, pictures
from castmark.training.tokenizer import token_ids
from castmark.training.told import standing
from castmark_world import caption, render


class Drawings:
    """What a denoiser draws of the words of the held-out scenes."""

    def __init__(self, settings: TrainSettings, model: TextToLatents) -> None:
        self._model, self._device = model, settings.device
        autoencoder = AutoencoderTiny.from_pretrained(Path(settings.out) / "vae")
        self._decoder: Any = nn.Module.to(autoencoder, settings.device)  # its own `to` has lost its types
        scenes, seeds = held_out(), range(SEED, SEED + COUNT)
        self._renders = [render(scene, SIDE) for scene in scenes]
        spoken = zip(scenes, map(np.random.default_rng, seeds), strict=True)
        self.captions = [caption(scene, rng) for scene, rng in spoken]
        ids = token_ids(prompt_tokenizer(), [*self.captions, ""])
        shape = (COUNT, model.unet.config["in_channels"], *2 * [model.unet.config["sample_size"]])
        noise = torch.randn(shape, generator=seeded(np.random.default_rng(SEED)))
        asked = [said(scene, caption, seed) for scene, seed in zip(scenes, seeds, strict=True)]
        labels, standings = [labels_of(scene) for scene in scenes], [standing(scene) for scene in scenes]
        truth, told, stood = (torch.from_numpy(np.stack(each)) for each in (labels, asked, standings))
        known = (truth, told, told[:0], stood)
        parts = (noise, noise[:, :1], ids[:COUNT], torch.zeros(0, 1, 1, 1), *known)
        self._batch = Batch(*(part.to(settings.device) for part in parts))
        self._empty = ids[COUNT].to(settings.device)

    @torch.no_grad()
    @torch.compiler.set_stance("force_eager")  # of another size than what a compiled model learns on
    def of_teacher(self) -> Rows:
        """Along the guided path; unguided where everything is told."""
        path, noise, told = NoisePath(self._device), self._batch.clean, self._model.telling is not None
        guidance = 1.0 if told else GUIDANCE
        found = guided_paths(
            self._model.eval(), path, noise, self._batch, self._empty, guidance=guidance
        ).target
        self._model.train()
        return {
            "renders": self._renders,
            "teacher, told" if told else "teacher, guided": self._decoded(found),
        }

    @torch.no_grad()
    @torch.compiler.set_stance("force_eager")
    def of_student(self) -> Rows:
        """In 4 steps and in 1, as the base draws."""
        self._model.eval()
        rows = {f"student, {n} step{'s' * (n > 1)}": self._decoded(self._in_steps(n)) for n in (4, 1)}
        self._model.train()
        return {"renders": self._renders, **rows}

    def _in_steps(self, steps: int) -> Tensor:
        scheduler: Any = new_scheduler()
        scheduler.set_timesteps(steps)
        embeds = self._model.embed(self._batch.ids, self._batch.told)
        images = self._model.look(self._batch.seen, COUNT)
        noisy = self._batch.clean
        for now in scheduler.timesteps:
            clean = self._model(noisy, now.repeat(COUNT).to(self._device), embeds, images)
            noisy = scheduler.step(clean.cpu(), now, noisy.cpu(), return_dict=False)[0].to(self._device)
        return noisy

    def _decoded(self, latents: Tensor) -> Pictures:
        seen = latents[:, : self._decoder.config.latent_channels]  # it may be one that knows no plan
        return pictures(self._decoder.decoder(seen.float()))
