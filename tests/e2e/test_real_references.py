"""Photographs, which the rendered world never shows, go through; the score says how far they got."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from skimage import data

import castmark_world as world
from castmark.studio.opening import open_scorer
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Subject
from castmark_data import path


def jpeg(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def test_photographs_are_read_and_scored() -> None:
    cat = data.chelsea()
    views = [cat[:, :300], cat[:, 100:400], cat[20:280, 80:380]]
    subject = Subject.from_images("chelsea", [jpeg(view) for view in views], phrase="a cat")
    worn = ReferenceAdapter.load(path("embedded", "reference")).of(subject)
    assert worn.tokens.shape[1] == 3
    own, other = open_scorer().scores([cat[:, 50:350].copy(), data.astronaut()], subject)
    assert -1 <= other < own <= 1


def test_most_strangers_among_rendered_references_are_named_and_no_own_one() -> None:
    scorer, found = open_scorer(), 0
    for index in range(8):
        rng = np.random.default_rng((78, index))
        kind: world.Kind = "product" if index % 2 else "character"
        own, other = (world.sample_subject(rng, kind, "test") for _ in range(2))
        views = [world.render(world.stage(spec, rng), 128) for spec in (own, own, own, other)]
        subject = Subject.from_images("mixed", [jpeg(view) for view in views], kind)
        alone = Subject.from_images("alone", [jpeg(view) for view in views[:3]], kind)
        assert scorer.strangers(alone) == []
        found += "reference_4.jpg" in scorer.strangers(subject)
    assert found >= 5
