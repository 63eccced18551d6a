"""What machine this is: its processor, and the cores this process may use."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def cpu_fact(field: str) -> str:
    """What Linux says of the first core, such as "model name" or "flags"; empty where nothing is said."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


def cpu_name() -> str:
    """The processor in words."""
    return cpu_fact("model name") or platform.processor() or platform.machine()


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
