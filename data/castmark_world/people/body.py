"""A character's measures and colours; derived once from its spec and its placement."""

from __future__ import annotations

from castmark_world.brush import hue_shift, luminance, shade
from castmark_world.params import CharacterSpec, Placement, Scene
from castmark_world.skeleton import Skeleton
from castmark_world.vocabulary import COLORS, HAIR_COLORS, MONK_TONES, PEOPLE

HEAD_RADIUS = 35.0


class Body(Skeleton):
    """Lengths, places and colours of a character's parts."""

    def __init__(self, spec: CharacterSpec, scene: Placement | Scene) -> None:
        build = PEOPLE[spec.person]
        super().__init__(
            scene,
            half=25.0 * build.breadth * (1 + 0.16 * spec.body_width),
            legs=build.legs * (1 + 0.16 * spec.leg_length),
            torso=build.torso,
        )
        self.spec = spec
        self.full = spec.detail == "full"
        self.skin = MONK_TONES[spec.skin_tone]
        self.hair = hue_shift(HAIR_COLORS[spec.hair_color], spec.hair_hue)
        if self.full and abs(luminance(self.hair) - luminance(self.skin)) < 22:
            # Hair as dark, or as light, as the skin would not be seen.
            self.hair = shade(self.hair, 1.2 if luminance(self.skin) < 90 else 0.8)
        self.top = hue_shift(COLORS[spec.top_color], spec.top_hue)
        self.bottom = hue_shift(COLORS[spec.bottom_color], spec.bottom_hue)
        self.head_y = self.shoulder_y - HEAD_RADIUS + 4
        self.head_rx = HEAD_RADIUS * (1 + 0.12 * spec.head_width)
        self.head_ry = HEAD_RADIUS * (1 - 0.05 * spec.head_width)
