"""Trains the reference adapter: the Resampler and one key and value matrix a cross-attention (IP-Adapter
Plus, arXiv 2308.06721), on the frozen base, from cross-view sets of the world.

The loss is taken on clean latents, as in `castmark_adapters.learn`, with the subject weighted above its
background: what is behind the subject is the prompt's to say, not the references'.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from castmark.bases import open_base
from castmark.errors import InputError
from castmark.training.common import Clock, TrainSettings, digest_of, half_precision, hardware, write_card
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.reading import QUERIES
from castmark.training.reference_pool import CAPTIONS, VIEWS, Pool, fill
from castmark.training.reference_slots import slot_loss
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.layout import fresh_reference, processor_state, reference_bytes, resampler_state
from castmark_adapters.learn import frozen
from castmark_adapters.reference import WEIGHTS, ReferenceAdapter
from castmark_adapters.schedule import Schedule
from castmark_adapters.subject import sha256

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

BATCH = 16
PEAK_RATE = 2e-3
HEAD_START_RATE = 1e-3
WARM_UP = 60
SETS = 2400
POOL_SHARE = 0.2
"""Largest share of the time budget for rendering and encoding the pool."""
HEAD_START_SHARE = 0.12
"""Share of the budget for the head start of a fresh adapter."""
HEAD_START_BATCH = 32
BACKGROUND = 0.25
"""Weight of the loss outside the subject, against 1 inside."""
DRAWING_STEPS = 4


def train(settings: TrainSettings, report: Callable[[str], None] = print) -> Path:
    """Train on the embedded base, with the subject encoder that lies in ``settings.out``/image_encoder; see
    `train_on`.

    Raises:
        InputError: it is to learn on a GPU.
    """
    if settings.on_gpu:
        raise InputError(
            "a reference adapter alone learns on the CPU; on a GPU `train teacher` trains it too"
        )
    host = open_base(None, settings.device).host
    return train_on(settings, host.pipeline, host.digest, settings.out / "image_encoder", report)


def train_on(
    settings: TrainSettings,
    pipeline: StableDiffusionPipeline,
    base: str,
    encoder: Path,
    report: Callable[[str], None] = print,
) -> Path:
    """Train for ``settings.minutes``, on from what ``settings.work`` holds; write into ``settings.out``.

    Args:
        pipeline: the base; it is not changed.
        base: the base's digest, for the card.
        encoder: folder of the subject encoder.

    Returns the path of the weights file.
    """
    torch.set_num_threads(settings.threads)
    with frozen(pipeline.unet):
        return _train(settings, pipeline, base, encoder, report)


def _train(
    settings: TrainSettings,
    pipeline: StableDiffusionPipeline,
    base: str,
    encoder: Path,
    report: Callable[[str], None],
) -> Path:
    torch.manual_seed(settings.seed)
    clock = Clock(settings.minutes)
    eye = SubjectEncoder.load(encoder)
    pool = fill(
        pipeline,
        eye,
        settings.work / f"pool-{digest_of(pipeline.vae)[:12]}-{eye.digest[:12]}.pt",
        sets=SETS,
        seed=settings.seed,
        out_of_time=lambda: clock.fraction > POOL_SHARE,
        report=report,
    )
    unet = pipeline.unet
    schedule = Schedule(pipeline.scheduler, DRAWING_STEPS)
    width = int(eye.model.config.hidden_size)
    weights = fresh_reference(unet, embed_dim=width, queries=QUERIES)
    adapter = ReferenceAdapter(weights, eye, "0" * 64)
    processors, projection = adapter.parts(unet)
    learning = nn.ModuleList([projection, *(m for m in processors.values() if isinstance(m, nn.Module))])
    left = replace(settings, minutes=settings.minutes - clock.spent / 60)
    loop = Loop(
        left,
        "reference",
        learning.requires_grad_(True),
        groups(learning),
        peak=PEAK_RATE,
        warm_up=WARM_UP,
        report=report,
    )
    resampler = cast("nn.ModuleList", projection.image_projection_layers)[0]
    host = _Worn(pipeline, base)
    if not loop.resumed:
        _head_start(loop, resampler, pipeline, pool)
    while loop.going:
        with half_precision(settings.device):
            loss = _loss(host, adapter, pool, schedule, settings.seed, loop.step)
        loop.update(loss, BATCH)
    loop.finish()
    data = reference_bytes(
        {"image_proj": resampler_state(resampler), "ip_adapter": processor_state(processors)}
    )
    settings.out.mkdir(parents=True, exist_ok=True)
    target = settings.out / WEIGHTS
    target.write_bytes(data)
    write_card(
        settings.out,
        {
            "model": "reference adapter (IP-Adapter Plus layout)",
            "data": f"castmark_world, split train: {len(pool)} subjects in {VIEWS} views each, cross-view",
            "base": base,
            "encoder": eye.digest,
            "sha256": sha256(data),
            "seed": settings.seed,
            "steps": loop.step,
            "samples": loop.step * BATCH,
            "minutes": round(loop.minutes, 1),
            "hardware": hardware(settings.device, settings.threads),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "licence": "Apache-2.0",
        },
    )
    return target


def _head_start(loop: Loop, resampler: nn.Module, pipeline: StableDiffusionPipeline, pool: Pool) -> None:
    """Teach the first image tokens the class phrase's words, for a share of the budget; see
    `reference_slots`.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(resampler.parameters(), HEAD_START_RATE)
    step, mean = 0, 0.0
    while loop.clock.fraction < HEAD_START_SHARE:
        sets = torch.randint(len(pool), (HEAD_START_BATCH,), generator=generator)
        views = torch.randint(VIEWS, (HEAD_START_BATCH,), generator=generator)
        tokens = pool.tokens[sets, views].float()
        text_encoder = cast("nn.Module", pipeline.text_encoder)
        loss = slot_loss(resampler, text_encoder, tokens, pool.phrase_ids[sets], pool.slots[sets])
        for group in optimizer.param_groups:
            group["lr"] = HEAD_START_RATE * min(1.0, (step + 1) / WARM_UP)
        optimizer.zero_grad(set_to_none=True)
        cast("Any", loss).backward()
        optimizer.step()
        mean = loss.item() if step == 0 else 0.97 * mean + 0.03 * loss.item()
        step += 1
        if step % 200 == 0:
            loop.report(f"head start step {step} loss {mean:.4f}")


class _Worn:
    """A host around the pipeline that is being trained on."""

    def __init__(self, pipeline: StableDiffusionPipeline, digest: str) -> None:
        self.pipeline = pipeline
        self.digest = digest
        self.call_arguments: dict[str, Any] = {}
        self.model: Any = None  # no LoRA is worn or learned here
        self.slots: Any = None
        self.regions: Any = None


def _loss(
    host: _Worn, adapter: ReferenceAdapter, pool: Pool, schedule: Schedule, seed: int, step: int
) -> Tensor:
    """One batch: a target view of each of `BATCH` subjects, and one to three of its other views as
    references.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    pipeline = host.pipeline
    count = int(torch.randint(1, VIEWS, (1,), generator=generator))
    order = torch.rand(BATCH, VIEWS, generator=generator).argsort(1)
    sets = torch.randint(len(pool), (BATCH,), generator=generator)
    target, references = order[:, 0], order[:, 1 : 1 + count]
    x0 = pool.latents[sets, target].float()
    mask = pool.masks[sets, target].float()
    tokens = pool.tokens[sets[:, None], references].float()
    words = torch.randint(CAPTIONS, (BATCH,), generator=generator)
    with torch.no_grad():
        texts = pipeline.text_encoder(pool.ids[sets, target, words].long())[0]
    t = schedule.sample_timesteps(BATCH, generator)
    x_t = schedule.noised(x0, torch.randn(x0.shape, generator=generator), t)
    with adapter.worn(host, tokens):
        output = pipeline.unet(
            x_t, t, encoder_hidden_states=cast("Tensor", texts), added_cond_kwargs={"image_embeds": [tokens]}
        ).sample
    error: Float[Tensor, "b c h w"] = (schedule.x0(output, x_t, t) - x0) ** 2
    weight = (BACKGROUND + (1 - BACKGROUND) * mask) * (0.3 + 0.7 * schedule.signal(t))
    return (error * weight).sum() / (weight.sum() * error.shape[1])
