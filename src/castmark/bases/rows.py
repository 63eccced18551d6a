"""A prior's table: what goes with what in the world that a base learned from, and how often.

A row is one scene: the number of every column's value, or its number. What a prompt leaves open is taken
from two rows, one for what is the subject's own (which may be known instead), one for everything else, for
these do not depend on each other but through the kind of subject. Rows are drawn by weight: those that say
otherwise than the words in what others go with count next to nothing; and little those whose own caption
speaks of a thing that the prompt is silent about, for few pass over a hat, and where nobody speaks of one
there is most likely none.
Chances come from raw bits of PCG64, which numpy keeps from version to version, a number of its own for every
row and column: what is said more or less changes little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from castmark.bases.prior import Column

LEVELS, NOWHERE = 254, 255
"""Steps of a number in the table, and what stands where a column does not apply."""
REACH = 2.0
"""Numbers in the table are within this either side of nought."""
APART = {"kind": 30.0}
DISAGREEING = 8.0
"""Nats that a row loses with every deciding column in which it says otherwise than the words."""
SPOKEN_OF = 3.0
"""Nats that it loses with every quiet column that its own caption speaks of, and the words do not."""
STREAM = 23
FEWEST = 20
"""Rows from which on it is known what goes with a value."""
CAMERA, WHOLE_FIGURE = "camera", "full"


class Rows:
    """The table.

    Args:
        rows: UInt8 "n k" (`packed`).
        spoken: whether the row's own caption speaks of each quiet column, UInt8 "n q".

    Raises:
        ValueError: there are no rows, or their values are not the columns'.
    """

    def __init__(self, columns: Sequence[Column], rows: NDArray[np.uint8], spoken: NDArray[np.uint8]) -> None:
        quiet = np.array([column.quiet for column in columns])
        limits = np.array([len(column.values) or LEVELS + 1 for column in columns])
        if rows.ndim != 2 or rows.shape[1] != len(columns) or not len(rows):
            raise ValueError(f"its table is of shape {rows.shape}, for {len(columns)} columns")
        if spoken.shape != (len(rows), quiet.sum()) or ((rows >= limits) & (rows != NOWHERE)).any():
            raise ValueError("its table does not fit its columns")
        self.columns, self.rows, self.spoken = tuple(columns), rows, spoken
        self._own = np.array([column.subject for column in columns])
        names = [column.name for column in columns]
        self._kind, self._camera = (np.array([name == each for name in names]) for each in ("kind", CAMERA))
        self._whole = np.array([column.whole for column in columns])
        self._even = np.array([column.even for column in columns])
        self._circle = np.array([column.circle for column in columns])
        self._valued = np.array([bool(column.values) for column in columns])
        self._decides = np.array([column.decides for column in columns])
        acts, heard = (np.array([getattr(column, name) for column in columns]) for name in ("acts", "heard"))
        self._scenic = ~(self._own | self._kind | acts | heard)
        self._absent: dict[tuple[int, int], NDArray[np.bool_]] = {}
        views = self.columns[names.index(CAMERA)].values if CAMERA in names else ()
        self._full = views.index(WHOLE_FIGURE) if views else None
        lost = [APART.get(column.name, DISAGREEING) if column.decides else 0.0 for column in columns]
        self._lost = np.array(lost, np.float32)
        self._spoken = np.zeros(rows.shape, np.bool_)
        self._spoken[:, quiet] = spoken

    def decide(
        self,
        said: NDArray[np.int64],
        seed: int,
        *,
        known: NDArray[np.float32] | None = None,
        scene: NDArray[np.float32] | None = None,
        number: int = 0,
    ) -> NDArray[np.float32]:
        """Every column of a picture, also those that words say, "k"; NaN where one does not apply.

        Args:
            said: the number of each column's value that the words say, "k"; negative where they say nothing.
            known: the columns of a subject, "k", which then are no row's, but where what words say of it
                brings something along.
            scene: the columns of the picture that another subject was put into, "k": what is neither a
                subject's own nor its doing is that picture's.
            number: of the subject among those of the picture.
        """
        count, columns = self.rows.shape
        bits = np.random.PCG64([seed, STREAM, number] if number else [seed, STREAM])
        raw = bits.random_raw(2 * count + columns)
        chances = ((np.asarray(raw) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        luck = -np.log(-np.log(chances[: 2 * count])).reshape(2, count)  # Gumbel: the greatest sum is a draw
        if scene is None:
            said = self._implied(said)
        if known is not None:
            said = np.where(self._kind, np.nan_to_num(known, nan=-1).astype(np.int64), said)
        # Of a mug there is less to say than of a woman: silence is no reason to draw one.
        any_ = int((luck[0] - self._disagreement(said, self._own)).argmax())
        said = np.where(self._kind & (said < 0), self.rows[any_], said)
        first = int((self._weights(said, self._own | self._kind) + luck[0]).argmax())
        second = int((self._weights(said, ~self._own) + luck[1]).argmax())
        row = unpacked(np.where(self._own, self.rows[first], self.rows[second]), self.columns)
        chances = chances[2 * count :]
        anew = np.where(self._circle, chances, 2 * chances - 1).astype(np.float32)
        row = np.where(self._even & ~np.isnan(row), anew, row)
        if known is not None:
            row = np.where(self._own | self._kind, self._fitting(known, said), row)
        if scene is not None:
            row = np.where(self._scenic, scene, row)
        return self._seen(row, said)

    def _fitting(self, known: NDArray[np.float32], said: NDArray[np.int64]) -> NDArray[np.float32]:
        """A known subject in what words say of it: an occupation brings its uniform, a dress no trousers, and
        a cap a colour, that of the row most like the subject. All else stays what it is.
        """
        found, held = known.copy(), packed(known, self.columns)
        kind = int(self._kind.argmax())
        of_kind = ~self._without(kind, int(found[kind])) if not math.isnan(found[kind]) else self._own
        for column in np.flatnonzero(self._own & of_kind & self._decides & (said >= 0)):
            among = self.rows[self.rows[:, column] == said[column]]
            found[column] = said[column]
            if len(among) < FEWEST:
                continue
            unlike = ((among != held) & self._own & self._decides).sum(1)
            nearest = unpacked(among[unlike.argmin()], self.columns)
            wanted = np.isnan(found) & (among != NOWHERE).all(0)
            if self.columns[column].dresses:
                wanted |= self._valued & (among == among[0]).all(0)
            found = np.where(self._own & wanted, nearest, found)
        for column in np.flatnonzero(self._own & self._decides):
            if not math.isnan(found[column]):
                found[self._without(int(column), int(found[column]))] = math.nan
        return found

    def _without(self, column: int, value: int) -> NDArray[np.bool_]:
        """Columns of a subject that there never are beside this value of one, "k"."""
        if (column, value) not in self._absent:
            among = self.rows[self.rows[:, column] == value]
            enough = len(among) >= FEWEST
            self._absent[column, value] = self._own & enough & (among == NOWHERE).all(0)
        return self._absent[column, value]

    def _weights(self, said: NDArray[np.int64], among: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Of every row, by columns among these: logarithms "n"."""
        silent = self._spoken[:, (said < 0) & among].sum(1)
        return -SPOKEN_OF * silent - self._disagreement(said, among)

    def _disagreement(self, said: NDArray[np.int64], among: NDArray[np.bool_]) -> NDArray[np.float32]:
        spoken = (said >= 0) & among & (self._lost > 0)
        return (self.rows[:, spoken] != said[spoken]) @ self._lost[spoken]

    def _implied(self, said: NDArray[np.int64]) -> NDArray[np.int64]:
        """With the camera where it must be, for what is said to be seen."""
        if self._full is None or not (said[self._whole] >= 0).any():
            return said
        return np.where(self._camera & (said < 0), self._full, said)

    def _seen(self, row: NDArray[np.float32], said: NDArray[np.int64]) -> NDArray[np.float32]:
        """Without what the camera does not show."""
        if self._full is None:
            return row
        near = np.where(said >= 0, said, row)[self._camera] != self._full
        return np.where(near & self._whole, np.float32(math.nan), row)


def packed(values: NDArray[np.float32], columns: Sequence[Column]) -> NDArray[np.uint8]:
    """Rows "n k" of values, NaN where a column does not apply, as a table holds them."""
    numbers = ((values + REACH) / (2 * REACH) * LEVELS).round().clip(0, LEVELS)
    found = np.where([bool(column.values) for column in columns], values, numbers)
    return np.where(np.isnan(values), NOWHERE, np.nan_to_num(found)).astype(np.uint8)


def unpacked(rows: NDArray[np.uint8], columns: Sequence[Column]) -> NDArray[np.float32]:
    """The values of a table's rows again."""
    held = rows.astype(np.float32)
    found = np.where([bool(column.values) for column in columns], held, held / LEVELS * 2 * REACH - REACH)
    return np.where(rows == NOWHERE, math.nan, found).astype(np.float32)
