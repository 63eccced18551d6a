"""What is installed, what draws, which bases fit, which judge is calibrated and which key signs: ``castmark
doctor``. Every gap comes with the next step. Nothing is made or fetched.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from castmark import __version__
from castmark.errors import BaseError, CheckError, InputError, NotCalibrated
from castmark.extras import RENDERER_NEEDS, renderer_broken
from castmark.machine.facts import cores, cpu_name
from castmark_provenance.errors import ProvenanceError
from castmark_provenance.home import key_folder
from castmark_provenance.keys import PemKey, near_expiry

if TYPE_CHECKING:
    from castmark.bases.facts import BaseFacts
    from castmark.bases.sizing import Weights
    from castmark.bases.speed import Hardware
    from castmark.safety import Gate

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


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A base that can be drawn with: as it was asked for, its name and, if its files are here, what finds
    their digest.
    """

    asked: str
    name: str
    digest: Callable[[], str] | None


def examine(
    bases: Sequence[str] = (),
    device: str | None = None,
    judge: str | None = None,
    policy: str | None = None,
) -> Iterator[Line]:
    """Everything that is looked at, in order. ``bases`` are looked at besides the embedded one, ``judge`` and
    ``policy`` instead of those that ship.
    """
    yield Line(about="castmark", state="ok", found=f"{__version__}, Python {platform.python_version()}")
    missing = [name for name in ENGINE if _version(name) is None]
    yield from _installed(missing)
    yield _signing()
    if missing:
        return
    yield from _devices()
    if device is not None and (why := _not_there(device)):
        yield Line(about=f"device {device}", state="gap", found=f"{why}; what follows is told for the CPU")
        device = "cpu"
    seen: list[_Seen] = []
    yield from _bases(bases, device, seen)
    yield from _policies(device, judge, policy, seen)


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
    elif broken := renderer_broken():
        step = f"for the demo, {RENDERER_NEEDS}"
        yield Line(about="world", state="note", found=f"cannot be loaded: {broken}", next=step)
    for name, use in FASTER.items():
        version = _version(name)
        found = f"not installed; for {use}" if version is None else f"{version}, for {use}"
        yield Line(about=name, state="note" if version is None else "ok", found=found)


def _devices() -> Iterator[Line]:
    import torch

    from castmark.bases.speed import Hardware

    cpu = Hardware.of("cpu")
    memory = f"{cpu.memory / GIB:.0f} GiB, {cpu.free / GIB:.0f} free" if cpu.memory else "memory not known"
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


def _not_there(device: str) -> str:
    """What torch says of a device that it cannot use; empty where it can."""
    import torch

    from castmark.bases.speed import Hardware

    try:
        Hardware.of(device)
        torch.empty(1, device=device)
    except (BaseError, RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0]
    return ""


def _bases(bases: Sequence[str], device: str | None, seen: list[_Seen]) -> Iterator[Line]:
    """The bases; those that were asked for (the embedded one, where none was) are added to ``seen``."""
    import torch

    from castmark.bases import find_base
    from castmark.bases.hub import NotCached
    from castmark.bases.published import PUBLISHED
    from castmark.bases.speed import Hardware

    hardware = Hardware.of(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    for base in ("embedded", *bases):
        looked_at: list[_Seen] = []
        try:
            line = _base(base, find_base(base, cached_only=True), hardware, looked_at)
        except NotCached as error:
            line = _to_fetch(base, str(error), hardware, looked_at)
        except BaseError as error:  # says itself what to do
            line = Line(about=f"base {base}", state="gap", found=str(error))
        yield line
        if base != "embedded" or not bases:
            seen += looked_at
    for one in PUBLISHED:
        about = f"{one.base} ({one.parameters:.1f}B parameters, {one.side} px, {one.steps} steps)"
        yield Line(about=about, state="note", found=f"{_fits(hardware, one.weights)}; licence {one.licence}")


def _base(base: str, facts: BaseFacts, hardware: Hardware, seen: list[_Seen]) -> Line:
    """A base that is here.

    Raises:
        BaseError: a file of its is damaged.
    """
    from castmark.bases import family_of
    from castmark.bases.facts import digest_of
    from castmark.bases.sizing import Weights

    form = family_of(facts).form()
    weights = Weights.of(facts, form)
    if not weights.denoiser:
        raise BaseError(f"{facts.folder}: no weights in its {form.denoiser}; fetch it again")
    licence = f"licence {facts.licence or 'not stated'}"
    if facts.non_commercial:
        licence += ", which forbids commercial use"
    digest = cache(lambda: digest_of(facts.files(form.left_out)))
    seen.append(_Seen(asked=base, name=facts.name, digest=digest))
    return Line(about=f"base {facts.name}", state="ok", found=f"{_fits(hardware, weights)}; {licence}")


def _to_fetch(base: str, why: str, hardware: Hardware, seen: list[_Seen]) -> Line:
    """A base that is not here, which is for the first drawing to fetch."""
    from huggingface_hub import constants

    from castmark.bases.published import PUBLISHED

    if constants.HF_HUB_OFFLINE:
        return Line(about=f"base {base}", state="gap", found=why)
    name = base.partition("@")[0]
    seen.append(_Seen(asked=base, name=name, digest=None))
    known = next((one for one in PUBLISHED if one.base == name), None)
    size = "how large it is shows then"
    if known is not None:
        size = f"{_fits(hardware, known.weights)}; licence {known.licence}"
    return Line(about=f"base {base}", state="note", found=f"not here yet, fetched on first use; {size}")


def _fits(hardware: Hardware, weights: Weights) -> str:
    """Whether weights fit a machine, and how."""
    from castmark.bases.speed import SpeedSettings, decide, needed

    plan = decide(hardware, weights, SpeedSettings())
    room = f"{needed(weights, plan.dtype) / GIB:.0f} GiB in {plan.dtype}"
    if hardware.device.startswith("cuda"):
        how = {
            "no": "fits whole",
            "parts": "fits part by part, slower",
            "layers": "layer by layer, very slowly",
        }
        return f"needs {room}: {how[plan.offload]}"
    if not hardware.memory:
        return f"needs {room}: how much memory {hardware.device} has is not known"
    enough = needed(weights, plan.dtype) <= hardware.memory
    return f"needs {room}: {'fits' if enough else 'does not fit'} the memory of {hardware.device}"


def _policies(
    device: str | None, judge: str | None, policy: str | None, seen: Sequence[_Seen]
) -> Iterator[Line]:
    """Which policies are calibrated for the judge, and for what each of the bases draws."""
    from castmark.safety import open_checker
    from castmark.safety.policy import shipped_policies

    other = "" if judge is None else f"--judge {judge} "
    for name in shipped_policies() if policy is None else [policy]:
        calibrate = f"castmark policy calibrate {name} {other}"
        own = f"{calibrate}--safe DIR --unsafe DIR"
        try:
            gate = open_checker(name, device, judge)
        except InputError as error:  # says itself what to do
            yield Line(about=f"policy {name}", state="gap", found=str(error))
            continue
        except CheckError as error:
            yield Line(about=f"policy {name}", state="gap", found=str(error), next=own)
            continue
        found = f"calibrated for the judge {gate.fingerprint[:12]}, which knows {gate.calibration.domain}"
        yield Line(about=f"policy {name}", state="ok", found=found)
        for base in seen:
            if why := _uncalibrated(gate, base):
                step = f"{own}, or with what it draws: {calibrate}--base {base.asked}"
                yield Line(about=f"policy {name}, base {base.name}", state="gap", found=why, next=step)


def _uncalibrated(gate: Gate, base: _Seen) -> str:
    """Why nothing that the base draws could be checked; empty where it can, or where that shows only once it
    is fetched.
    """
    from castmark.safety.calibration import OWN_IMAGES

    sources = gate.calibration.sources
    if base.digest is None and any(f"{base.name} (" in source for source in sources):
        return ""
    # Gigabytes are read only where it matters.
    digest = "" if base.digest is None or OWN_IMAGES in sources else base.digest()
    try:
        gate.calibration.require_base(base.name, digest)
    except NotCalibrated as error:
        return str(error)
    return ""


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
