"""What is installed, what draws, which bases fit, which judge is calibrated and which key signs: ``castmark
doctor``. Every gap comes with the next step. Nothing is made or fetched.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from castmark import __version__
from castmark.errors import BaseError, CheckError
from castmark.machine.facts import cores, cpu_name
from castmark_provenance.errors import ProvenanceError
from castmark_provenance.home import key_folder
from castmark_provenance.keys import PemKey, near_expiry

State = Literal["ok", "gap", "note"]
ENGINE = ("torch", "diffusers", "transformers", "peft", "open_clip_torch", "accelerate", "safetensors")
FASTER = {
    "triton": "compiled bases on a GPU",
    "torchao": "quantised weights",
    "bitsandbytes": "the 8-bit optimiser",
}
"""Optional packages, and what they are for."""
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing looked at. ``next`` is what to do about a gap."""

    about: str
    state: State
    found: str
    next: str = ""

    def text(self) -> str:
        """For a terminal."""
        mark = {"ok": "ok  ", "gap": "gap ", "note": "    "}[self.state]
        return f"{mark} {self.about}: {self.found}" + (f"\n      next: {self.next}" if self.next else "")


def examine(bases: Sequence[str] = (), device: str | None = None, judge: str | None = None) -> Iterator[Line]:
    """Everything that is looked at, in order. ``bases`` are looked at besides the embedded one, ``judge``
    instead of it.
    """
    yield Line(about="castmark", state="ok", found=f"{__version__}, Python {platform.python_version()}")
    missing = [name for name in ENGINE if _version(name) is None]
    yield from _installed(missing)
    yield _signing()
    if missing:
        return
    yield from _devices()
    yield from _bases(bases, device)
    yield from _judge(device, judge)


def _installed(missing: Sequence[str]) -> Iterator[Line]:
    if missing:
        yield Line(
            about="engine",
            state="gap",
            found=f"not installed: {', '.join(missing)}; this can verify, not draw",
            next="pip install 'castmark[engine]'",
        )
    else:
        yield Line(about="engine", state="ok", found=", ".join(f"{name} {_version(name)}" for name in ENGINE))
    if find_spec("skia") is None:
        step = "for the demo: pip install 'castmark[world]'"
        yield Line(about="world", state="note", found="not installed", next=step)
    for name, use in FASTER.items():
        version = _version(name)
        found = f"not installed; for {use}" if version is None else f"{version}, for {use}"
        yield Line(about=name, state="note" if version is None else "ok", found=found)


def _devices() -> Iterator[Line]:
    import torch

    from castmark.bases.speed import Hardware

    cpu = Hardware.of("cpu")
    memory = f"{cpu.memory / GIB:.0f} GiB, {cpu.free / GIB:.0f} free"
    yield Line(about="cpu", state="ok", found=f"{cpu_name()}, {cores()} cores, {memory}")
    for index in range(torch.cuda.device_count()):
        gpu = Hardware.of(f"cuda:{index}")
        found = f"{gpu.name}, {gpu.memory / GIB:.0f} GiB, {gpu.free / GIB:.0f} free, sm_{gpu.capability[0]}"
        yield Line(about=gpu.device, state="ok", found=found + str(gpu.capability[1]))
    if not torch.cuda.device_count():
        yield Line(
            about="gpu",
            state="note",
            found="none that torch sees: real bases take minutes an image on a CPU",
            next="a CUDA build of torch on a machine with a GPU",
        )


def _bases(bases: Sequence[str], device: str | None) -> Iterator[Line]:
    import torch

    from castmark.bases import family_of, find_base
    from castmark.bases.published import PUBLISHED
    from castmark.bases.sizing import Weights
    from castmark.bases.speed import Hardware

    hardware = Hardware.of(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    for base in ("embedded", *bases):
        try:
            facts = find_base(base)
        except BaseError as error:
            yield Line(about=f"base {base}", state="gap", found=str(error), next="give a base that is there")
            continue
        weights = Weights.of(facts, family_of(facts).form())
        licence = f"licence {facts.licence or 'not stated'}"
        if facts.non_commercial:
            licence += ", which forbids commercial use"
        yield Line(about=f"base {facts.name}", state="ok", found=f"{_fits(hardware, weights)}; {licence}")
    for one in PUBLISHED:
        about = f"{one.base} ({one.parameters:.1f}B parameters, {one.side} px, {one.steps} steps)"
        yield Line(about=about, state="note", found=f"{_fits(hardware, one.weights)}; licence {one.licence}")


def _fits(hardware: object, weights: object) -> str:
    """Whether weights fit a machine, and how."""
    from castmark.bases.sizing import Weights
    from castmark.bases.speed import Hardware, SpeedSettings, decide, needed

    assert isinstance(hardware, Hardware)
    assert isinstance(weights, Weights)
    plan = decide(hardware, weights, SpeedSettings())
    room = f"{needed(weights, plan.dtype) / GIB:.0f} GiB in {plan.dtype}"
    if not hardware.device.startswith("cuda"):
        enough = needed(weights, plan.dtype) <= hardware.memory
        return f"needs {room}: {'fits' if enough else 'does not fit'} the memory of {hardware.device}"
    how = {"no": "fits whole", "parts": "fits part by part, slower", "layers": "layer by layer, very slowly"}
    return f"needs {room}: {how[plan.offload]}"


def _judge(device: str | None, judge: str | None) -> Iterator[Line]:
    from castmark.safety import open_checker
    from castmark.safety.policy import shipped_policies

    other = "" if judge is None else f"--judge {judge} "
    for policy in shipped_policies():
        try:
            gate = open_checker(policy, device, judge)
        except CheckError as error:
            yield Line(
                about=f"policy {policy}",
                state="gap",
                found=str(error),
                next=f"castmark policy calibrate {policy} {other}--safe DIR --unsafe DIR",
            )
            continue
        found = f"calibrated for the judge {gate.fingerprint[:12]}, which knows {gate.calibration.domain}"
        yield Line(about=f"policy {policy}", state="ok", found=found)


def _signing() -> Line:
    folder = key_folder()
    if not folder.is_dir():
        return Line(
            about="key",
            state="note",
            found="none yet; a local one is made on first use, which only you trust",
            next="castmark keygen --organisation 'My Studio'",
        )
    try:
        key = PemKey.load_folder(folder)
    except ProvenanceError as error:
        return Line(about="key", state="gap", found=str(error), next="castmark keygen, in another folder")
    if (soon := near_expiry(key)) is not None:
        return Line(about="key", state="gap", found=soon, next="castmark keygen --renew")
    return Line(about="key", state="ok", found=f"{folder}, {key.algorithm}, until {key.not_after:%Y-%m-%d}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
