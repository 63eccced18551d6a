"""The truth reader: what a picture of the embedded world shows, read from its pixels.

For benchmarks only, nothing that draws or checks may lean on it: it is trained on seeds of its own
(`castmark.training.truth_reader`), and what it reads right on real renders, its ceiling, stands beside
whatever else it reads.

    reader = TruthReader.open()
    (reading,) = reader.read([render(scene)])
    marks(scene, reading)  # {"character.hair_color": True, "place": True, ...}
"""

from castmark.bench.truth.columns import Column, columns
from castmark.bench.truth.marks import marks
from castmark.bench.truth.reader import Reading, TruthReader
from castmark.bench.truth.seen import seen

__all__ = ["Column", "Reading", "TruthReader", "columns", "marks", "seen"]
