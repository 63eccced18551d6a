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

import hashlib
import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor

from castmark.training.common import (
    TrainSettings,
    batch_size,
    half_precision,
    hardware,
    write_card,
)
from castmark.training.judge_data import UNKNOWN, VIEW, Batch, JudgeData
from castmark.training.judge_labels import ATTRIBUTES
from castmark.training.judge_texts import Speaker
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.supply import Supply
from castmark.training.tokenizer import CONTEXT, load_tokenizer, make_tokenizer, token_ids
from castmark_world import TAUGHT

BATCH = 64
CAPTIONED = 0.5
"""Share of a batch whose captions are read."""
TEXT_CHUNK = {"cpu": 22, "cuda": 256}
PEAK_RATE = 1e-3
MAX_SCALE = 100.0
BANK_SCALE = 24.0
TEXTS_PER_VALUE = {"unsafe": 4, "gender": 2, "age": 2}
WEIGHTS = {
    "unsafe": 6.0,
    "item": 5.0,
    "skin_tone": 3.0,
    "gender": 3.0,
    "age": 2.0,
    "person": 1.5,
    **dict.fromkeys(("camera", "pose", "bottom", "bottom_color", "headwear_color", "accessory_color"), 0.5),
    **dict.fromkeys(("accent_color", "marking_color", "clothes_color"), 0.5),
}
ATTRIBUTE_WEIGHT = 0.15
ALWAYS_ASKED = ("unsafe", "item")
ASKED_TEXTS = {"cpu": 110, "cuda": 4096}
"""Texts that ask for attributes, a step: on a CPU they cost more than the pictures."""
VALUES = [len(values) for values in ATTRIBUTES.values()]
NOTHING_UNSAFE = ATTRIBUTES["unsafe"].index("none")
_WEIGHTED = {name: WEIGHTS.get(name, 1.0) * ATTRIBUTE_WEIGHT for name in ATTRIBUTES}
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
    chunk = TEXT_CHUNK.get(ids.device.type, TEXT_CHUNK["cuda"])
    rows = [_encode(model, ids[part, : int(lengths[part].max())]) for part in order.split(chunk)]
    return torch.cat(rows)[order.argsort()]


def _encode(model: CLIP, ids: Tensor) -> Tensor:
    length = ids.shape[1]
    tower = cast(Any, model)  # open_clip's buffers and optional parts are typed as if they were neither
    x = tower.token_embedding(ids) + tower.positional_embedding[:length]
    x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
    x = x[torch.arange(len(ids), device=ids.device), ids.argmax(-1)] @ tower.text_projection
    return F.normalize(x.float(), dim=-1)


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
        device = torch.device(self.settings.device)
        pixels = torch.from_numpy(batch.pixels).to(device).float().div_(255).sub_(MEAN).div_(STD)
        features = self.model.visual(pixels.contiguous(memory_format=torch.channels_last)).float()
        captioned = math.ceil(len(batch.captions) * CAPTIONED)
        asked_for = self.asked_for(speaker) if batch.read else []
        prompts = [
            speaker.prompt(name, value)
            for name in asked_for
            for value in ATTRIBUTES[name]
            for _ in range(TEXTS_PER_VALUE.get(name, 1))
        ]
        texts = [*batch.captions[:captioned], *prompts]
        said = encode_texts(self.model, self.ids(texts)) if batch.read else None
        # Cosines times a large scale: half precision would be off by tenths.
        with torch.autocast(device.type, enabled=False):
            images = F.normalize(features, dim=-1)
            labels = dict(zip(ATTRIBUTES, torch.from_numpy(batch.labels).to(device).T, strict=True))
            guesses = dict(zip(ATTRIBUTES, self.heads(features).split(VALUES, dim=-1), strict=True))
            anchors = dict(zip(ATTRIBUTES, F.normalize(self.bank, dim=-1).split(VALUES), strict=True))
            total = torch.zeros((), device=device)
            for name, weight in _WEIGHTED.items():
                drawn = BANK_SCALE * images @ anchors[name].T
                total = total + weight * (_told(guesses[name], labels[name]) + _told(drawn, labels[name]))
            if said is None:
                return total
            captions, asked = said[:captioned], said[captioned:]
            scale = self.model.logit_scale.exp().clamp(max=MAX_SCALE)
            total = total + self._matched(batch, images[:captioned], captions, scale)
            counts = [self.count(name) for name in asked_for]
            answers = dict(zip(asked_for, asked.split(counts), strict=True))
            for name, texts_of in answers.items():
                total = total + _WEIGHTED[name] * self._text_loss(
                    images, labels[name], texts_of, anchors[name], scale
                )
            unsafe = labels["unsafe"][:captioned]
            told = torch.from_numpy(batch.hands_said[:captioned]).to(device) | (unsafe == NOTHING_UNSAFE)
            logits = _pooled(scale * captions @ answers["unsafe"].T, TEXTS_PER_VALUE["unsafe"])
            return total + _WEIGHTED["unsafe"] * _told(logits, unsafe.where(told, UNKNOWN))

    def asked_for(self, speaker: Speaker) -> list[str]:
        """The attributes that are asked for in words this time, as many as `ASKED_TEXTS` leaves room for:
        every picture is drawn to the bank, but texts cost more."""
        chosen: list[str] = list(ALWAYS_ASKED)
        room = ASKED_TEXTS.get(torch.device(self.settings.device).type, ASKED_TEXTS["cuda"])
        room -= sum(map(self.count, chosen))
        rest = [name for name in ATTRIBUTES if name not in ALWAYS_ASKED]
        for index in speaker.rng.permutation(len(rest)):
            if (count := self.count(rest[index])) <= room:
                chosen.append(rest[index])
                room -= count
        return chosen

    @staticmethod
    def _matched(batch: Batch, images: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
        """InfoNCE of pictures and their captions."""
        count = len(images)
        same = duplicates(batch)[:count, :count].to(images.device)
        logits = (scale * images @ captions.T).masked_fill(same, -1e4)
        target = torch.arange(count, device=images.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    @staticmethod
    def count(name: str) -> int:
        """Texts that ask for an attribute."""
        return len(ATTRIBUTES[name]) * TEXTS_PER_VALUE.get(name, 1)

    @staticmethod
    def _text_loss(images: Tensor, labels: Tensor, answers: Tensor, anchors: Tensor, scale: Tensor) -> Tensor:
        """Pictures to the texts of their value, and those texts to the bank's vector of it."""
        each = len(answers) // len(anchors)
        meant = torch.arange(len(anchors), device=labels.device).repeat_interleave(each)
        seen = _told(_pooled(scale * images @ answers.T, each), labels)
        return seen + F.cross_entropy(BANK_SCALE * answers @ anchors.T, meant)

    def learn(self) -> None:
        """Train until the budget is spent, on from the checkpoint in ``work`` or else from what is shipped.

        A run that goes on with both towers has half the learning rate.
        """
        work, shipped = self.settings.work, self.settings.out / SHIPPED
        fresh = not (work / "judge.pt").is_file()
        whole = self.start_from_shipped() if fresh and shipped.is_file() else not fresh
        beside = [self.bank, *self.heads.parameters()]
        loop = Loop(
            self.settings,
            "judge",
            self,
            [*groups(self.model), {"params": beside, "orthogonal": False, "scale": 1.0}],
            peak=PEAK_RATE / 2 if whole else PEAK_RATE,
            warm_up=60,
        )
        size = batch_size(self.settings, BATCH)
        speaker = Speaker(np.random.default_rng((self.settings.seed, loop.step, 1)))
        self.train()
        make = partial(_batches, self.settings.seed, size)
        with Supply(make, first=loop.step, workers=self.settings.workers) as supply:
            while loop.going:
                for batch in next(supply):
                    with half_precision(self.settings.device):
                        loss = self.loss(batch, speaker)
                    loop.update(loss, size)
        loop.finish()
        steps, minutes = self.before.tolist()
        self.steps, self.minutes = int(steps) + loop.step, minutes + loop.minutes

    @torch.no_grad()
    def start_from_shipped(self) -> bool:
        """Copy what was shipped last, and whether that was all of it.

        Under another tokenizer the text tower's tokens mean something else: then it starts anew, and the
        image tower alone goes on. The bank, which is not shipped, starts where its texts are.
        """
        out = self.settings.out
        card = json.loads((out / "card.json").read_text())
        self.before.copy_(torch.tensor([card["steps"], card["minutes"]]))
        weights = {k: v.float() for k, v in load_file(out / SHIPPED).items()}
        if card.get("tokenizer") != tokenizer_digest(out):
            kept = {k: v for k, v in weights.items() if k == "logit_scale" or k.startswith("visual.")}
            self.model.load_state_dict(kept, strict=False)
            return False
        self.model.load_state_dict(weights)
        speaker = Speaker(np.random.default_rng((self.settings.seed, card["steps"], 2)))
        texts = [speaker.prompt(name, value) for name, values in ATTRIBUTES.items() for value in values]
        self.bank.copy_(encode_texts(self.model.eval(), self.ids(texts)))
        return True

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


def _batches(seed: int, size: int, number: int) -> list[Batch]:
    """A rendered batch and its mirror image."""
    data = JudgeData(np.random.default_rng((seed, number)), size)
    return [data.batch(), data.batch()]


def duplicates(batch: Batch) -> Tensor:
    """Boolean "b b": pairs of picture and caption that fit although they are not each other's.

    The same words; and the two of a hard pair where one caption leaves open in what they differ.
    """
    _, alike = np.unique(batch.captions, return_inverse=True)
    same = alike[:, None] == alike[None]
    paired = (batch.pair[:, None] == batch.pair[None]) & (batch.pair[:, None] >= 0)
    silent = ~batch.told[None] | ~batch.told[:, None]
    return torch.from_numpy((same | (paired & silent)) & ~np.eye(len(alike), dtype=bool))


def tokenizer_digest(folder: Path) -> str:
    """sha256 of the folder's tokenizer."""
    return hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()


def _told(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the rows whose label is known; 0 where none is."""
    known = (labels != UNKNOWN).sum().clamp(min=1)
    return F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum") / known


def _pooled(logits: Tensor, each: int) -> Tensor:
    """Log-mean-exp over the ``each`` texts of a value: "n (v e)" to "n v"."""
    return torch.logsumexp(logits.view(len(logits), -1, each), dim=-1) - math.log(each)


def train_judge(settings: TrainSettings) -> Path:
    """Train, export and measure the judge; returns its folder.

    Its thresholds are another step, ``castmark policy calibrate``: those of any other weights do not hold.
    """
    learn(settings)
    return document(settings.out)


def learn(settings: TrainSettings) -> None:
    """Train within the time budget; write the open_clip folder and a card without figures."""
    torch.set_num_threads(settings.threads)
    trainer = Trainer(settings)
    trainer.learn()
    trainer.export()
    card = {
        "model": "open_clip CLIP, modified ResNet image tower, 96 px",
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "data": "castmark_world renders and captions, training split, drawn as it learned",
        "domain": "illustrated castmark_world pictures; no claim on photographs",
        "seed": settings.seed,
        "steps": trainer.steps,
        "batch": batch_size(settings, BATCH),
        "tokenizer": tokenizer_digest(settings.out),
        "minutes": round(trainer.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "licence": "Apache-2.0",
    }
    write_card(settings.out, card)


def document(folder: Path) -> Path:
    """Measure the judge in ``folder`` on held-out scenes and finish its card; returns the folder."""
    from castmark.training.judge_report import held_out_figures, readme

    started = time.monotonic()
    card = json.loads((folder / "card.json").read_text())
    card["held_out"] = {scope.name: held_out_figures(folder, scope=scope) for scope in TAUGHT}
    card["held_out_seconds"] = round(time.monotonic() - started)
    write_card(folder, card)
    (folder / "README.md").write_text(readme(card))
    return folder
