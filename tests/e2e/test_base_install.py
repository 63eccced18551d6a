"""With the base installation alone the verifier works, and every other command says what it needs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from engine_fakes import fake_studio

from castmark.extras import MODULES
from castmark.shot import Shot
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey

EXTRA = sorted({module for modules in MODULES.values() for module in modules} | {"torchvision", "accelerate"})
RENDERER = ["skia", "matplotlib"]
WITHOUT = """
import sys
for name in {!r}:
    sys.modules[name] = None  # as if it were not installed: importing it fails
sys.argv = ["castmark", *sys.argv[1:]]
from castmark.cli.commands import main
main()
"""


def castmark(
    *arguments: object, home: Path, without: Sequence[str] = EXTRA, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process that has none of some modules, and finds others in ``path`` first."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(without), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"CASTMARK_HOME": str(home), "PATH": "/usr/bin:/bin"}
        | ({} if path is None else {"PYTHONPATH": str(path)}),
        cwd=home,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    key = PemKey.load_folder(keygen(folder / "keys"))
    fake_studio(key).shoot(Shot("a mug", name="mug")).save(folder)
    return folder


def test_the_verifier_works(home: Path) -> None:
    result = castmark("verify", "mug.png", home=home)
    assert result.returncode == 0, result.stderr
    assert "trusted" in result.stdout
    (home / "broken.png").write_bytes((home / "mug.png").read_bytes()[:-30])
    assert castmark("verify", "broken.png", home=home).returncode in {1, 7}


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("shoot", "a mug"), "engine"),
        (("demo",), "engine"),
        (("sheet", "run"), "engine"),
        (("bench", "pipeline"), "engine"),
        (("world", "sample", "--out", "x"), "world"),
    ],
)
def test_other_commands_say_which_extra_they_need(arguments: tuple[str, ...], extra: str, home: Path) -> None:
    result = castmark(*arguments, home=home)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"pip install 'castmark[{extra}]'" in result.stderr


def test_keys_and_subjects_need_no_extra(home: Path) -> None:
    assert castmark("keygen", "--out", "other", home=home).returncode == 0
    made = castmark("subject", "new", "mug", "mug.png", "--kind", "product", home=home)
    assert made.returncode == 0, made.stderr
    assert "mug" in castmark("subject", "list", home=home).stdout


def test_the_engine_draws_without_the_renderer(home: Path) -> None:
    drawn = castmark("shoot", "a red mug", "--steps", 1, "--out", "shots", home=home, without=RENDERER)
    assert drawn.returncode == 0, drawn.stderr
    (image,) = (home / "shots").glob("*.png")
    assert castmark("verify", image, home=home).returncode == 0
    other = castmark("world", "sample", "--out", "x", home=home, without=RENDERER)
    assert other.returncode == 2 and "pip install 'castmark[world]'" in other.stderr


def test_a_renderer_that_cannot_be_loaded_is_told_with_the_cause(home: Path, tmp_path: Path) -> None:
    (tmp_path / "skia.py").write_text("raise ImportError('libEGL.so.1: cannot open shared object file')\n")
    asked = castmark("world", "sample", "--out", "x", home=home, without=(), path=tmp_path)
    assert asked.returncode == 2 and asked.stderr.count("\n") == 1
    assert "libEGL.so.1" in asked.stderr and "apt-get install" in asked.stderr
    doctor = castmark("doctor", home=home, without=(), path=tmp_path)
    assert "libEGL.so.1" in doctor.stdout and "Traceback" not in doctor.stderr
