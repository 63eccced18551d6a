"""Poses: where shoulders, elbows and hands are, of people and mascots alike.

Coordinates are the subject's own: feet at the origin, about 190 units tall, y down.
"""

from __future__ import annotations

from castmark_world.brush import Point
from castmark_world.params import Placement, Scene

# Hands by pose, (left, right) as seen, relative to the shoulders' middle: x outwards, y down.
HANDS: dict[str, tuple[Point, Point]] = {
    "standing": ((31, 44), (31, 44)),
    "waving": ((31, 44), (48, -30)),
    "cheering": ((46, -34), (46, -34)),
    "hands on hips": ((30, 34), (30, 34)),
    "walking": ((40, 36), (24, 44)),
    "pointing": ((31, 44), (60, 2)),
    "sitting": ((32, 40), (32, 40)),
    "jumping": ((50, -20), (50, -20)),
    "thinking": ((34, 42), (17, -6)),
}
# How far the elbow stands out, and hangs down, from the middle of the arm.
ELBOWS: dict[str, Point] = {"hands on hips": (12.0, 0.0), "sitting": (9.0, -2.0), "thinking": (20.0, 18.0)}
LIFT = 26.0
"""How high a jump is."""


class Skeleton:
    """The joints of a subject in its pose.

    Args:
        half: half the breadth of the torso.
        legs, torso: lengths.
    """

    def __init__(self, scene: Placement | Scene, *, half: float, legs: float, torso: float) -> None:
        self.scene, self.half, self.legs, self.torso = scene, half, legs, torso
        self.lift = LIFT if scene.pose == "jumping" else 0.0
        self.sits = scene.pose == "sitting"
        self.hip_y = -17.0 if self.sits else -self.legs - self.lift
        self.shoulder_y = self.hip_y - self.torso

    def hand(self, side: int) -> Point:
        """Where a hand is: side -1 left, 1 right, as seen."""
        out, down = HANDS[self.scene.pose][0 if side < 0 else 1]
        return side * (out + self.half - 25), self.shoulder_y + 8 + down

    def elbow(self, side: int) -> Point:
        """Where an elbow is."""
        x, y = self.hand(side)
        out, down = (3.0, 0.0)
        if side > 0 or self.scene.pose != "thinking":
            out, down = ELBOWS.get(self.scene.pose, (3.0, 0.0))
        shoulder = self.shoulder(side)
        return (shoulder[0] + x) / 2 + side * out, (shoulder[1] + y) / 2 + down

    def shoulder(self, side: int) -> Point:
        """Where an arm begins."""
        return side * (self.half - 4), self.shoulder_y + 10

    @property
    def item_place(self) -> Point:
        """Where the origin of a held thing is."""
        return self.hand(1)

    @property
    def stain_place(self) -> Point:
        """Where the origin of a thing on the clothes is."""
        return 0.0, self.shoulder_y + self.torso * 0.62
