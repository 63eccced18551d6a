"""Sampling of subjects and scenes, and the one place where held-out combinations are defined.

Train, calibration and test differ in seeds *and* in combinations: a subject's split follows from a digest of
three of its named attributes, so no model ever sees a test combination while it learns.

What is drawn, and how often, is said by a `castmark_world.scope.Scope`.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any, cast

import numpy as np

from castmark_world.outfits import OUTFITS
from castmark_world.params import (
    CharacterSpec,
    Kind,
    MascotSpec,
    Placement,
    ProductSpec,
    Prop,
    Scene,
    Split,
    Subject,
)
from castmark_world.scope import Attributes, Odds, Scope
from castmark_world.scopes import DEFAULT
from castmark_world.vocabulary import CATALOGUE, PEOPLE

WITH_TOP = {"dress": "skirt", "dungarees": "trousers"}
"""Tops that say what is worn below."""
NECKTIES = ("shirt", "jacket", "blazer", "coat", "cardigan")
"""Tops that a tie goes with."""
GREYING = 0.6
"""How often the hair of older people is grey or white, whatever was drawn."""
SPECS: dict[Kind, type[CharacterSpec] | type[MascotSpec] | type[ProductSpec]] = {
    "character": CharacterSpec,
    "mascot": MascotSpec,
    "product": ProductSpec,
}


def split_of(subject: Subject) -> Split:
    """The split a subject belongs to: 1 in 10 combinations is test, 1 in 10 calibration."""
    if isinstance(subject, CharacterSpec):
        combination = (subject.hair_style, subject.hair_color, subject.top_color)
    elif isinstance(subject, MascotSpec):
        combination = (subject.species, subject.color, subject.clothes)
    else:
        combination = (subject.category, subject.color, subject.pattern)
    bucket = zlib.crc32("/".join(combination).encode()) % 10
    return "test" if bucket == 0 else "calibration" if bucket == 1 else "train"


def sample_subject(
    rng: np.random.Generator, kind: Kind | None = None, split: Split = "train", scope: Scope = DEFAULT
) -> Subject:
    """A subject of the split. ``kind`` None: as often as the scope has it."""
    kind = kind or cast("Kind", scope.kinds.draw(rng))
    while True:
        subject = _subject(rng, kind, scope)
        if split_of(subject) == split:
            return subject


def look_alike(subject: Subject, rng: np.random.Generator, scope: Scope = DEFAULT) -> Subject:
    """Another subject with every named attribute the same and every hidden trait drawn anew."""
    return replace(subject, **_hidden(rng, scope.attributes[subject.kind]))


def stage(
    subject: Subject,
    rng: np.random.Generator,
    *,
    place: str | None = None,
    time: str | None = None,
    item: str | None = "random",
    pose: str | None = None,
    expression: str | None = None,
    weather: str | None = None,
    camera: str | None = None,
    style: str | None = None,
    scope: Scope = DEFAULT,
) -> Scene:
    """Put a subject into a scene; what is not given is drawn. ``item`` None: empty hands.

    A character or mascot holds something in 40% of random scenes; products never hold. A wide scope adds a
    second subject, of the same split, and things that stand by, where ``camera`` and ``item`` leave it open.
    """
    held = _held(rng, subject, item, scope)
    where: str = place or scope.places[subject.kind].draw(rng)
    when: str = time or scope.times.draw(rng)
    x, scale, mirrored = _stand(rng, scope)
    scene = Scene(
        subject=subject,
        place=where,
        time=when,
        x=x,
        scale=scale,
        mirrored=mirrored,
        place_seed=int(rng.integers(2**31)),
        pose=pose or scope.poses.draw(rng),
        expression=expression or scope.expressions.draw(rng),
        item=held,
        tilt=float(rng.normal() * 3.0),
        weather=weather or "clear",
        camera=camera or "full",
        style=style or "flat",
    )
    if weather is None and where in scope.weathers:
        scene = replace(scene, weather=scope.weathers[where].draw(rng))
    if style is None and scope.styles is not None:
        scene = replace(scene, style=scope.styles.draw(rng))
    if scope.duo and camera is None and item == "random" and rng.random() < scope.duo:
        return _duo(scene, rng, scope)
    if camera is None and scope.cameras is not None:
        camera = scope.cameras.draw(rng)
    return _framed(scene, camera or "full", rng, scope)


def sample_scene(
    rng: np.random.Generator, *, split: Split = "train", kind: Kind | None = None, scope: Scope = DEFAULT
) -> Scene:
    """A random subject of the split in a random scene."""
    return stage(sample_subject(rng, kind, split, scope), rng, scope=scope)


def _trait(rng: np.random.Generator) -> float:
    return float(rng.uniform(-1, 1))


def _subject(rng: np.random.Generator, kind: Kind, scope: Scope) -> Subject:
    attributes = scope.attributes[kind]
    drawn = _named(rng, attributes)
    drawn |= _hidden(rng, attributes)
    if kind == "character":
        if "occupation" in attributes.named:
            _settle(rng, drawn)
        drawn["detail"] = scope.detail
    return SPECS[kind](**drawn)


def _named(rng: np.random.Generator, attributes: Attributes) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for name, odds in attributes.named.items():
        if name == "bottom" and drawn["top"] in WITH_TOP:
            drawn[name] = WITH_TOP[drawn["top"]]
        elif name in attributes.unlike:
            other = drawn[attributes.unlike[name]]
            drawn[name] = Odds(tuple(value for value in odds.values if value != other)).draw(rng)
        else:
            drawn[name] = odds.draw(rng)
    return drawn


def _hidden(rng: np.random.Generator, attributes: Attributes) -> dict[str, Any]:
    drawn: dict[str, Any] = {name: _trait(rng) for name in attributes.numbers}
    drawn |= {name: odds.draw(rng) for name, odds in attributes.choices.items()}
    return drawn | {name: float(rng.random()) for name in attributes.hues}


def _settle(rng: np.random.Generator, drawn: dict[str, Any]) -> None:
    """What must go together: outfits, beards and grown-ups, hats and headbands. Changes ``drawn``."""
    person = PEOPLE[drawn["person"]]
    if person.age == "child":
        drawn["occupation"] = "none"
    if person.age == "child" or person.gender == "feminine":
        drawn["facial_hair"] = "none"
    if person.age == "older" and rng.random() < GREYING:
        drawn["hair_color"] = "grey" if rng.random() < 0.5 else "white"
    outfit = OUTFITS.get(drawn["occupation"])
    if outfit is not None:
        color = Odds(outfit.top_colors).draw(rng)
        below = Odds(outfit.bottom_colors).draw(rng)
        drawn |= {
            "top": outfit.top,
            "top_color": color,
            "top_pattern": outfit.pattern,
            "bottom": outfit.bottom,
            "bottom_color": color if color in outfit.bottom_colors else below,
            "headwear": outfit.headwear,
            "headwear_color": Odds(outfit.headwear_colors).draw(rng),
            "accessory": "none",
        }
        if outfit.glasses is not None:
            drawn["glasses"] = outfit.glasses
    elif (
        (drawn["accessory"] in ("tie", "bow tie") and drawn["top"] not in NECKTIES)
        or (drawn["accessory"] == "headband" and drawn["headwear"] != "none")
        or (drawn["accessory"] == "earrings" and drawn["headwear"] == "headscarf")
    ):
        drawn["accessory"] = "necklace"
    if drawn["top"] == "dungarees":
        drawn["bottom_color"] = drawn["top_color"]


def _held(rng: np.random.Generator, subject: Subject, item: str | None, scope: Scope) -> str | None:
    """What the subject holds."""
    if isinstance(subject, ProductSpec):
        return None
    if item == "random":
        return scope.items.draw(rng) if rng.random() < scope.held else None
    return item


def _stand(rng: np.random.Generator, scope: Scope) -> tuple[float, float, bool]:
    """Centre, scale, and whether mirrored."""
    deviation, least, greatest = scope.spread
    x = float(np.clip(0.5 + rng.normal() * deviation, least, greatest))
    return x, float(rng.uniform(0.85, 1.1)), bool(rng.random() < 0.5)


def _duo(scene: Scene, rng: np.random.Generator, scope: Scope) -> Scene:
    """The scene with a second subject beside the first."""
    partner = sample_subject(rng, None, split_of(scene.subject), scope)
    left, right = (side + float(rng.normal() * 0.015) for side in (0.28, 0.73))
    first, second = (left, right) if rng.random() < 0.5 else (right, left)
    other = Placement(
        subject=partner,
        x=second,
        scale=float(rng.uniform(0.72, 0.84)),
        mirrored=bool(rng.random() < 0.5),
        pose=scope.poses.draw(rng),
        expression=scope.expressions.draw(rng),
        item=_held(rng, partner, "random", scope),
        tilt=float(rng.normal() * 2.0),
    )
    products = tuple(isinstance(subject, ProductSpec) for subject in (scene.subject, partner))
    return replace(
        scene,
        x=first,
        scale=scene.scale * (0.66 if products[0] else 0.78),
        other=replace(other, scale=other.scale * (0.82 if products[1] else 1.0)),
    )


def _framed(scene: Scene, camera: str, rng: np.random.Generator, scope: Scope) -> Scene:
    """The scene as the camera has it; a near one sees no hands, so that they hold nothing."""
    if isinstance(scene.subject, ProductSpec) and camera == "half":
        camera = "full"
    if camera != "full":
        item, pose = scene.item, scene.pose
        if item and CATALOGUE[item].on == "hand" and camera == "close-up":
            camera = "half"
        if pose in ("sitting", "jumping"):
            pose = "standing"
        x = float(np.clip(scene.x, 0.4, 0.6))
        return replace(scene, camera=camera, x=x, pose=pose, tilt=scene.tilt * 0.6)
    if scope.props is not None and rng.random() < scope.propped:
        side = 0.13 if scene.x >= 0.5 else 0.87
        prop = Prop(
            name=scope.props.draw(rng),
            x=side + float(rng.normal() * 0.02),
            scale=float(rng.uniform(0.8, 1.0)),
        )
        return replace(scene, props=(prop,))
    return scene
