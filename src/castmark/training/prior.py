"""Trains what the prior reads in words (`castmark.bases.prior.Reading`), once the text encoder is what ships.

What the prior tells is learned with the denoiser; here the text encoder in ``out`` stays as it is, and a
small network learns from the captions of the shards what each of them says, and of what it says nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from castmark.bases.loaded import PRIOR
from castmark.bases.prior import OPEN, Prior
from castmark.errors import InputError
from castmark.training.common import TrainSettings, hardware, made_of, seeded, write_card
from castmark.training.denoiser import TextToLatents, learning_model, prompt_tokenizer
from castmark.training.labels import labels_of, said
from castmark.training.latents import CAPTIONS, LATENTS, VIEWS, ShardPool
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.tokenizer import token_ids
from castmark_adapters.subject import sha256
from castmark_world import caption, sample_scene

BATCH = 256
LEARNING_RATE = 3e-3
HELD_OUT, HELD_OUT_SEED = 1000, 84_000


def train(settings: TrainSettings) -> None:
    """Learn what captions say, from the shards in ``work``/latents; write the prior and its card to ``out``.

    Raises:
        InputError: there are no shards, or the base in ``out`` has no prior.
    """
    torch.set_num_threads(settings.threads)
    model = learning_model(settings).eval().requires_grad_(False)
    prior = model.prior
    if prior is None or not (settings.out / PRIOR).is_dir():
        raise InputError(f"{settings.out}: its base has no prior; run `castmark train teacher` first")
    text = settings.out / "text_encoder" / "model.safetensors"
    made_of(settings.work, "prior.pt", origin=sha256(text.read_bytes()))
    reading: nn.Module = prior.read.requires_grad_(True).train()
    loop = Loop(settings, "prior", reading, groups(reading), peak=LEARNING_RATE, warm_up=20)
    rng = np.random.default_rng([settings.seed, 14, loop.step])
    generator = seeded(rng)
    pool = ShardPool(settings.work / LATENTS, ("tokens", "labels", "said"), settings.device)
    if not len(pool):
        raise InputError(f"{settings.work / LATENTS}: no shards; run `castmark train teacher` first")
    while loop.going:
        rows, view, which = (
            torch.randint(most, (BATCH,), generator=generator).to(settings.device)
            for most in (len(pool), VIEWS, CAPTIONS)
        )
        with torch.no_grad():
            words = model.embed(pool.held["tokens"][rows, view, which].long())
        truth, told = pool.held["labels"][rows, view], pool.held["said"][rows, view, which]
        loop.update(prior.reading_loss(words, truth, told), BATCH)
    loop.finish()
    prior.eval().save(settings.out / PRIOR)
    card = {
        "model": "prior of the embedded base: what it reads in words",
        "steps": loop.step,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "figures": figures(model, prior, settings.device),
    }
    write_card(settings.out / PRIOR, card)


@torch.no_grad()
def figures(model: TextToLatents, prior: Prior, device: str) -> dict[str, float]:
    """Of held-out scenes' captions: shares of what they say that is read as they say it, and of what they
    leave open that is read as open.
    """
    rng = np.random.default_rng(HELD_OUT_SEED)
    scenes = [sample_scene(rng, split="test") for _ in range(HELD_OUT)]
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
    texts = [caption(s, np.random.default_rng(seed)) for s, seed in zip(scenes, seeds, strict=True)]
    told = torch.from_numpy(np.stack([said(s, caption, x) for s, x in zip(scenes, seeds, strict=True)]))
    truth = torch.from_numpy(np.stack([labels_of(scene) for scene in scenes]))
    words = model.embed(token_ids(prompt_tokenizer(), texts).to(device))
    named = torch.tensor([c.named for c in prior.columns[: truth.shape[1]]])
    found = prior.said(words).cpu()[:, : truth.shape[1]]
    right, open_ = found == truth, found == OPEN
    return {
        "n": HELD_OUT,
        "said": round(float(right[told & named].float().mean()), 4),
        "open": round(float(open_[~told & named].float().mean()), 4),
    }
