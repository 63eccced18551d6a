"""The watermark's code: a 40-bit id with a 24-bit check, in 256 chips that survive many errors.

The check is CRC-24 (RFC 9580, section 6.1.1). The error correction is the tail-biting convolutional code of
rate 1/4 and constraint length 9 with the generators 463, 535, 733, 745 (octal; free distance 24; Proakis,
Digital Communications, table 8.2-3), decoded from soft values by a Viterbi decoder that goes around the
circular trellis two and a half times. Chips are interleaved and scrambled, so that a run of bad ones, and
any structure of a picture, meets the code as noise.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from castmark_provenance.durable.noise import permutation, signs

Bits: TypeAlias = NDArray[np.int8]
Soft: TypeAlias = NDArray[np.float32]

ID_BITS = 40
CHECK_BITS = 24
FRAME_BITS = ID_BITS + CHECK_BITS
GENERATORS = (0o463, 0o535, 0o733, 0o745)
CONSTRAINT = 9
STATES = 1 << (CONSTRAINT - 1)
CHIPS = FRAME_BITS * len(GENERATORS)

_CRC24_POLYNOMIAL = 0x1864CFB
_CRC24_START = 0xB704CE
_TURNS = 2.5


def encode(identifier: int) -> Bits:
    """The 256 chips, each 1 or -1, of an id below 2**40.

    Raises:
        ValueError: the id does not fit.
    """
    if not 0 <= identifier < 1 << ID_BITS:
        raise ValueError(f"watermark id {identifier} is not between 0 and 2**{ID_BITS} - 1")
    return chips_of(_frame(identifier))


def decode(soft: Soft) -> list[tuple[int | None, float]]:
    """The id, if its check holds, and the agreement, of each row of soft values "candidates 256".

    The agreement is the normalised correlation of the soft values with the decoded word's chips: 1 for
    noiseless chips of equal size.
    """
    plain = np.empty_like(soft)
    plain[:, _interleaver()] = soft * _scrambler()
    results: list[tuple[int | None, float]] = []
    for row, bits in zip(soft, _viterbi(plain), strict=True):
        energy = float(np.sqrt(CHIPS * np.sum(row * row)))
        agreement = float(chips_of(bits) @ row) / energy if energy else 0.0
        value = int("".join(map(str, bits[:ID_BITS])), 2)
        sound = bool(np.array_equal(bits, _frame(value)))
        results.append((value if sound else None, agreement))
    return results


def chips_of(bits: Bits) -> Bits:
    """The chips of a frame of 64 bits."""
    state = 0
    for bit in bits[-(CONSTRAINT - 1) :]:  # tail-biting: start where the frame will end
        state = state >> 1 | int(bit) << (CONSTRAINT - 2)
    outputs = _outputs()
    coded = np.empty((FRAME_BITS, len(GENERATORS)), np.int8)
    for at, bit in enumerate(bits):
        coded[at] = outputs[state, bit]
        state = state >> 1 | int(bit) << (CONSTRAINT - 2)
    return (1 - 2 * coded.ravel())[_interleaver()] * _scrambler()


def _frame(identifier: int) -> Bits:
    """Id and check, most significant bit first."""
    whole = identifier << CHECK_BITS | _crc24(identifier.to_bytes(ID_BITS // 8, "big"))
    return np.array([whole >> at & 1 for at in reversed(range(FRAME_BITS))], np.int8)


def _crc24(data: bytes) -> int:
    register = _CRC24_START
    for byte in data:
        register ^= byte << 16
        for _ in range(8):
            register <<= 1
            if register & 0x1000000:
                register ^= _CRC24_POLYNOMIAL
    return register


@functools.cache
def _interleaver() -> NDArray[np.intp]:
    return permutation("interleaver", CHIPS)


@functools.cache
def _scrambler() -> Bits:
    return signs("scrambler", CHIPS)


@functools.cache
def _outputs() -> NDArray[np.int8]:
    """Coded bits by state (the last 8 bits, the newest highest), next bit and generator."""
    return np.array(
        [
            [
                [(bit << (CONSTRAINT - 1) | state).__and__(g).bit_count() & 1 for g in GENERATORS]
                for bit in (0, 1)
            ]
            for state in range(STATES)
        ],
        np.int8,
    )


@functools.cache
def _branches() -> NDArray[np.float32]:
    """Chips of the branches into each state from its two predecessors: "4 512", predecessors last."""
    state = np.arange(STATES)
    before = np.stack([state << 1 & (STATES - 1), state << 1 & (STATES - 1) | 1], axis=1)
    bit = state >> (CONSTRAINT - 2)  # the one that leads here
    branch = 1 - 2 * _outputs()[before, bit[:, None]].astype(np.float32)
    return np.ascontiguousarray(branch.reshape(2 * STATES, len(GENERATORS)).T)


def _viterbi(soft: Soft) -> NDArray[np.int8]:
    """The most likely frames "candidates 64" for soft coded bits "candidates 256" (positive means 0)."""
    count = len(soft)
    gains = (soft.reshape(-1, len(GENERATORS)) @ _branches()).reshape(count, FRAME_BITS, 2, STATES // 2, 2)
    order = [at % FRAME_BITS for at in range(int(_TURNS * FRAME_BITS))]
    metric = np.zeros((count, STATES), np.float32)
    choices: list[NDArray[Any]] = []
    for at in order:
        # States s and s + 128 come from 2 s and 2 s + 1.
        paths = metric.reshape(count, 1, STATES // 2, 2) + gains[:, at]
        first, second = paths[..., 0], paths[..., 1]
        choices.append((second > first).reshape(count, STATES))
        metric = np.maximum(first, second)
    state = metric.reshape(count, STATES).argmax(axis=1)
    rows = np.arange(count)
    frames = np.empty((count, FRAME_BITS), np.int8)
    last = FRAME_BITS * 2  # the second turn is the one with context on both sides
    for step in reversed(range(FRAME_BITS, len(order))):
        if step < last:
            frames[:, order[step]] = state >> (CONSTRAINT - 2)
        state = (state << 1 & (STATES - 1)) + choices[step][rows, state]
    return frames
