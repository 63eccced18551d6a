"""The text block ``parameters`` that AUTOMATIC1111's web UI writes and many image tools read.

    mira at the beach
    Steps: 4, Sampler: LCM, CFG scale: 1, Seed: 7, Size: 256x256, Model hash: 1f0c9d3a7b, Model: small

It publishes the prompt, so it is written only on request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from castmark import __version__

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.take import Draft

SAMPLERS = {
    "LCMScheduler": "LCM",
    "DDIMScheduler": "DDIM",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "FlowMatchLCMScheduler": "LCM",
}
"""The web UI's names of diffusers' schedulers; the others go by their own."""


def parameters_text(draft: Draft, base: Base) -> str:
    """The block for one image: the text the base read, then the settings on one line."""
    shot = draft.resolved
    height, width, _ = draft.pixels.shape
    scheduler = str(draft.settings.get("scheduler", "unknown"))
    settings: dict[str, str | float] = {
        "Steps": shot.steps,
        "Sampler": SAMPLERS.get(scheduler, scheduler),
        "CFG scale": 1,
        "Seed": shot.seed,
        "Size": f"{width}x{height}",
        "Model hash": base.digest[:10],
        "Model": base.name,
        "Version": f"Castmark {__version__}",
    }
    if shot.shot.start is not None:
        settings["Denoising strength"] = shot.shot.start.strength
    return f"{shot.text}\n" + ", ".join(f"{name}: {value}" for name, value in settings.items())
