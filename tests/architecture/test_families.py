"""Nothing above `castmark.bases` knows which family of base it draws with, nor asks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from castmark.bases import FAMILIES

ROOT = Path(__file__).parents[2]
# The embedded base is made as a Stable Diffusion folder, and a bench compares with plain diffusers.
MAKERS = {"training", "bench"}
CLASSES = {name.partition(":")[2] for name in FAMILIES.values()}
MODULES = {f"castmark.bases.{name.partition(':')[0]}" for name in FAMILIES.values()}
IMAGES = {name.replace("Pipeline", "Img2ImgPipeline") for name in FAMILIES}
ASKED = {"family", "_class_name"}
"""What a base's family is read from: above the bases nobody may look at it, however the answer is used."""
KINDS = {"sdxl", "flux", "klein", "sana", "unet2d"}
"""Words by which a family, or its pipeline, could be told in other ways."""
BRANCHES = (ast.Compare, ast.Match, ast.If, ast.IfExp, ast.While, ast.Subscript, ast.Assert)


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name, attribute, import and string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def asks(tree: ast.AST) -> set[str]:
    """Ways in which a module knows a family: names one; reads a base's family; or decides by a part of a
    pipeline's class name.
    """
    found = set(names_in(tree)) & {*FAMILIES, *CLASSES, *MODULES, *IMAGES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ASKED:
            found.add(f".{node.attr}")
        if isinstance(node, ast.Constant) and node.value == "_class_name":
            found.add("_class_name")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            found |= {f".{name}" for name in names_in(node) if name in ASKED}
        if isinstance(node, BRANCHES):
            told = node.test if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert) else node
            told = ast.Module([*map(ast.Expr, _patterns(told))], []) if isinstance(told, ast.Match) else told
            found |= {word for word in names_in(told) if any(kind in word.lower() for kind in KINDS)}
    return found


def _patterns(node: ast.Match) -> Iterator[ast.expr]:
    yield node.subject
    for case in node.cases:
        yield from (each for each in ast.walk(case.pattern) if isinstance(each, ast.expr))


def test_no_family_is_named_or_asked_for_above_the_bases() -> None:
    engine = ROOT / "src/castmark"
    paths = [p for p in engine.rglob("*.py") if p.relative_to(engine).parts[0] not in {"bases", *MAKERS}]
    assert len(paths) > 50
    named = {str(p.relative_to(ROOT)): hit for p in paths if (hit := asks(ast.parse(p.read_text())))}
    assert named == {}


@pytest.mark.parametrize(
    "code",
    [
        "if base.facts.family == 'x': pass",
        "match base.facts.family:\n    case 'FluxPipeline': pass",
        "match type(pipeline).__name__:\n    case 'Flux2KleinPipeline': pass",
        "few = {'FluxPipeline', 'ZImagePipeline'}",
        "slow = facts.family in few",
        "kind = getattr(facts, 'family')",
        "json.loads(index)['_class_name']",
        "if 'flux' in type(pipeline).__name__.lower(): pass",
        "steps = 4 if 'sdxl' in base.name else 1",
        "steps = {'sana': 2}[base.name]",
        "isinstance(model, ZImage)",
        "from castmark.bases.flux2 import Flux2Klein",
        "import castmark.bases.sana",
    ],
)
def test_the_test_cannot_be_talked_round(code: str) -> None:
    assert asks(ast.parse(code))
