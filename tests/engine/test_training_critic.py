"""The critic of the student: labels, what a caption says of them, what its criticism does to answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from castmark.bench.truth import columns
from castmark.training.critic import Critic, misread, steered
from castmark.training.denoiser import NoisePath
from castmark.training.labels import labels_of, said
from castmark.training.reference_pool import plain_caption
from castmark_world import CharacterSpec, Scene, caption, sample_scene, words

NAMES = [column.name for column in columns()]
WAYS = {word: ways for ways in (words.COLOR, words.HAIR_COLOR, words.POSE) for word, ways in ways.items()}


def person() -> Scene:
    """A waving woman with a knowable look at the beach by night."""
    scene = sample_scene(np.random.default_rng(3), kind="character")
    assert isinstance(scene.subject, CharacterSpec)
    hair = {"hair_style": "short", "hair_color": "pink", "headwear": "none", "glasses": "none"}
    wear = {"top": "shirt", "top_color": "green", "top_pattern": "striped", "bottom_color": "black"}
    bare = {"occupation": "none", "facial_hair": "none", "accessory": "none"}
    subject = replace(scene.subject, person="woman", **hair, **wear, **bare)
    seen = {"pose": "waving", "place": "beach", "time": "night", "camera": "full"}
    return replace(scene, subject=subject, item=None, **seen)


def test_labels_are_the_truth_by_column() -> None:
    scene = person()
    label = dict(zip(NAMES, labels_of(scene).tolist(), strict=True))
    by_name = {column.name: column for column in columns()}
    assert by_name["pose"].values[int(label["pose"])] == "waving"
    assert by_name["character.hair_color"].values[int(label["character.hair_color"])] == "pink"
    assert label["character.blush"] == pytest.approx(scene.subject.blush)  # type: ignore[union-attr]
    assert math.isnan(label["product.color"]) and math.isnan(label["character.headwear_color"])


def test_said_is_what_the_words_of_a_caption_name() -> None:
    scene = person()
    asked = {"pose": "waving", "character.hair_color": "pink", "character.top_color": "green"}
    met: dict[str, set[bool]] = {name: set() for name in asked}
    for seed in range(40):
        text = caption(scene, np.random.default_rng(seed))
        told = dict(zip(NAMES, said(scene, caption, seed).tolist(), strict=True))
        for name, word in asked.items():
            assert told[name] == any(way in text for way in WAYS.get(word, (word,))), text
            met[name].add(told[name])
        assert not told["character.blush"] and not told["item"]
    assert all(found == {True, False} for found in met.values())


def test_words_that_only_shift_what_else_is_said_are_not_said() -> None:
    """A dress leaves no trousers to be told, and so changes the chances of all that follows."""
    scene = person()
    assert isinstance(scene.subject, CharacterSpec)
    dressed = replace(scene, subject=replace(scene.subject, top="dress"))
    met = set[bool]()
    for seed in range(40):
        text = caption(dressed, np.random.default_rng(seed))
        told = dict(zip(NAMES, said(dressed, caption, seed).tolist(), strict=True))
        assert told["character.top"] == ("dress" in text), text
        met.add(told["character.top"])
    assert met == {True, False}


def test_a_caption_by_kind_alone_says_nothing_of_looks() -> None:
    told = said(person(), plain_caption, 1)
    names = {name for name, yes in zip(NAMES, told, strict=True) if yes}
    assert {"kind", "place", "time"} <= names
    assert not any(name.startswith("character.hair") or name.startswith("character.top") for name in names)


def test_what_is_not_asked_or_does_not_apply_costs_nothing() -> None:
    read = columns()
    outputs = torch.randn(
        1, sum(column.outputs for column in read), generator=torch.Generator().manual_seed(0)
    )
    labels = torch.from_numpy(labels_of(person()))[None]
    none, every = torch.zeros_like(labels).bool(), torch.ones_like(labels).bool()
    assert misread(outputs, labels, none, read).tolist() == [0.0]
    pose = none.clone()
    pose[0, NAMES.index("pose")] = True
    start = sum(column.outputs for column in read[: NAMES.index("pose")])
    part = outputs[:, start : start + read[NAMES.index("pose")].outputs]
    wanted = torch.nn.functional.cross_entropy(part, labels[:, NAMES.index("pose")].long())
    assert float(misread(outputs, labels, pose, read)) == pytest.approx(float(wanted))
    assert math.isfinite(float(misread(outputs, labels, every, read)))


def test_a_number_on_the_circle_is_right_on_both_sides_of_its_seam() -> None:
    (column,) = (c for c in columns() if c.name == "character.emblem_hue")
    near = torch.tensor([[math.cos(2 * math.pi * 0.99), math.sin(2 * math.pi * 0.99)]])
    asked = torch.ones(1, 1, dtype=torch.bool)
    assert float(misread(near, torch.tensor([[0.01]]), asked, [column])) < 0.1
    assert float(misread(near, torch.tensor([[0.5]]), asked, [column])) > 1.0


def test_criticism_has_its_share_of_the_gradient_and_moves_answers_towards_what_is_asked() -> None:
    torch.manual_seed(0)
    critic, path = Critic().eval().requires_grad_(False), NoisePath("cpu")
    with torch.no_grad():  # a fresh critic hardly looks at the picture
        critic.weight *= 20
    answers = torch.randn(4, 16, 16, 16, requires_grad=True)
    labels = torch.from_numpy(np.stack([labels_of(person())] * 4))
    asked = torch.ones_like(labels).bool()

    def criticism(of: torch.Tensor) -> torch.Tensor:
        return critic.wrong(of, path, labels, asked, torch.Generator().manual_seed(1)).mean()

    loss = answers.square().mean()
    (plain,) = torch.autograd.grad(loss, answers, retain_graph=True)
    (both,) = torch.autograd.grad(steered(loss, answers, [(0.7, criticism(answers))], answers), answers)
    added = both - plain
    assert float(added.norm() / plain.norm()) == pytest.approx(0.7, rel=1e-3)
    better = answers.detach() - 0.5 * added / added.norm()
    assert float(criticism(better)) < float(criticism(answers.detach()))
