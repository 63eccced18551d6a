"""SANA-Sprint (1 to 4 steps; arXiv 2503.09641): a transformer of linear attention on small latents.

It is trained around the circle (TrigFlow), with the guidance that was distilled into it as an input. A Gemma
model reads the words, after an instruction that is the pipeline's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

import torch
from diffusers import SanaSprintImg2ImgPipeline, SanaSprintPipeline
from jaxtyping import Float, Shaped
from torch import Tensor

from castmark.bases.family import Family
from castmark_adapters.host import Words
from castmark_adapters.schedule import CirclePath

MAX_TOKENS = 300
GUIDANCE = 4.5
"""The embedded guidance it was published with: an input of the network, not a second pass."""
_DEFAULTS = inspect.signature(SanaSprintPipeline.__call__).parameters
INSTRUCTION = cast("list[str]", _DEFAULTS["complex_human_instruction"].default)
LAST, BETWEEN = (float(_DEFAULTS[name].default) for name in ("max_timesteps", "intermediate_timesteps"))


class SanaSprint(Family):
    """``SanaSprintPipeline``."""

    multiple = 32
    few_steps = 2
    repeated_blocks = False
    draft_decoder = False  # its latents are 32 times smaller than the picture
    words_kept: ClassVar[int] = 64
    image_class = SanaSprintImg2ImgPipeline

    @property
    def native_side(self) -> int:
        """1024."""
        return int(self.pipeline.transformer.config.sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_text(self, text: str) -> Words:
        """Gemma's hidden states with their mask."""
        embedding, mask = self.pipeline.encode_prompt(
            text,
            device=self.device,
            max_sequence_length=MAX_TOKENS,
            complex_human_instruction=INSTRUCTION,
        )
        return {"prompt_embeds": cast("Tensor", embedding), "prompt_attention_mask": cast("Tensor", mask)}

    def reads(self) -> tuple[Any, int]:
        """Gemma's, as the pipeline counts: all but two, besides the instruction's."""
        return self.pipeline.tokenizer, MAX_TOKENS - 2

    def unread(self, text: str) -> str:
        """It is read after the instruction."""
        before = "\n".join(INSTRUCTION)
        return self.window.unread(text, before=before, more=self.window.count(before))

    def call_arguments(self, worn: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """Sizes are drawn as they are asked for: `sizes` are the ones it was trained on."""
        return {"guidance_scale": GUIDANCE, "use_resolution_binning": False, **worn}

    def run(
        self,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
        output: Literal["pt", "latent"] = "pt",
    ) -> Tensor:
        """As every family; the time between is for two steps only."""
        return super().run(words, size, steps, seeds, {**worn, **_between(steps)}, output)

    @cached_property
    def _guidance(self) -> Tensor:
        """What the transformer is told of guidance, "1"."""
        scale = float(self.pipeline.transformer.config.guidance_embeds_scale)
        return torch.tensor([GUIDANCE * scale], device=self.device, dtype=self.dtype)

    def path(self, drawing_steps: int) -> CirclePath:
        """Around the circle, at the pipeline's own angles."""
        scheduler = type(self.pipeline.scheduler).from_config(self.pipeline.scheduler.config)
        scheduler.set_timesteps(drawing_steps, max_timesteps=LAST, **_between(drawing_steps))
        return CirclePath(scheduler.timesteps[:-1].cpu().float())

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Shaped[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """F, from what the transformer gives on the straight path at sin t / (cos t + sin t), as diffusers'
        pipeline turns the one into the other.
        """
        angle = t.to(x_t.device)
        s = torch.sin(angle) / (torch.cos(angle) + torch.sin(angle))
        wide = s[:, None, None, None]
        length = (wide**2 + (1 - wide) ** 2).sqrt()
        given = x_t * length
        found = self.pipeline.transformer(
            given.to(self.dtype),
            encoder_hidden_states=torch.cat([each["prompt_embeds"] for each in words]).to(self.dtype),
            encoder_attention_mask=torch.cat([each["prompt_attention_mask"] for each in words]),
            guidance=self._guidance.expand(len(x_t)),
            timestep=s,
            return_dict=False,
        )[0]
        return ((1 - 2 * wide) * given + (1 - 2 * wide + 2 * wide**2) * found.float()) / length

    def image_steps(self, steps: int) -> dict[str, Any]:
        """As for drawing from words."""
        return _between(steps)


def _between(steps: int) -> dict[str, Any]:
    """The time between the first and the last is trained for, and may be given, at two steps only."""
    return {"intermediate_timesteps": BETWEEN if steps == 2 else None}
