"""Drafts as the judge takes them: batches of one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castmark.errors import CheckError
from castmark.take import Draft


def is_picture(draft: Draft) -> bool:
    """True.

    Raises:
        CheckError: its pixels are no picture of 8-bit RGB.
    """
    pixels = draft.pixels
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CheckError("a draft's pixels are not 8-bit; it cannot be checked")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape) < 1:
        raise CheckError(f"a draft's pixels have the shape {pixels.shape}, not (height, width, 3)")
    return True


def by_size(drafts: Sequence[Draft]) -> list[tuple[list[int], Tensor]]:
    """Drafts of one size stacked: indices and pixels in [0, 1] "b 3 h w"."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for index, draft in enumerate(drafts):
        sizes.setdefault(draft.pixels.shape, []).append(index)
    return [(rows, to_tensor([drafts[i].pixels for i in rows])) for rows in sizes.values()]


def to_tensor(pictures: Sequence[np.ndarray]) -> Float[Tensor, "b 3 h w"]:
    """UInt8 pictures "h w 3" of one size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
