"""Trains the prompt model (`castmark.safety.prompt_model`) on sentences of many writers.

    castmark train prompts --minutes 10 --out data/castmark_data/embedded/prompts

Half of a batch are written sentences, labelled with the kinds of content they ask for; the rest are words of
the shipped lists, their excepted phrases, captions of the rendered world, and plain English. Some are put
together, so that a harmless half hides nothing. Word vectors stay where they are, but for those of words seen
here, which may move a little. Without a checkpoint it goes on from the vectors that ship, which
`castmark.training.word_vectors` made at first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from castmark.errors import InputError
from castmark.safety.policy import read_terms
from castmark.safety.prompt import normalised
from castmark.safety.prompt_model import (
    FIRST,
    PADDING,
    WEIGHTS,
    WORDS,
    PromptModel,
    PromptNetwork,
    Vocabulary,
    padded,
)
from castmark.safety.samples import LEARNED, SAFE, prompts, sections
from castmark.training.common import TrainSettings, hardware, write_card
from castmark.training.loop import Loop
from castmark.training.muon import groups

KINDS = ("weapon", "alcohol", "smoking", "drugs", "blood")
WIDTH = 256
SEED = 7_301
BATCH = {"written": 64, "listed": 12, "excepted": 4, "captions": 12, "plain": 24}
"""Samples a batch by where they are from."""
TOGETHER = 0.3
"""How often a written sentence has another one behind it."""
LOST, NOISE = 0.1, 0.15
"""Share of words that are hidden, and what is added to the others' vectors, whose deviation is 1."""
HARMLESS_WEIGHT = 2.0
"""Of finding nothing where there is nothing: one harmless prompt in a hundred is all that may be refused."""
ANCHOR = 0.1
"""Weight of the squared change of word vectors."""
PEAK_RATE = 2e-3
CAPTIONS = 2000
"""Of each kind, and as many of harmless scenes."""
LEVELS = 127
"""Of a word vector's number on either side of nought."""


@dataclass(frozen=True)
class Sample:
    """A text's words, and for each of `KINDS` whether it asks for it."""

    ids: list[int]
    labels: NDArray[np.float32]


class Learner(nn.Module):
    """The network, and how far vectors of words have moved."""

    table: Tensor
    rows: Tensor

    def __init__(self, table: Float[Tensor, "v d"], seen: Sequence[int]) -> None:
        super().__init__()
        self.network = PromptNetwork(table.shape[1], len(KINDS), WIDTH)
        self.embedding_change = nn.Embedding(len(seen) + 1, table.shape[1], padding_idx=0)
        nn.init.zeros_(self.embedding_change.weight)
        self.register_buffer("table", table)  # kept: what ships has moved, and would move twice
        rows = torch.zeros(len(table), dtype=torch.long)
        rows[torch.tensor(seen)] = torch.arange(1, len(seen) + 1)
        self.register_buffer("rows", rows)

    def forward(self, ids: Int[Tensor, "b w"]) -> tuple[Float[Tensor, "b c"], Tensor]:
        """Log odds, and the mean square of what vectors have moved."""
        change = self.embedding_change(self.rows[ids])
        there = (ids != PADDING).float()
        vectors = self.table[ids] + change
        if self.training:
            vectors = vectors * (torch.rand(ids.shape)[..., None] > LOST) + NOISE * torch.randn_like(vectors)
        return self.network(vectors * there[..., None], there), change.square().mean()

    @torch.no_grad()
    def moved(self) -> Float[Tensor, "v d"]:
        """The whole table as it is now."""
        return self.table + self.embedding_change(self.rows)


def train(settings: TrainSettings) -> None:
    """Train, or go on training, within the time budget; then write the model and its card to ``out``.

    Raises:
        InputError: it is to learn on a GPU.
    """
    if settings.on_gpu:
        raise InputError("the prompt model is small and learns on the CPU; leave --device out")
    before = PromptModel.open()
    written = sections(LEARNED)
    learned, loop = learn(settings, before.vocabulary, before.table.float() * before.scale, written)
    ship(learned, before.vocabulary, settings, loop)


def learn(
    settings: TrainSettings,
    vocabulary: Vocabulary,
    table: Float[Tensor, "v d"],
    written: dict[str, list[str]],
) -> tuple[Learner, Loop]:
    """A learner that has had the time budget; ``written`` are sentences by kind, `SAFE` among them."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(SEED + settings.seed)
    pools = pools_of(vocabulary, written)
    seen = sorted({word for pool in pools.values() for sample in pool for word in sample.ids} - {PADDING})
    learner = Learner(table, seen)
    loop = Loop(settings, "prompts", learner, groups(learner), peak=PEAK_RATE)
    rng = np.random.default_rng((SEED, settings.seed, loop.step))
    learner.train()
    while loop.going:
        samples = batch_of(pools, rng)
        labels = torch.from_numpy(np.stack([sample.labels for sample in samples]))
        odds, change = learner(padded([sample.ids for sample in samples], least=1))
        weights = torch.where(labels > 0, 1.0, HARMLESS_WEIGHT)
        loss = F.binary_cross_entropy_with_logits(odds, labels, weight=weights)
        loop.update(loss + ANCHOR * change, len(samples))
    loop.finish()
    return learner.eval(), loop


def pools_of(vocabulary: Vocabulary, written: dict[str, list[str]]) -> dict[str, list[Sample]]:
    """Samples by where they are from, as `BATCH` names them."""

    def samples(texts: Sequence[str], kind: str | None) -> list[Sample]:
        labels = np.array([name == kind for name in KINDS], np.float32)
        return [Sample(vocabulary.ids(normalised(text)), labels) for text in texts]

    terms = {kind: read_terms(kind) for kind in KINDS}
    said = {kind: prompts(CAPTIONS, SEED, "train", None if kind == SAFE else kind) for kind in (*KINDS, SAFE)}
    return {
        "written": [s for kind, texts in written.items() for s in samples(texts, kind)],
        "listed": [s for kind in KINDS for s in samples(terms[kind]["words"], kind)],
        "excepted": [s for kind in KINDS for s in samples(terms[kind].get("exceptions") or (), None)],
        "captions": [s for kind, texts in said.items() for s in samples(texts, kind)],
        "plain": samples(sections("written/plain.txt.xz")["plain"], None),
    }


def batch_of(pools: dict[str, list[Sample]], rng: np.random.Generator) -> list[Sample]:
    """Samples as `BATCH` says: some written ones with another behind, half the listed behind plain words."""

    def some(name: str) -> list[Sample]:
        return [pools[name][index] for index in rng.integers(0, len(pools[name]), BATCH[name])]

    found: list[Sample] = []
    for first, second in zip(some("written"), some("written"), strict=True):
        found.append(_joined(first, second) if rng.random() < TOGETHER else first)
    for word, plain in zip(some("listed"), some("plain"), strict=False):
        found.append(_joined(Sample(plain.ids[:6], plain.labels), word) if rng.random() < 0.5 else word)
    return [*found, *some("excepted"), *some("captions"), *some("plain")]


def _joined(first: Sample, second: Sample) -> Sample:
    return Sample([*first.ids, *second.ids], np.maximum(first.labels, second.labels))


def save(
    network: PromptNetwork, table: Float[Tensor, "v d"], vocabulary: Vocabulary, out: Path
) -> PromptModel:
    """Write words and weights, the table in eight bits, the rest in float16; and read them again."""
    out.mkdir(parents=True, exist_ok=True)
    (out / WORDS).write_text("\n".join(vocabulary.words) + "\n", encoding="utf-8")
    scale = float(table.abs().max()) / LEVELS
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    weights["table"] = (table / scale).round().to(torch.int8)
    save_file(weights, out / WEIGHTS, {"classes": " ".join(KINDS), "scale": repr(scale)})
    (out / WEIGHTS).chmod(0o644)  # safetensors writes it for its owner alone
    return PromptModel.open(out)


def ship(learner: Learner, vocabulary: Vocabulary, settings: TrainSettings, loop: Loop) -> None:
    """Write the model, and its card with what it makes of held-out sentences."""
    out = settings.out
    model = save(learner.network, learner.moved(), vocabulary, out)
    write_card(
        out,
        {
            "model": "Castmark prompt model",
            "words": len(vocabulary.words) + FIRST,
            "dimensions": model.table.shape[1],
            "parameters": sum(p.numel() for p in learner.network.parameters()),
            "data": "sentences of a language model in 46 voices, listed words, captions, plain English",
            "vectors": "GloVe 6B, 100 dimensions (PDDL), projected; moved for words of the data",
            "held_out": measured(model, sections("written/test.txt")),
            "held_out, harder": measured(model, sections("written/harder.txt")),
            "steps": loop.step,
            "minutes": round(loop.minutes, 1),
            "seed": [SEED, settings.seed],
            "hardware": hardware(settings.device, settings.threads),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "licence": "Apache-2.0",
        },
    )


def measured(model: PromptModel, written: dict[str, list[str]]) -> dict[str, float]:
    """Of sentences of other writers, what is caught of each kind where at most one harmless sentence in a
    hundred of the same writers is refused: each kind's threshold, found on these, leaves it an equal share of
    that."""
    safe = _table(model, written[SAFE])
    limits = np.quantile(safe, 1 - 0.01 / len(KINDS), axis=0, method="higher")
    found = {"harmless refused": float((safe > limits).any(1).mean())}
    for kind in KINDS:
        found[f"caught, {kind}"] = round(float((_table(model, written[kind]) > limits).any(1).mean()), 4)
    return found


def _table(model: PromptModel, texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[row[kind] for kind in model.classes] for row in model.scores(texts)])
