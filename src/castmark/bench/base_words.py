"""What suite ``base`` asks the base to draw: prompts from scenes, and which columns each of them names.

What is mostly so goes without saying (the whole figure, clothes without a pattern), and so does what an
occupation wears.
"""

from __future__ import annotations

from castmark.bench.truth import columns
from castmark_world import CharacterSpec, ProductSpec, Scene
from castmark_world.describe import things
from castmark_world.words import CAMERA, HAIR, OCCUPATION, PATTERN, PERSON, PLACE, POSE

SAID = tuple(
    column.name
    for column in columns()
    if column.name
    in (
        "kind", "place", "camera", "pose", "item", "character.age", "character.gender",
        "character.occupation", "character.hair_style", "character.hair_color", "character.top",
        "character.top_color", "character.top_pattern", "product.category", "product.color",
        "product.pattern",
    )
)  # fmt: skip
"""Columns that a prompt may name."""


def words(scene: Scene) -> str:
    """A prompt that names `said` of the scene."""
    subject = scene.subject
    place = PLACE[scene.place][0]
    if not isinstance(subject, CharacterSpec):
        pattern = PATTERN[subject.pattern][0] if isinstance(subject, ProductSpec) else ""
        return f"{things(f'{pattern} {subject.color} {subject.noun}'.strip())} {place}"
    hair = "a bald head"
    if subject.hair_style != "bald":
        hair = HAIR[subject.hair_style][0].format(subject.hair_color)
    who = things(PERSON.get(subject.person, (subject.person,))[0])
    if subject.occupation != "none":
        who = f"{who} working as {things(OCCUPATION[subject.occupation][0])} with {hair}"
    else:
        top = f"{PATTERN[subject.top_pattern][0]} {subject.top_color} {subject.top}".strip()
        who = f"{who} with {hair} in {things(top)}"
    near = scene.camera != "full"
    parts = [CAMERA[scene.camera][0], who] if near else [who, POSE[scene.pose][0]]
    if scene.item is not None:
        parts.append(f"holding {things(scene.item)}")
    return " ".join([*parts, place])


def said(scene: Scene) -> frozenset[str]:
    """Columns of `SAID` that the prompt of a scene does name; nothing in the hand it cannot."""
    unsaid = {"camera" if scene.camera == "full" else "pose"}
    if scene.item is None:
        unsaid.add("item")
    if isinstance(scene.subject, CharacterSpec) and scene.subject.occupation != "none":
        unsaid |= {"character.top_color", "character.top_pattern"}
    return frozenset(SAID) - unsaid
