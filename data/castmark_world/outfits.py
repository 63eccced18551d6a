"""Outfits: what an occupation wears, whoever has it.

Who has an occupation is drawn without looking at skin tone, gender presentation, age or hair, so that in this
world nothing about a person says what they do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outfit:
    """Clothes of an occupation. Of several colours one is drawn; None leaves what the person wears."""

    top: str
    top_colors: tuple[str, ...]
    bottom: str = "trousers"
    bottom_colors: tuple[str, ...] = ("navy", "black", "grey")
    headwear: str = "none"
    headwear_colors: tuple[str, ...] = ("white",)
    glasses: str | None = None
    pattern: str = "plain"


OUTFITS: dict[str, Outfit] = {
    "doctor": Outfit("lab coat", ("white",)),
    "nurse": Outfit("scrubs", ("teal", "blue", "pink"), "trousers", ("teal", "blue", "white"), "nurse cap"),
    "chef": Outfit("chef jacket", ("white",), "trousers", ("black", "grey"), "chef hat"),
    "firefighter": Outfit(
        "fire coat", ("black", "brown", "yellow"), "trousers", ("black",), "fire helmet", ("red", "yellow")
    ),
    "teacher": Outfit(
        "cardigan", ("brown", "green", "purple", "navy"), "trousers", ("brown", "grey", "navy")
    ),
    "engineer": Outfit(
        "hi-vis vest",
        ("orange", "yellow"),
        "jeans",
        ("navy", "blue"),
        "hard hat",
        ("yellow", "white", "orange"),
    ),
    "manager": Outfit("blazer", ("navy", "black", "grey"), "trousers", ("navy", "black", "grey")),
    "artist": Outfit(
        "smock",
        ("white", "grey", "blue"),
        "trousers",
        ("brown", "black"),
        "beret",
        ("red", "black", "purple"),
    ),
    "farmer": Outfit(
        "dungarees", ("blue", "navy"), "trousers", ("blue", "navy"), "sun hat", ("brown", "red")
    ),
    "police officer": Outfit("uniform", ("navy",), "trousers", ("navy",), "police cap", ("navy",)),
    "scientist": Outfit("lab coat", ("white",), glasses="goggles"),
    "cleaner": Outfit(
        "dungarees", ("teal", "green", "purple"), "trousers", ("teal",), "bandana", ("yellow", "red", "pink")
    ),
    "pilot": Outfit("uniform", ("white",), "trousers", ("navy", "black"), "pilot cap", ("white", "navy")),
    "waiter": Outfit("waistcoat", ("black",), "trousers", ("black",)),
}


def worn(attribute: str) -> tuple[str, ...]:
    """What occupations wear of a named attribute: none for any but top, bottom, headwear and glasses."""
    if attribute not in ("top", "bottom", "headwear", "glasses"):
        return ()
    return tuple(str(getattr(outfit, attribute)) for outfit in OUTFITS.values() if getattr(outfit, attribute))
