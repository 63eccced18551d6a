"""Nothing above `castmark.bases` knows which family of base it draws with."""

import ast
from pathlib import Path

from castmark.bases import FAMILIES

ROOT = Path(__file__).parents[2]
# The embedded base is made as a Stable Diffusion folder, and a bench compares with plain diffusers.
MAKERS = {"training", "bench"}


def names_in(path: Path) -> set[str]:
    """Every name, attribute and string of a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} | {node.module or ""}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_no_family_is_named_above_the_bases() -> None:
    families = {name.partition(":")[0] for name in FAMILIES.values()}
    forbidden = {
        *FAMILIES,
        *(name.partition(":")[2] for name in FAMILIES.values()),
        *(f"castmark.bases.{module}" for module in families),
        *(name.replace("Pipeline", "Img2ImgPipeline") for name in FAMILIES),
    }
    engine = ROOT / "src/castmark"
    paths = [p for p in engine.rglob("*.py") if p.relative_to(engine).parts[0] not in {"bases", *MAKERS}]
    assert len(paths) > 50
    named = {str(path.relative_to(ROOT)): hit for path in paths if (hit := names_in(path) & forbidden)}
    assert named == {}
