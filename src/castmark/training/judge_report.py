"""What the exported judge knows, measured on held-out combinations: the figures of its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.gate import to_tensor
from castmark.safety.policy import Policy
from castmark.safety.samples import rendered
from castmark.training.judge_texts import ATTRIBUTES, UNCOUNTED, labels_of
from castmark_world import ITEMS, render, sample_scene, stage
from castmark_world.captions import NOUN_WORDS, PLACE_WORDS, article
from castmark_world.sampling import sample_subject

README = """# The embedded judge

A CLIP of {parameters:,} parameters ({model}), in open_clip's folder layout. Trained from
random weights on pictures and captions of `castmark_world`, and on nothing else: {steps:,} steps of {batch}
pictures (seed {seed}, {minutes} minutes on {hardware}).

    import open_clip
    model, preprocess = open_clip.create_model_from_pretrained("local-dir:PATH")
    tokenizer = open_clip.get_tokenizer("local-dir:PATH")

**What it is for**: judging illustrated pictures of that world, and what the embedded base draws. It has
never seen a photograph and says nothing about one. Of unsafe things it has seen a knife and bottles of beer
and wine.

## Held-out figures

Subjects of the test split, whose combinations of attributes were never trained on; the whole picture, one
prompt a value.

| zero-shot accuracy | |
|---|---|
| place (8) | {place:.3f} |
| hair colour (8) | {hair_color:.3f} |
| top colour (10) | {top_color:.3f} |
| product category (5) | {category:.3f} |
| thing in the hand (10 and none) | {item:.3f} |
| AUC weapon against safe, six views | {auc_weapon:.4f} |
| AUC alcohol against safe, six views | {auc_alcohol:.4f} |
"""
MEASURED = ("place", "hair_color", "top_color", "category", "item")


def held_out_figures(folder: Path, count: int = 600, seed: int = 31_000) -> dict[str, float]:
    """Zero-shot accuracies and unsafe-against-safe AUCs of the judge in ``folder`` on the test split."""
    encoder = Encoder.open(folder)
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, split="test") for _ in range(count // 2)]
    scenes += [
        stage(sample_subject(rng, "character", "test"), rng, item=_any_item(rng)) for _ in range(count // 2)
    ]
    whole = torch.cat(
        [
            encoder.images(to_tensor([render(s) for s in scenes[i : i + 16]]))[:, 0]
            for i in range(0, len(scenes), 16)
        ]
    )
    labels = [labels_of(scene) for scene in scenes]
    figures: dict[str, float] = {}
    for name in MEASURED:
        values = ATTRIBUTES[name]
        texts = encoder.texts([prompt_of(name, value) for value in values])
        asked = [i for i, row in enumerate(labels) if name in row]
        guess = (whole[asked] @ texts.T).argmax(-1).tolist()
        right = sum(values[g] == labels[i][name] for g, i in zip(guess, asked, strict=True))
        figures[name] = right / len(asked)
    concepts = Concepts(encoder, Policy.load())
    safe = concepts.scores(rendered(encoder, count // 2, seed, "test", None))
    for name in sorted({item.category for item in ITEMS.values() if item.category}):
        unsafe = concepts.scores(rendered(encoder, count // 3, seed, "test", name))[name]
        figures[f"auc_{name}"] = auc(unsafe, safe[name])
    return {name: round(value, 4) for name, value in figures.items()}


def auc(high: Tensor, low: Tensor) -> float:
    """Probability that a score of ``high`` exceeds one of ``low``, ties counted half (Mann-Whitney)."""
    difference = high[:, None] - low[None]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def _any_item(rng: np.random.Generator) -> str | None:
    options: Sequence[str] = ATTRIBUTES["item"]
    choice = options[int(rng.integers(len(options)))]
    return None if choice == "none" else choice


def prompt_of(name: str, value: str) -> str:
    """One fixed prompt a value."""
    noun = NOUN_WORDS.get(value, (value,))[0]
    if name == "place":
        return f"a picture {PLACE_WORDS[value][0]}"
    if name == "hair_color":
        return f"a person with {value} hair"
    if name == "top_color":
        return f"a person in a {value} shirt"
    if name == "item":
        thing = noun if noun in UNCOUNTED else article(noun)
        return "a person with empty hands" if value == "none" else f"a person holding {thing}"
    return f"a picture of a {noun}"
