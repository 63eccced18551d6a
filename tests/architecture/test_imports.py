"""Which package may know which, and what a plain import costs."""

import json
import subprocess
import sys
from pathlib import Path

import castmark

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "open_clip",
    "numpy",
    "skia",
    "jinja2",
    "c2pa",
    "pydantic",
    "PIL",
}


def modules_after(code: str) -> set[str]:
    """Top-level modules loaded after running ``code`` in a fresh interpreter."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_the_layers_hold() -> None:
    """The contracts of pyproject.toml, by import-linter."""
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_import_castmark_loads_nothing_heavy() -> None:
    assert modules_after("import castmark") & HEAVY == set()
    assert modules_after("import castmark; castmark.InputError; castmark.__version__") & HEAVY == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from castmark.cli.commands import main\n"
        "sys.argv = ['castmark', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()\n"
    )
    assert modules_after(code) & HEAVY == set()


def test_the_shot_side_of_the_engine_needs_no_torch() -> None:
    """Job files, the journal, runs and subjects are plain data."""
    modules = ("jobs", "runs.ledger", "runs.runners", "studio.claims")
    code = f"import {', '.join(f'castmark.{name}' for name in modules)}, castmark_adapters.pack"
    assert modules_after(code) & {"torch", "diffusers", "numpy"} == set()


def test_the_verifier_needs_no_torch() -> None:
    code = "from castmark_provenance import verify, sign, keygen; verify(b'x')"
    assert modules_after(code) & {"torch", "diffusers", "numpy", "castmark"} == set()


def test_the_public_names_are_these() -> None:
    assert castmark.__all__ == [
        "BaseError",
        "CastmarkError",
        "CheckError",
        "Consent",
        "Draft",
        "Failure",
        "Finding",
        "InputError",
        "Job",
        "JobRow",
        "LedgerError",
        "LocalRunner",
        "MissingExtra",
        "NotCalibrated",
        "Refusal",
        "RefusedError",
        "RunSummary",
        "Runner",
        "Shot",
        "SignedImage",
        "SigningError",
        "Studio",
        "Subject",
        "Take",
        "Verdict",
        "__version__",
        "read_job",
    ]
    for name in castmark.__all__:
        assert getattr(castmark, name) is not None
    assert set(castmark.__all__) <= set(dir(castmark))
