"""The watermark: exact after what happens to copies, silent on unmarked pictures, close to invisible."""

from __future__ import annotations

import numpy as np
import pytest
from durable_samples import Pixels, drawing, jpeg, scaled, screenshot

from castmark_provenance.durable import code
from castmark_provenance.durable.errors import WatermarkError
from castmark_provenance.durable.watermark import MIN_SIDE, embed, read

IDENTIFIER = 0xC0FFEE1234


@pytest.fixture(scope="module")
def marked() -> list[Pixels]:
    return [embed(drawing(seed), IDENTIFIER) for seed in range(3)]


def identifier(pixels: Pixels) -> int | None:
    mark = read(pixels)
    return None if mark is None else mark.identifier


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p,
        jpeg,
        lambda p: scaled(p, 0.5),
        lambda p: p[:-26, 26:],
        screenshot,
        lambda p: np.dstack([p @ np.array([0.299, 0.587, 0.114])] * 3).astype(np.uint8),
    ],
    ids=["itself", "JPEG 75", "half size", "10% crop", "screenshot", "grey"],
)
def test_the_id_is_read_from_copies(marked: list[Pixels], change: object) -> None:
    assert callable(change)
    assert [identifier(change(pixels)) for pixels in marked] == [IDENTIFIER] * 3


def test_the_mark_is_faint_and_always_the_same(marked: list[Pixels]) -> None:
    plain = drawing(0)
    error = np.mean((plain.astype(float) - marked[0]) ** 2)
    assert 0 < error <= 255**2 * 10 ** (-40 / 10)
    np.testing.assert_array_equal(embed(plain, IDENTIFIER), marked[0])
    assert identifier(embed(plain, IDENTIFIER + 1)) == IDENTIFIER + 1


def test_unmarked_pictures_carry_nothing(marked: list[Pixels]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    flat = np.full((256, 256, 3), 127, np.uint8)
    upside_down = np.ascontiguousarray(marked[0][::-1])
    for pixels in (*(drawing(seed) for seed in range(3)), noise, flat, upside_down, flat[:5, :5]):
        assert read(pixels) is None


def test_what_was_cropped_is_told(marked: list[Pixels]) -> None:
    mark = read(marked[1][20:, 30:])
    assert mark is not None
    assert mark.offset == pytest.approx((20, 30), abs=1.5)
    assert mark.tile == pytest.approx((256 / 6, 256 / 6), rel=0.01)


def test_other_shapes(marked: list[Pixels]) -> None:
    wide = np.ascontiguousarray(np.concatenate([drawing(4), drawing(5)], axis=1)[:, :389])
    assert identifier(jpeg(embed(wide, 7))) == 7


@pytest.mark.parametrize(
    ("pixels", "number", "says"),
    [
        (np.zeros((MIN_SIDE - 1, 300, 3), np.uint8), 1, "too few"),
        (np.zeros((256, 256), np.uint8), 1, "8-bit RGB"),
        (np.zeros((256, 256, 3), np.float32), 1, "8-bit RGB"),
        (np.zeros((256, 256, 3), np.uint8), 1 << 40, "not between"),
    ],
)
def test_what_cannot_be_marked_is_an_error(pixels: Pixels, number: int, says: str) -> None:
    with pytest.raises(WatermarkError, match=says):
        embed(pixels, number)


def test_the_code_corrects_and_checks() -> None:
    rng = np.random.default_rng(1)
    numbers = [int(n) for n in rng.integers(0, 1 << 40, 4)]
    chips = np.array([code.encode(number) for number in numbers], np.float32)
    noisy = chips + rng.normal(0, 0.8, chips.shape).astype(np.float32)
    assert np.mean(np.sign(noisy) != chips) > 0.08
    assert [found for found, _ in code.decode(noisy)] == numbers
    lost = rng.normal(0, 1, (20, code.CHIPS)).astype(np.float32)
    assert [found for found, _ in code.decode(lost)] == [None] * 20


def test_the_layout_never_changes() -> None:
    """Marks drawn today must be read by every later version."""
    from hashlib import sha256

    from castmark_provenance.durable.carrier import DATA, PILOTS, modulate

    chips = np.concatenate([code.encode(IDENTIFIER), DATA, PILOTS]).astype("<i4")
    signs = np.sign(np.stack([modulate(IDENTIFIER).real, modulate(IDENTIFIER).imag])).astype("<i4")
    assert sha256(chips.tobytes() + signs.tobytes()).hexdigest() == (
        "3b011f5cf4cb8f17d0093eff3d07858d4930bc964220f82385bbc90817957348"
    )
