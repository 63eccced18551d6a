"""What is read of a picture: a column for every attribute and trait that a scope draws.

A column is read under the words' own grain: skin by the seven words that captions have for ten tones, a
person by age and by gender presentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from castmark_world import DEFAULT, Kind, Scene, Scope
from castmark_world.outfits import worn
from castmark_world.truth import applies
from castmark_world.vocabulary import PEOPLE
from castmark_world.words import SKIN

Label: TypeAlias = str | float

SCENIC = ("place", "time", "weather", "camera", "style")
ACTED = ("pose", "expression", "item")
NOTHING = "none"


@dataclass(frozen=True)
class Column:
    """One attribute or trait. ``values`` empty: a number, in [-1, 1], or on the circle in [0, 1)."""

    name: str
    """As in "character.top_color", or "place"."""
    kinds: tuple[Kind, ...]
    """Of which subjects it is read."""
    values: tuple[str, ...] = ()
    named: bool = True
    """Whether captions may say it; else it is a hidden trait."""
    circle: bool = False

    @property
    def field(self) -> str:
        """The name without the kind."""
        return self.name.rpartition(".")[2]

    @property
    def words(self) -> str:
        """The name as a figure has it."""
        return self.name.replace(".", " ").replace("_", " ")

    @property
    def outputs(self) -> int:
        """How many numbers tell it: one a value; a number itself, or its cosine and sine."""
        return len(self.values) or (2 if self.circle else 1)

    def label(self, scene: Scene) -> Label | None:
        """The truth in a scene; None where it does not apply."""
        subject, field = scene.subject, self.field
        if subject.kind not in self.kinds:
            return None
        if field == "kind":
            return subject.kind
        if field == "item":
            return scene.item or NOTHING
        if field in SCENIC or field in ACTED:
            return str(getattr(scene, field))
        if field in ("age", "gender"):
            return str(getattr(subject, field))
        if field == "skin":
            return SKIN[int(getattr(subject, "skin_tone"))][0]  # noqa: B009  (characters alone have it)
        if field == "pattern_scale":
            pattern = getattr(subject, "top_pattern" if subject.kind == "character" else "pattern")
            return None if pattern == "plain" else float(getattr(subject, field))
        if not applies(subject, field):
            return None
        found = getattr(subject, field)
        return str(found) if self.values else float(found)


@cache
def columns(scope: Scope = DEFAULT) -> tuple[Column, ...]:
    """Every column of a scope, in the order in which the reader has them."""
    kinds = tuple(scope.attributes)
    found = [Column("kind", kinds, kinds)] if len(kinds) > 1 else list[Column]()
    drawn = {"place": scope.scenes, "time": scope.times.values}
    if scope.weathers:
        weathers = dict.fromkeys(w for odds in scope.weathers.values() for w in odds.values)
        drawn["weather"] = tuple(dict.fromkeys(("clear", *weathers)))
    for name, odds in (("camera", scope.cameras), ("style", scope.styles)):
        if odds is not None:
            drawn[name] = odds.values
    found += [Column(name, kinds, values) for name, values in drawn.items()]
    actors: tuple[Kind, ...] = tuple(kind for kind in kinds if kind != "product")
    found += [
        Column("pose", actors, scope.poses.values),
        Column("expression", actors, scope.expressions.values),
        Column("item", actors, (*scope.items.values, NOTHING)),
    ]
    for kind in kinds:
        found += _subject(kind, scope)
    return tuple(found)


def _subject(kind: Kind, scope: Scope) -> list[Column]:
    attributes = scope.attributes[kind]
    found: list[Column] = []
    for name, odds in attributes.named.items():
        if name == "person":
            people = [PEOPLE[person] for person in odds.values]
            found.append(Column(f"{kind}.age", (kind,), tuple(dict.fromkeys(p.age for p in people))))
            found.append(Column(f"{kind}.gender", (kind,), tuple(dict.fromkeys(p.gender for p in people))))
        elif name == "skin_tone":
            found.append(
                Column(f"{kind}.skin", (kind,), tuple(dict.fromkeys(SKIN[t][0] for t in odds.values)))
            )
        else:
            uniforms = worn(name) if "occupation" in attributes.named else ()
            values = tuple(dict.fromkeys(str(value) for value in (*odds.values, *uniforms)))
            found.append(Column(f"{kind}.{name}", (kind,), values))
    for name, odds in attributes.choices.items():
        found.append(Column(f"{kind}.{name}", (kind,), tuple(map(str, odds.values)), named=False))
    found += [Column(f"{kind}.{name}", (kind,), named=False) for name in attributes.numbers]
    found += [Column(f"{kind}.{name}", (kind,), named=False, circle=True) for name in attributes.hues]
    return found
