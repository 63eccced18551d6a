"""What suite ``base`` asks the base to draw: prompts from scenes, and which columns each of them names.

A prompt has room for some 45 tokens. So it leaves out what is mostly so and goes without saying (a clear sky,
the whole figure, clothes without a pattern), what an occupation wears, and, of two subjects, all but what
they are, their hair and their clothes.
"""

from __future__ import annotations

from castmark_world import CharacterSpec, MascotSpec, Placement, ProductSpec, Scene, class_phrase
from castmark_world.describe import Voice, noun_phrase, things
from castmark_world.vocabulary import CATALOGUE
from castmark_world.words import (
    CAMERA,
    NEAR_PRODUCT,
    OCCUPATION,
    PERSON,
    PLACE,
    POSE,
    STAINS,
    STYLE,
    TIME,
    WEATHER,
)

SAID = (
    "kind", "place", "time", "weather", "camera", "style", "pose", "item",
    "character.age", "character.gender", "character.occupation", "character.hair_style",
    "character.hair_color", "character.top", "character.top_color", "character.top_pattern",
    "product.category", "product.color", "product.pattern", "product.material",
    "mascot.species", "mascot.color", "mascot.marking", "mascot.marking_color", "mascot.clothes",
    "mascot.clothes_color",
)  # fmt: skip
"""Columns that a prompt may name."""
SCENIC = ("place", "time", "weather", "camera", "style", "pose", "item")
"""Those that are not the subject's."""
_PLAIN = Voice(None)


def words(scene: Scene) -> str:
    """A prompt that names `said` of the scene."""
    place = PLACE[scene.place][0]
    if scene.other is not None:
        left, right = sorted(scene.cast, key=lambda placement: placement.x)
        return f"{_who(left)} on the left and {_who(right)} on the right {place}"
    parts = [_who(scene.lead), *_does(scene), place, TIME[scene.time][0]]
    if scene.weather != "clear":
        parts.append(WEATHER[scene.weather][0])
    if scene.camera != "full":
        product = isinstance(scene.subject, ProductSpec)
        parts.insert(0, NEAR_PRODUCT[0] if product else CAMERA[scene.camera][0])
    return f"{' '.join(parts)}, {STYLE[scene.style][0]}"


def said(scene: Scene) -> frozenset[str]:
    """Columns of `SAID` that the prompt of a scene, or of the first of its two subjects, does name."""
    unsaid: set[str] = set()
    if scene.other is not None:
        unsaid |= {name for name in SCENIC if name != "place"}
    if scene.item is None:
        unsaid.add("item")
    if scene.weather == "clear":
        unsaid.add("weather")
    unsaid.add("camera" if scene.camera == "full" else "pose")
    if isinstance(scene.subject, CharacterSpec) and scene.subject.occupation != "none":
        unsaid |= {"character.top_color", "character.top_pattern"}
    return frozenset(SAID) - unsaid


def _who(placement: Placement) -> str:
    """The subject, with its article."""
    subject = placement.subject
    if isinstance(subject, MascotSpec):
        return class_phrase(subject)
    if isinstance(subject, ProductSpec):
        return things(noun_phrase(subject, _PLAIN))
    text = things(PERSON[subject.person][0])
    employed = subject.occupation != "none"
    if employed:
        text += f" working as {things(OCCUPATION[subject.occupation][0])}"
    if subject.headwear != "headscarf":
        text += f" with {'a bald head' if subject.hair_style == 'bald' else _PLAIN.hair(subject)}"
    return text if employed else f"{text} in {things(_PLAIN.top(subject))}"


def _does(scene: Scene) -> list[str]:
    """What the subject does, and what it holds or wears."""
    if isinstance(scene.subject, ProductSpec):
        return []
    does = [POSE[scene.pose][0]] if scene.camera == "full" else []
    if scene.item is not None:
        worn = CATALOGUE[scene.item].on == "clothes"
        does.append(STAINS[scene.item][0] if worn else f"holding {things(_PLAIN.noun(scene.item))}")
    return does
