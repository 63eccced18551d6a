"""Two subjects in a picture: does each get what was said of it, and not what was said of the other.

The truth reader reads one subject a picture. Two stand at two places, about which a square is cut out each
and read; how much is read so of real renders stands beside. Both are of one kind, so that every attribute of
the one may go over to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from castmark.bench.base_words import said
from castmark.bench.harness import Figure, share
from castmark.bench.truth import TruthReader, columns, marks
from castmark.bench.truth.marks import Marks, mean, mean_figure
from castmark_world import DEFAULT, CharacterSpec, Scene, sample_scene
from castmark_world.scope import Odds

SEED = 52_002
SIDE = 0.66
"""Of a square about a subject, of the picture's."""
PLACES = (0.28, 0.73)
"""Where the two stand, from the left."""
STUDENT_TARGET = 0.95
"""Share of the ceiling."""


def pairs(count: int) -> list[Scene]:
    """Held-out scenes of two subjects of a kind, with empty hands, by day, in the flat style."""
    day = Odds(("day",))
    world = replace(DEFAULT, duo=1.0, held=0.0, times=day, weathers={}, styles=None)
    rng = np.random.default_rng(SEED)
    found: list[Scene] = []
    while len(found) < count:
        scene = sample_scene(rng, split="test", scope=world)
        if scene.other is not None and scene.other.subject.kind == scene.subject.kind:
            found.append(scene)
    return found


def pair_figures(
    what: str,
    scenes: Sequence[Scene],
    images: Sequence[NDArray[np.uint8]],
    reader: TruthReader,
    ceiling: Sequence[NDArray[np.uint8]] | None = None,
) -> list[Figure]:
    """What is there of what the words say of each subject, and how often the other's is in its stead.
    ``ceiling`` are the scenes' renders, if a target is wanted.
    """
    rows, over = _read(scenes, images, reader)
    target = None if ceiling is None else STUDENT_TARGET * mean(_read(scenes, ceiling, reader)[0])
    pair = [index // 2 for index in range(len(rows))]
    return [
        mean_figure(
            f"two subjects, what the words name is there, mean: {what}", rows, target=target, of=pair
        ),
        share(f"two subjects, attributes swapped or bled: {what}", sum(over), len(over), better="lower"),
    ]


def _read(
    scenes: Sequence[Scene], images: Sequence[NDArray[np.uint8]], reader: TruthReader
) -> tuple[list[Marks], list[bool]]:
    """Marks of every subject, left and right in turn; and of every attribute in which two differ, whether the
    other's was read."""
    readings = iter(reader.read([part for image in images for part in halves(image)]))
    rows: list[Marks] = []
    over: list[bool] = []
    for scene in scenes:
        for own, other in turns(scene):
            reading = next(readings)
            rows.append(marks(own, reading, _asked(own)))
            for column in columns():
                labels = column.label(own), column.label(other)
                if column.name in rows[-1] and None not in labels and labels[0] != labels[1]:
                    over.append(reading.values[column.name] == labels[1])
    return rows, over


def _asked(scene: Scene) -> frozenset[str]:
    """What is asked of the first subject: what the words name of it and no hat covers."""
    asked = {name for name in said(scene) if name == "kind" or "." in name}
    if isinstance(scene.subject, CharacterSpec) and scene.subject.headwear != "none":
        asked -= {"character.hair_style", "character.hair_color"}
    return frozenset(asked)


def turns(scene: Scene) -> tuple[tuple[Scene, Scene], tuple[Scene, Scene]]:
    """The scene as the left subject's and as the right one's: each with the other's beside it."""
    assert scene.other is not None
    other, lead = scene.other, scene.lead
    swapped = replace(
        scene,
        subject=other.subject,
        x=other.x,
        scale=other.scale,
        mirrored=other.mirrored,
        pose=other.pose,
        expression=other.expression,
        item=other.item,
        tilt=other.tilt,
        other=lead,
    )
    left, right = (scene, swapped) if scene.x < other.x else (swapped, scene)
    return (left, right), (right, left)


def halves(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The squares about the left and the right subject, as large as the picture."""
    whole = image.shape[0]
    side = round(SIDE * whole)
    found: list[NDArray[np.uint8]] = []
    for x in PLACES:
        start = min(max(round(x * whole) - side // 2, 0), whole - side)
        part = Image.fromarray(image[whole - side :, start : start + side])
        found.append(np.array(part.resize((whole, whole), Image.Resampling.BICUBIC)))
    return found
