"""Makes the prior of a base (`castmark.bases.prior`): what it reads in words, and its table.

What it tells is learned with the denoiser. Once the text encoder is what ships, a small network learns from
the captions of the shards what each says, and of what it says nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases.loaded import PRIOR
from castmark.bases.prior import OPEN, Prior, Reading, text_encoder_of
from castmark.errors import InputError
from castmark.training.common import TrainSettings, hardware, made_of, seeded, write_card
from castmark.training.denoiser import TextToLatents, learning_model, prompt_tokenizer
from castmark.training.labels import labels_of, said
from castmark.training.latents import CAPTIONS, LATENTS, VIEWS, LatentPool
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.tokenizer import token_ids
from castmark.training.told import places_in, side_of, told_columns, world_rows
from castmark_world import DEFAULT, Scene, caption, sample_scene
from castmark_world.words import SIDE

BATCH = 256
LEARNING_RATE = 1e-2
HELD_OUT, HELD_OUT_SEED = 1000, 84_000


def train(settings: TrainSettings) -> None:
    """Learn what captions say, from the shards in ``work``/latents; write the prior and its card to ``out``.

    Raises:
        InputError: the scope's bases have no prior, that in ``out`` tells nothing yet, or there are no
            shards.
    """
    if not DEFAULT.decided:
        raise InputError(f"bases of the scope {DEFAULT.name!r} have no prior (castmark_world/scopes.py)")
    if not (settings.out / PRIOR).is_dir():
        raise InputError(f"{settings.out}: its base tells nothing yet; run `castmark train teacher` first")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    pool = LatentPool(settings.work / LATENTS, np.random.default_rng(settings.seed), settings.device)
    if not len(pool):
        raise InputError(f"{settings.work / LATENTS}: no shards; run `castmark train teacher` first")
    encoder = text_encoder_of(settings.out)
    made_of(settings.work, "prior.pt", origin=encoder)
    model = learning_model(settings).eval().requires_grad_(False)
    assert model.telling is not None
    named = [column for column in told_columns() if column.named]
    reading = Reading(named, model.telling.width).to(settings.device)
    loop = Loop(settings, "prior", reading, groups(reading), peak=LEARNING_RATE, warm_up=20)
    generator = seeded(np.random.default_rng([settings.seed, 14, loop.step]))
    truth, told = _spoken(pool)
    while loop.going:
        rows, view, which = (
            torch.randint(most, (BATCH,), generator=generator).to(settings.device)
            for most in (len(pool), VIEWS, CAPTIONS)
        )
        with torch.no_grad():
            words = model.embed(pool.held["tokens"][rows, view, which].long())
        loop.update(reading.loss(words, truth[rows, view], told[rows, view, which]), BATCH)
    loop.finish()
    prior = Prior(model.telling, reading, world_rows(), encoder).cpu().eval()
    prior.save(settings.out / PRIOR)
    card = {
        "model": "prior: what it reads in words, and its table",
        "steps": loop.step,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "rows": len(prior.rows.rows),
        "figures": figures(model.cpu(), reading.cpu().eval()),
    }
    write_card(settings.out / PRIOR, card)


def _spoken(pool: LatentPool) -> tuple[Tensor, Tensor]:
    """The truth of every view by column that words may say, Float "n v c", and which of them each caption
    says, Bool "n v captions c".
    """
    columns = told_columns()
    known = pool.held["labels"].shape[-1]
    named = [number for number, column in enumerate(columns[:known]) if column.named]
    places = places_in(pool.held["standing"].cpu().numpy())
    sides = torch.from_numpy(np.vectorize(side_of, [np.float32])(places)).to(pool.held["labels"].device)
    texts = prompt_tokenizer().batch_decode(pool.held["tokens"].flatten(0, 2).int().cpu(), True)
    placed = torch.tensor([says_side(text) for text in texts]).view(pool.held["tokens"].shape[:3])
    truth = torch.cat([pool.held["labels"][..., named], sides[..., None]], -1)
    return truth, torch.cat([pool.held["said"][..., named], placed.to(truth.device)[..., None]], -1)


def says_side(text: str) -> bool:
    """Whether a caption says where the subject stands."""
    return any(way in text for ways in SIDE.values() for way in ways)


@torch.no_grad()
def figures(model: TextToLatents, reading: Reading) -> dict[str, float]:
    """Of held-out scenes' captions: shares of what they say that is read as they say it, and of what they
    leave open that is read as open.
    """
    rng = np.random.default_rng(HELD_OUT_SEED)
    scenes = [sample_scene(rng, split="test") for _ in range(HELD_OUT)]
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT)
    texts = [caption(s, np.random.default_rng(seed)) for s, seed in zip(scenes, seeds, strict=True)]
    told = np.stack([_said(*each) for each in zip(scenes, texts, seeds, strict=True)])
    truth = np.stack([[*labels_of(scene), side_of(scene.x)] for scene in scenes])
    every = told_columns()
    named = [column.named for column in (*every[: truth.shape[1] - 1], every[-1])]
    found = reading.said(model.embed(token_ids(prompt_tokenizer(), texts)))[0].numpy()
    told, truth = told[:, named], truth[:, named]
    return {
        "n": HELD_OUT,
        "said": round(float((found == truth)[told].mean()), 4),
        "open": round(float((found == OPEN)[~told].mean()), 4),
    }


def _said(scene: Scene, text: str, seed: int) -> NDArray[np.bool_]:
    return np.array([*said(scene, caption, seed), says_side(text)])
