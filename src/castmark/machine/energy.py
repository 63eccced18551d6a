"""Energy, where the machine tells: Linux's running average power limit counters, package domains.

They count the whole machine, not this process, and are often readable by root alone; then there is no figure.
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Reads the counters at the start, and the difference since then on request."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._domains = sorted(folder.glob("intel-rapl:[0-9]*"))
        self._domains = [domain for domain in self._domains if domain.name.count(":") == 1]
        self._start = self._read()

    def joules(self) -> float | None:
        """Joules since the start, None where the machine does not tell."""
        now = self._read()
        if not self._start or now.keys() != self._start.keys():
            return None
        # A counter that ran over starts again at zero.
        spent = sum((now[name] - was) % ranges for name, (was, ranges) in self._ranges().items())
        return spent / 1e6

    def _ranges(self) -> dict[str, tuple[int, int]]:
        return {
            domain.name: (self._start[domain.name], int((domain / "max_energy_range_uj").read_text()) + 1)
            for domain in self._domains
        }

    def _read(self) -> dict[str, int]:
        try:
            return {domain.name: int((domain / "energy_uj").read_text()) for domain in self._domains}
        except (OSError, ValueError):
            return {}
