"""What the exported judge knows, measured on held-out combinations: the figures of its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.pictures import to_tensor
from castmark.safety.policy import Policy
from castmark.training.judge_labels import ATTRIBUTES, CATEGORIES, NONE, labels_of
from castmark.training.judge_texts import Speaker
from castmark_world import GUARDED, ITEMS, Kind, Scene, Scope, caption, render, sample_scene, stage
from castmark_world.sampling import sample_subject

README = """# The embedded judge

A CLIP of {parameters:,} parameters ({model}), in open_clip's folder layout. Trained on pictures and
captions of `castmark_world`, and on nothing else: {steps:,} steps of {batch} pictures (seed {seed},
{minutes} minutes on {hardware}).

    import open_clip
    model, preprocess = open_clip.create_model_from_pretrained("local-dir:PATH")
    tokenizer = open_clip.get_tokenizer("local-dir:PATH")

**What it is for**: judging illustrated pictures of that world, and what the embedded base draws. It has
never seen a photograph and says nothing about one. Of unsafe things it has seen these, in words many more:
{things}.

## Held-out figures

Subjects of the test split, whose combinations of attributes were never trained on, in each scope of the world
that it learned from. Zero-shot accuracy: the whole picture against the mean of {paraphrases} prompts a value,
where the picture shows the attribute.

{accuracy}

{rest}
"""
PARAPHRASES = 8
RETRIEVED = 200
"""Captions among which a picture finds its own."""
CHUNK = 16
FAMILIES: dict[str, tuple[str, ...]] = {
    "scene": ("place", "time", "weather", "style", "camera"),
    "safety": ("unsafe", "item"),
    "person": ("person", "age", "gender", "skin", "skin_tone", "facial_hair", "hair_style", "hair_color"),
    "clothes": (
        "occupation", "top", "top_color", "bottom", "bottom_color", "headwear", "headwear_color", "glasses",
        "accessory", "accessory_color", "pattern",
    ),
    "acting": ("pose", "expression"),
    "product": ("category", "color", "accent_color", "material"),
    "mascot": ("species", "marking", "marking_color", "clothes", "clothes_color"),
    "kind": ("kind",),
}  # fmt: skip


def held_out_figures(
    folder: Path, count: int = 900, seed: int = 31_000, scope: Scope = GUARDED
) -> dict[str, float]:
    """Zero-shot accuracies by attribute, AUCs of each unsafe category against safe pictures, and retrieval of
    captions, by the judge in ``folder`` on the test split."""
    encoder = Encoder.open(folder)
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, split="test", scope=scope.alone) for _ in range(count // 2)]
    scenes += [_holding(rng, tuple(ITEMS), scope) for _ in range(count - len(scenes))]
    labels = [labels_of(scene) for scene in scenes]
    views = embedded(encoder, scenes)
    whole = views[:, 0]
    figures = accuracies(whole, labels, prompts(encoder, seed))
    scores = Concepts(encoder, Policy.load()).scores(views)
    safe = torch.tensor([row.get("unsafe") == NONE for row in labels])
    for name in CATEGORIES:
        if name in scores:
            unsafe = torch.tensor([row.get("unsafe") == name for row in labels])
            figures[f"auc_{name}"] = auc(scores[name][unsafe], scores[name][safe])
    texts = encoder.texts([caption(scene, rng, scope) for scene in scenes[:RETRIEVED]])
    order = (whole[: len(texts)] @ texts.T).argsort(dim=-1, descending=True)
    ranks = (order == torch.arange(len(texts))[:, None]).float().argmax(-1)
    figures |= {f"caption_top{n}": float((ranks < n).float().mean()) for n in (1, 5)}
    return {name: round(value, 4) for name, value in figures.items()}


def embedded(encoder: Encoder, scenes: list[Scene]) -> Tensor:
    """Unit embeddings "n v d" of the scenes' views."""
    parts = (scenes[i : i + CHUNK] for i in range(0, len(scenes), CHUNK))
    return torch.cat([encoder.images(to_tensor([render(s) for s in part])) for part in parts])


def prompts(encoder: Encoder, seed: int) -> dict[str, Tensor]:
    """For each attribute a unit embedding "values d" of each value, the mean of its paraphrases."""
    speaker = Speaker(np.random.default_rng((seed, 1)))
    found: dict[str, Tensor] = {}
    for name, values in ATTRIBUTES.items():
        texts = encoder.texts([speaker.prompt(name, value) for value in values for _ in range(PARAPHRASES)])
        found[name] = F.normalize(texts.unflatten(0, (len(values), PARAPHRASES)).mean(1), dim=-1)
    return found


def accuracies(images: Tensor, labels: list[dict[str, str]], texts: dict[str, Tensor]) -> dict[str, float]:
    """Share of pictures "n d" whose nearest value is the true one, by attribute, where it is labelled."""
    figures: dict[str, float] = {}
    for name, values in ATTRIBUTES.items():
        asked = [i for i, row in enumerate(labels) if name in row]
        if asked:
            guess = (images[asked] @ texts[name].T).argmax(-1).tolist()
            right = sum(values[g] == labels[i][name] for g, i in zip(guess, asked, strict=True))
            figures[name] = right / len(asked)
    return figures


def auc(high: Tensor, low: Tensor) -> float:
    """Probability that a score of ``high`` exceeds one of ``low``, ties counted half (Mann-Whitney)."""
    difference = high[:, None] - low[None]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def readme(card: dict[str, Any]) -> str:
    """The README of a judge with this card."""
    found: dict[str, dict[str, float]] = card["held_out"]
    figures = {name for each in found.values() for name in each}
    accuracy = {
        f"{family}: {name.replace('_', ' ')} ({len(ATTRIBUTES[name])})": name
        for family, names in FAMILIES.items()
        for name in names
        if name in figures
    }
    rest = {f"AUC {name} against safe, six views": f"auc_{name}" for name in CATEGORIES}
    rest |= {f"own caption among the first {n} of {RETRIEVED}": f"caption_top{n}" for n in (1, 5)}
    return README.format(
        **card,
        things=", ".join(name for name, item in ITEMS.items() if item.category),
        paraphrases=PARAPHRASES,
        accuracy=_table("attribute (values)", accuracy, found, 3),
        rest=_table("", {what: name for what, name in rest.items() if name in figures}, found, 4),
    )


def _table(what: str, rows: dict[str, str], found: dict[str, dict[str, float]], digits: int) -> str:
    """A row for each figure (by its title), a column for each scope of the world."""
    lines = [[what, *found], ["---"] * (1 + len(found))]
    for title, name in rows.items():
        values = [figures.get(name) for figures in found.values()]
        lines.append([title, *("" if value is None else f"{value:.{digits}f}" for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _holding(rng: np.random.Generator, items: tuple[str, ...], scope: Scope) -> Scene:
    kind: Kind = "mascot" if "mascot" in scope.attributes and rng.random() < 0.25 else "character"
    item = items[int(rng.integers(len(items)))]
    return stage(sample_subject(rng, kind, "test", scope), rng, item=item, scope=scope.alone)
