"""What every test gets: one torch thread, set before torch is first imported.

The last bit of a drawing depends on the number of threads, and code under test sets it; tests that compare
pixels must all see the same.
"""

import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"


def pytest_runtest_setup() -> None:
    """Runs before the test's fixtures, those of wider scope included."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
