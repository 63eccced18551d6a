"""With the base installation alone the verifier works, and every other command says what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from engine_fakes import fake_studio

from castmark.extras import MODULES
from castmark.shot import Shot
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey

EXTRA = sorted({module for modules in MODULES.values() for module in modules} | {"torchvision", "accelerate"})
BASE_ONLY = f"""
import sys
for name in {EXTRA!r}:
    sys.modules[name] = None  # as if it were not installed: importing it fails
sys.argv = ["castmark", *sys.argv[1:]]
from castmark.cli.commands import main
main()
"""


def castmark(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process that has none of the extras."""
    return subprocess.run(
        [sys.executable, "-c", BASE_ONLY, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"CASTMARK_HOME": str(home), "PATH": "/usr/bin:/bin"},
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
