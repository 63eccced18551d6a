"""What ships with Castmark: the embedded models with their cards, the policies and the prompt lists.

embedded/base/        a diffusers pipeline folder: the base
embedded/clip/        an open_clip folder: the judge
embedded/reference/   IP-Adapter weights and the subject encoder
policies/             safety policies, and their calibrations
terms/                what policies look for of each kind of content, in texts and words
bench/reader/         the truth reader, which only benches use
prompts/              prompt lists for the demo, the calibration and the benches
"""

from importlib.resources import files
from pathlib import Path


def path(*parts: str) -> Path:
    """Path of a shipped file or folder, from a wheel and from an editable checkout alike."""
    return Path(str(files("castmark_data"))).joinpath(*parts)
