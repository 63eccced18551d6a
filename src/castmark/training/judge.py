"""Trains the embedded judge: a small CLIP (Radford et al. 2021, arXiv:2103.00020) on the rendered world.

The loss is InfoNCE over a picture and its caption, with captions that describe both masked out, plus
cross-entropy of each picture (and of each caption, for what is unsafe) against short texts for every
attribute the renderer knows. A young text tower says everything alike and so teaches the image tower nothing;
therefore pictures also answer through plain linear heads, and pictures and short texts are drawn to a bank
with one free vector per attribute value. Heads and bank are thrown away. The image tower is open_clip's
modified ResNet: on one core it learns small things sooner than a transformer of the same cost.

    train_judge(TrainSettings(minutes=40, work=Path(".training/judge"), out=Path("clip")))
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor

from castmark.training.common import (
    Ahead,
    TrainSettings,
    half_precision,
    hardware,
    write_card,
)
from castmark.training.judge_data import UNKNOWN, VIEW, Batch, JudgeData
from castmark.training.judge_texts import ATTRIBUTES, Speaker
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.tokenizer import CONTEXT, load_tokenizer, make_tokenizer, token_ids

BATCH = 64
CAPTIONED = 32
TEXT_CHUNK = 22
PEAK_RATE = 1e-3
MAX_SCALE = 100.0
BANK_SCALE = 16.0
TEXTS_PER_VALUE = {"unsafe": 4, "item": 1}
WEIGHTS = {"unsafe": 3.0, "item": 3.0}
ATTRIBUTE_WEIGHT = 0.3
VALUES = [len(values) for values in ATTRIBUTES.values()]
NOTHING_UNSAFE = ATTRIBUTES["unsafe"].index("none")
MODEL: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": VIEW, "layers": [1, 1, 1, 1], "width": 16},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": 0,
        "hf_tokenizer_name": "castmark",
        "tokenizer_kwargs": {},
        "width": 128,
        "heads": 4,
        "layers": 4,
    },
}
PREPROCESS: dict[str, Any] = {
    "size": [VIEW, VIEW],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}
SHIPPED = "open_clip_model.safetensors"
MEAN = 0.5
STD = 0.5


def model_config(vocabulary: int) -> dict[str, Any]:
    """The open_clip model configuration."""
    return {**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": vocabulary}}


def encode_texts(model: CLIP, ids: Tensor) -> Tensor:
    """Unit text embeddings "n d" of token ids "n 48", the short and the long ones apart.

    A chunk is computed only as far as its longest text reaches: the mask is causal, so what is cut away
    (padding after the end) cannot change the result.
    """
    lengths = (ids != 0).sum(-1)
    order = lengths.argsort()
    rows = [_encode(model, ids[part, : int(lengths[part].max())]) for part in order.split(TEXT_CHUNK)]
    return torch.cat(rows)[order.argsort()]


def _encode(model: CLIP, ids: Tensor) -> Tensor:
    length = ids.shape[1]
    tower = cast(Any, model)  # open_clip's buffers and optional parts are typed as if they were neither
    x = tower.token_embedding(ids) + tower.positional_embedding[:length]
    x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
    x = x[torch.arange(len(ids)), ids.argmax(-1)] @ tower.text_projection
    return F.normalize(x, dim=-1)


class Trainer(torch.nn.Module):
    """The judge and what is thrown away after training: the bank and the heads."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        torch.manual_seed(settings.seed)
        self.settings = settings
        folder = settings.out if (settings.out / "tokenizer.json").exists() else make_tokenizer(settings.out)
        self.tokenizer = load_tokenizer(folder)
        self.config = model_config(len(self.tokenizer))
        vision = self.config["vision_cfg"]
        shaped: dict[str, Any] = {**self.config, "vision_cfg": {**vision, "layers": tuple(vision["layers"])}}
        self.model = CLIP(**shaped).to(settings.device)
        # open_clip starts every residual branch at zero, which long runs like; a short run needs them.
        for name, parameter in self.model.visual.named_parameters():
            if name.endswith("bn3.weight"):
                torch.nn.init.ones_(parameter)
        self.model.visual.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.bank = torch.nn.Parameter(
            torch.randn(sum(VALUES), self.config["embed_dim"], device=settings.device)
        )
        self.heads = torch.nn.Linear(self.config["embed_dim"], sum(VALUES)).to(settings.device)
        self.before = torch.nn.Buffer(torch.zeros(2))
        """Steps and minutes behind the weights that this run, or the one it goes on from, started with."""
        self.steps, self.minutes = 0, 0.0

    def ids(self, texts: list[str]) -> Tensor:
        """Token ids "n 48"."""
        return token_ids(self.tokenizer, texts).to(self.settings.device)

    def loss(self, batch: Batch, speaker: Speaker) -> Tensor:
        """The loss of one batch; without texts, the image tower's alone."""
        device = self.settings.device
        pixels = ((batch.pixels - MEAN) / STD).to(device, memory_format=torch.channels_last)
        features = self.model.visual(pixels)
        images = F.normalize(features, dim=-1)
        guesses = dict(zip(ATTRIBUTES, self.heads(features).split(VALUES, dim=-1), strict=True))
        anchors = dict(zip(ATTRIBUTES, F.normalize(self.bank, dim=-1).split(VALUES), strict=True))
        total = torch.zeros((), device=device)
        for name in ATTRIBUTES:
            labels = batch.labels[name].to(device)
            known = labels != UNKNOWN
            if bool(known.any()):
                plain = F.cross_entropy(guesses[name][known], labels[known])
                drawn = F.cross_entropy(BANK_SCALE * images[known] @ anchors[name].T, labels[known])
                total = total + WEIGHTS.get(name, 1.0) * ATTRIBUTE_WEIGHT * (plain + drawn)
        if batch.read:
            total = total + self._said(batch, speaker, images, anchors)
        return total

    def _said(
        self,
        batch: Batch,
        speaker: Speaker,
        images: Tensor,
        anchors: dict[str, Tensor],
    ) -> Tensor:
        """The part of the loss that reads: captions, and attributes asked for in words."""
        device = self.settings.device
        # Every picture is drawn to the bank; texts cost more, so half of the attributes are asked in words.
        asked_for = [name for name in ATTRIBUTES if name in WEIGHTS or speaker.rng.random() < 0.5]
        prompts = [
            speaker.prompt(name, value)
            for name in asked_for
            for value in ATTRIBUTES[name]
            for _ in range(TEXTS_PER_VALUE.get(name, 1))
        ]
        texts = encode_texts(self.model, self.ids([*batch.captions[:CAPTIONED], *prompts]))
        captions, asked = texts[:CAPTIONED], texts[CAPTIONED:]
        scale = self.model.logit_scale.exp().clamp(max=MAX_SCALE)
        logits = scale * images[:CAPTIONED] @ captions.T
        logits = logits.masked_fill(duplicates(batch)[:CAPTIONED, :CAPTIONED].to(device), -1e4)
        target = torch.arange(len(logits), device=device)
        total = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        answers = dict(zip(asked_for, asked.split([self._count(name) for name in asked_for]), strict=True))
        for name, texts in answers.items():
            labels = batch.labels[name].to(device)
            known = labels != UNKNOWN
            if bool(known.any()):
                weight = WEIGHTS.get(name, 1.0) * ATTRIBUTE_WEIGHT
                total = total + weight * self._text_loss(
                    images[known], labels[known], texts, anchors[name], scale
                )
        unsafe = batch.labels["unsafe"][:CAPTIONED].to(device)
        said = (unsafe != UNKNOWN) & (batch.hands_said[:CAPTIONED].to(device) | (unsafe == NOTHING_UNSAFE))
        each = TEXTS_PER_VALUE["unsafe"]
        loss = F.cross_entropy(_pooled(scale * captions[said] @ answers["unsafe"].T, each), unsafe[said])
        return total + ATTRIBUTE_WEIGHT * loss

    @staticmethod
    def _count(name: str) -> int:
        return len(ATTRIBUTES[name]) * TEXTS_PER_VALUE.get(name, 1)

    @staticmethod
    def _text_loss(images: Tensor, labels: Tensor, answers: Tensor, anchors: Tensor, scale: Tensor) -> Tensor:
        """Pictures to the texts of their value, and those texts to the bank's vector of it."""
        each = len(answers) // len(anchors)
        meant = torch.arange(len(anchors), device=labels.device).repeat_interleave(each)
        seen = F.cross_entropy(_pooled(scale * images @ answers.T, each), labels)
        return seen + F.cross_entropy(BANK_SCALE * answers @ anchors.T, meant)

    def learn(self) -> None:
        """Train until the budget is spent, on from the checkpoint in ``work`` or else from what is shipped.

        A run that goes on has half the learning rate.
        """
        work, shipped = self.settings.work, self.settings.out / SHIPPED
        fresh = not (work / "judge.pt").is_file()
        if fresh and shipped.is_file():
            self._start_from_shipped()
        beside = [self.bank, *self.heads.parameters()]
        loop = Loop(
            self.settings,
            "judge",
            self,
            [*groups(self.model), {"params": beside, "orthogonal": False, "scale": 1.0}],
            peak=PEAK_RATE if fresh and not shipped.is_file() else PEAK_RATE / 2,
            warm_up=60,
        )
        # Data follow from (seed, step): a resumed run does not see the same pictures again.
        seeds = (self.settings.seed, loop.step)
        data = JudgeData(np.random.default_rng(seeds), BATCH)
        speaker = Speaker(np.random.default_rng((*seeds, 1)))
        ahead = Ahead(data.batch, depth=2)
        self.train()
        try:
            for batch in ahead:
                if not loop.going:
                    break
                with half_precision(self.settings.device):
                    loss = self.loss(batch, speaker)
                loop.update(loss, BATCH)
        finally:
            ahead.close()
        loop.finish()
        steps, minutes = self.before.tolist()
        self.steps, self.minutes = int(steps) + loop.step, minutes + loop.minutes

    @torch.no_grad()
    def _start_from_shipped(self) -> None:
        """Copy what was shipped last; the bank, which is not shipped, starts where its texts are."""
        card = json.loads((self.settings.out / "card.json").read_text())
        self.before.copy_(torch.tensor([card["steps"], card["minutes"]]))
        self.model.load_state_dict({k: v.float() for k, v in load_file(self.settings.out / SHIPPED).items()})
        speaker = Speaker(np.random.default_rng((self.settings.seed, card["steps"], 2)))
        texts = [speaker.prompt(name, value) for name, values in ATTRIBUTES.items() for value in values]
        self.bank.copy_(encode_texts(self.model.eval(), self.ids(texts)))

    def export(self) -> None:
        """Write the open_clip folder: config and float16 weights beside the tokenizer."""
        out = self.settings.out
        config = {"model_cfg": self.config, "preprocess_cfg": PREPROCESS}
        (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
        weights = {
            name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
            for name, value in self.model.state_dict().items()
        }
        save_file(weights, out / SHIPPED)
        (out / SHIPPED).chmod(0o644)  # safetensors writes it for its owner alone


def duplicates(batch: Batch) -> Tensor:
    """Boolean "b b": pairs of picture and caption that fit although they are not each other's.

    The same words; and the two of a hard pair where one caption leaves open what the hands hold.
    """
    count = len(batch.captions)
    same = torch.tensor([[a == b for b in batch.captions] for a in batch.captions])
    paired = (batch.pair[:, None] == batch.pair[None]) & (batch.pair[:, None] >= 0)
    silent = ~batch.hands_said[None] | ~batch.hands_said[:, None]
    return (same | (paired & silent)) & ~torch.eye(count, dtype=torch.bool)


def _pooled(logits: Tensor, each: int) -> Tensor:
    """Log-mean-exp over the ``each`` texts of a value: "n (v e)" to "n v"."""
    return torch.logsumexp(logits.view(len(logits), -1, each), dim=-1) - math.log(each)


def train_judge(settings: TrainSettings) -> Path:
    """Train, export and measure the judge; returns its folder.

    Its thresholds are another step, ``castmark policy calibrate``: those of any other weights do not hold.
    """
    torch.set_num_threads(settings.threads)
    trainer = Trainer(settings)
    trainer.learn()
    trainer.export()
    return document(trainer)


def document(trainer: Trainer) -> Path:
    """Measure the exported judge on held-out scenes and write its card; returns its folder."""
    from castmark.training.judge_report import README, held_out_figures

    settings = trainer.settings
    started = time.monotonic()
    figures = held_out_figures(settings.out)
    card = {
        "model": "open_clip CLIP, modified ResNet image tower, 96 px",
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "data": "castmark_world renders and captions, training split, drawn as it learned",
        "domain": "illustrated castmark_world pictures; no claim on photographs",
        "seed": settings.seed,
        "steps": trainer.steps,
        "batch": BATCH,
        "minutes": round(trainer.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "licence": "Apache-2.0",
        "held_out": figures,
        "held_out_seconds": round(time.monotonic() - started),
    }
    write_card(settings.out, card)
    (settings.out / "README.md").write_text(README.format(**card, **figures))
    return settings.out
