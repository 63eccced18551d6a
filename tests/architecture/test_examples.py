"""The examples in docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("src", "adapters", "provenance", "data")


def modules_with_examples() -> list[str]:
    """Dotted names of every module whose source holds an example to run."""
    found: list[str] = []
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            if any(">>> " in line and "+SKIP" not in line for line in path.read_text().splitlines()):
                parts = path.relative_to(ROOT / root).with_suffix("").parts
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
