"""Another implementation's opinion: npm ``@trustnxt/c2pa-ts`` on intact and tampered files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from castmark.bench.attacks.signed_samples import Sample
from castmark.bench.attacks.tampering import TABLE, Bench, flipped
from castmark_provenance.containers import locate

PACKAGE = "@trustnxt/c2pa-ts@0.9.4"
FOLDER = "CASTMARK_C2PA_TS"
"""Environment variable: a folder with the package installed, where npm cannot fetch it."""


class Unavailable(Exception):  # noqa: N818
    """The other implementation cannot be run here; the message says why."""


def cases(bench: Bench, others: Mapping[str, Sample]) -> dict[str, bytes]:
    """Files by name: the tamper table's rows that need no rule of ours, and like ones in other formats."""
    found = {"PNG intact": bench.png, "PNG intact, another": bench.other_png}
    found |= {f"PNG {row.name}": row.make(bench) for row in TABLE if row.independent}
    for kind, sample in others.items():
        data = sample.signed(bench.key)
        (located,) = locate(data, sample.media_type)
        after = located.start + located.length
        found[f"{kind} intact"] = data
        for part in (2, 3, 5):
            found[f"{kind} one bit of the picture, {part}"] = flipped(
                data, after + (len(data) - after) // part
            )
        for mark, beyond in ((b"org.castmark.generation\0", 60), (b"org.castmark.safety\0", 60)):
            found[f"{kind} a byte of {mark[:-1].decode()}"] = flipped(data, data.index(mark) + beyond)
        found[f"{kind} unsigned"] = sample.encoded
    return found


def ask(found: Mapping[str, bytes], folder: Path) -> dict[str, bool]:
    """Whether the other implementation calls each file valid.

    Raises:
        Unavailable: there is no node or npm, or the package cannot be had.
    """
    node = shutil.which("node")
    if node is None:
        raise Unavailable("node is not installed")
    home = Path(os.environ[FOLDER]) if FOLDER in os.environ else _installed(folder)
    script = home / "castmark_c2pa_ts.mjs"
    script.write_bytes(files("castmark.bench.attacks").joinpath("c2pa_ts.mjs").read_bytes())
    paths: dict[str, str] = {}
    for index, (name, data) in enumerate(found.items()):
        path = folder / f"case-{index}"
        path.write_bytes(data)
        paths[str(path)] = name
    try:
        done = subprocess.run(
            [node, str(script)],
            input="\n".join(paths),
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"node failed: {error.stderr.strip()[-200:]}") from error
    finally:
        script.unlink()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {paths[answer["file"]]: bool(answer["valid"]) for answer in answers}


def _installed(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    home = folder / "node"
    home.mkdir()
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
            cwd=home, capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"npm cannot install {PACKAGE} ({type(error).__name__}); set {FOLDER}") from error
    return home
