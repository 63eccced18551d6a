"""Energy, where the machine tells: Linux's running average power limit counters, package domains.

They count the whole machine, not this process, and are often readable by root alone; then there is no figure.
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Reads the counters at the start, and adds up what they count from there.

    A counter starts again at zero when it is full, after minutes on some machines, and how often it did so is
    not told: `sample` more often than that.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        domains = sorted(folder.glob("intel-rapl:[0-9]*"))
        self._domains = [domain for domain in domains if domain.name.count(":") == 1]
        self._last = self._read("energy_uj")
        self._ranges = self._read("max_energy_range_uj")
        self._spent = 0
        self._told = bool(self._last) and self._last.keys() == self._ranges.keys()

    def sample(self) -> None:
        """Add what was used since the last time."""
        now = self._read("energy_uj")
        self._told = self._told and now.keys() == self._last.keys()
        if self._told:
            for name, was in self._last.items():
                self._spent += (now[name] - was) % (self._ranges[name] + 1)
            self._last = now

    def joules(self) -> float | None:
        """Joules since the start, None where the machine does not tell."""
        self.sample()
        return self._spent / 1e6 if self._told else None

    def _read(self, file: str) -> dict[str, int]:
        try:
            return {domain.name: int((domain / file).read_text()) for domain in self._domains}
        except (OSError, ValueError):
            return {}
