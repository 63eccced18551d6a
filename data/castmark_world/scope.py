"""What a scope of the world is: which values every attribute may take, and with which odds.

An attribute's odds stand in the order in which a sampler draws them, so that a seed gives the same subject
for as long as its scope is unchanged. The scopes there are: `castmark_world.scopes`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from castmark_world.params import Detail, Kind
from castmark_world.vocabulary import CATALOGUE, Item


@dataclass(frozen=True)
class Odds:
    """Values and their probabilities; None: all the same."""

    values: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    def draw(self, rng: np.random.Generator) -> Any:
        """One of the values; what `numpy.random.Generator.choice` draws, in a tenth of its time."""
        if self.weights is None:
            return self.values[int(rng.integers(len(self.values)))]
        return self.values[bisect_right(self._bounds, float(rng.random()))]

    @cached_property
    def _bounds(self) -> list[float]:
        cumulative = np.cumsum(self.weights or ())
        return (cumulative / cumulative[-1]).tolist()


@dataclass(frozen=True, eq=False)
class Attributes:
    """What is drawn for one kind of subject: its named attributes, then its hidden traits."""

    named: Mapping[str, Odds]
    numbers: tuple[str, ...]
    """Hidden traits, uniform in [-1, 1]."""
    choices: Mapping[str, Odds]
    """Hidden traits of several values."""
    hues: tuple[str, ...] = ("emblem_hue",)
    """Hidden traits, uniform in [0, 1)."""
    unlike: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attributes that never take the value of another one, drawn before."""

    @property
    def hidden(self) -> frozenset[str]:
        """Names of the hidden traits."""
        return frozenset((*self.numbers, *self.choices, *self.hues))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scope:
    """A part of the world; see the module."""

    name: str
    kinds: Odds
    attributes: Mapping[Kind, Attributes]
    items: Odds
    """What hands hold, or clothes wear."""
    held: float
    """How often."""
    places: Mapping[Kind, Odds]
    times: Odds
    poses: Odds
    expressions: Odds
    spread: tuple[float, float, float]
    """Deviation, least and greatest of a subject's x."""
    weathers: Mapping[str, Odds] = field(default_factory=dict[str, Odds])
    """By place; where there is none it is clear, and nothing is drawn."""
    cameras: Odds | None = None
    styles: Odds | None = None
    props: Odds | None = None
    propped: float = 0.0
    """How often a thing stands beside a subject."""
    duo: float = 0.0
    """How often two subjects share a picture."""
    detail: Detail = "simple"
    grammar: Literal["first", "full"] = "first"
    """Which captions are spoken."""
    planned: bool = False
    """Whether the base draws the picture's plan (`castmark_world.plan`) beside it."""
    decided: bool = False
    """Whether what words leave open is decided before the base draws (`castmark.bases.prior`)."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Every place of the scope."""
        return tuple(dict.fromkeys(place for odds in self.places.values() for place in odds.values))

    @cached_property
    def alone(self) -> Scope:
        """The same with one subject a picture: of two, nobody could say which is meant."""
        return replace(self, duo=0.0)

    @property
    def catalogue(self) -> dict[str, Item]:
        """The scope's things by name."""
        return {name: CATALOGUE[name] for name in self.items.values}
