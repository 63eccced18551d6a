"""Bases of the Stable Diffusion family: a diffusers pipeline folder with a UNet, distilled to few steps.

The embedded base is one. Guidance is off (1.0), as distilled models want it; every image has its own CPU
generator, so that a shot's noise does not depend on its neighbours in the batch.

Drawn ``exact``, pixels are those of plain diffusers, bit for bit. Otherwise a decoder whose end is linear is
folded (`castmark.bases.folding`): the last bits of its float32 differ, and of 8-bit values about one in
twenty thousand, by one. Which it was is recorded in ``environment``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableDiffusionPipeline
from torch import Tensor

from castmark.bases.folding import FoldedDecoder, folds
from castmark.bases.prompts import PromptCache
from castmark.errors import BaseError
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft

HASHED_SUFFIXES = {".safetensors", ".json", ".txt"}


@contextmanager
def _quiet() -> Generator[None]:
    """Loading draws bars and tells of config entries that diffusers itself wrote; our users need neither."""
    logs = (diffusers.utils.logging, transformers.utils.logging)
    levels = [log.get_verbosity() for log in logs]
    bars = [log.is_progress_bar_enabled() for log in logs]
    for log in logs:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, level, bar in zip(logs, levels, bars, strict=True):
            log.set_verbosity(level)
            if bar:
                log.enable_progress_bar()


class StableDiffusionBase:
    """A Stable Diffusion pipeline folder as a `castmark.bases.base.Base` and `castmark_adapters.host.Host`.

    ``castmark.json`` in the folder states the name, licence, native sizes and default steps; without it the
    UNet's own sample size and 4 steps are taken.
    """

    def __init__(
        self, folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, *, exact: bool = True
    ) -> None:
        """Load the pipeline.

        Raises:
            BaseError: the folder cannot be read as such a pipeline.
        """
        self.folder = folder
        self.device, self.dtype = device, dtype
        self.call_arguments: dict[str, Any] = {}
        try:
            with _quiet():
                loaded = StableDiffusionPipeline.from_pretrained(
                    folder, dtype=dtype, local_files_only=True, use_safetensors=True
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise BaseError(
                f"{folder}: cannot be loaded as a Stable Diffusion pipeline ({error}); "
                "check that the folder is complete and holds safetensors"
            ) from error
        self.pipeline = loaded.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self._folded: FoldedDecoder | None = None
        if not exact and device == "cpu" and dtype == torch.float32 and folds(self.pipeline.vae):
            self._folded = FoldedDecoder(self.pipeline.vae)
        self._prompts = PromptCache(self._encode)
        facts = folder / "castmark.json"
        self._facts: dict[str, Any] = json.loads(facts.read_text()) if facts.is_file() else {}

    @property
    def host(self) -> StableDiffusionBase:
        """Itself: adapters are worn on its pipeline."""
        return self

    @property
    def name(self) -> str:
        """Stated name, or the folder's."""
        return str(self._facts.get("name", self.folder.name))

    @property
    def licence(self) -> str | None:
        """Stated licence, or None."""
        return self._facts.get("licence")

    @property
    def digest(self) -> str:
        """sha256 over the names and sha256 of every weight and configuration file."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        total = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in HASHED_SUFFIXES and path.name not in ("card.json", "castmark.json"):
                name = path.relative_to(self.folder).as_posix()
                total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Widths and heights it draws, in pixels; the first is the default."""
        stated = self._facts.get("sizes")
        if stated:
            return [(int(w), int(h)) for w, h in stated]
        side = int(self.pipeline.unet.config["sample_size"]) * self.pipeline.vae_scale_factor
        return [(side, side)]

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.sizes[0]

    @property
    def default_steps(self) -> int:
        """Denoising steps when a shot names none."""
        return int(self._facts.get("steps", 4))

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """Device, dtype, decoder, threads, versions: with these and the shot, the same pixels come again."""
        return {
            "device": self.device,
            "dtype": str(self.dtype).removeprefix("torch."),
            "decoder": "diffusers" if self._folded is None else "folded",
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "diffusers": diffusers.__version__,
        }

    def _encode(self, text: str) -> Tensor:
        """The pipeline's own embedding of one text, Float "1 tokens width"."""
        embedding, _ = self.pipeline.encode_prompt(
            text, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return cast("Tensor", embedding)

    def resolve(self, shot: Shot) -> ResolvedShot:
        """The shot with size and steps filled in.

        Raises:
            BaseError: a size that this base does not draw.
        """
        width, height = shot.width or self.default_size[0], shot.height or self.default_size[1]
        if (width, height) not in self.sizes:
            known = ", ".join(f"{w} x {h}" for w, h in self.sizes)
            raise BaseError(f"{self.name} cannot draw {width} x {height} px; it draws {known}")
        steps = shot.steps or self.default_steps
        return ResolvedShot(
            shot=shot, text=shot.text, seed=shot.seed, width=width, height=height, steps=steps
        )

    @torch.inference_mode()
    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """Draw a batch; see `castmark.bases.base.Base.draw`."""
        if not shots:
            return []
        if len({(s.width, s.height, s.steps) for s in shots}) > 1:
            raise BaseError("one batch must share size and steps; split it first")
        started = time.perf_counter()
        output = self.pipeline(
            prompt_embeds=self._prompts([s.text for s in shots]),
            width=shots[0].width,
            height=shots[0].height,
            num_inference_steps=shots[0].steps,
            guidance_scale=1.0,
            generator=[torch.Generator("cpu").manual_seed(s.seed) for s in shots],
            output_type="pt" if self._folded is None else "latent",
            return_dict=False,
            **self.call_arguments,
        )
        images = cast("Tensor", cast(Any, output)[0])
        if self._folded is not None:
            images = self._folded(images / self.pipeline.vae.config.scaling_factor)
            images = images.mul(0.5).add(0.5).clamp(0, 1)
        # A non-finite pixel must reach the caller as an error, not as whatever a cast makes of it.
        broken = [
            shot.seed
            for shot, whole in zip(shots, images.isfinite().flatten(1).all(1).tolist(), strict=True)
            if not whole
        ]
        if broken:
            raise BaseError(
                f"{self.name} drew non-finite pixels (seeds {broken}); the weights may be damaged"
            )
        # Bytes leave the device, not floats.
        pixels = (images.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        seconds = (time.perf_counter() - started) / len(shots)
        settings = {**self.environment, "batch": len(shots)}
        return [
            Draft(
                resolved=shot,
                pixels=np.ascontiguousarray(pixels[i]),
                settings={**settings, "batch_index": i},
                timings={"draw": seconds},
            )
            for i, shot in enumerate(shots)
        ]
