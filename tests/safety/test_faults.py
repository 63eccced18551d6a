"""Whatever breaks in the check, nothing is signed: faults of every kind through the studio."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_fakes import FakeBase, FakeWardrobe
from safetensors.torch import load_file, save_file

from castmark.errors import CastmarkError
from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.domain import Kind, texture
from castmark.safety.packed import Packed
from castmark.safety.probe import Probe
from castmark.safety.reader import Attribute, Reader
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.take import Draft, SignedImage, Verdict
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey
from castmark_provenance.sign import sign
from castmark_world import render, sample_scene

SIDE = 64
TEXTURES = texture(torch.rand(1, 3, SIDE, SIDE)).shape[1]


class World(FakeBase):
    """Draws renders, so that only the fault can be what stops an image."""

    broken: Any = None

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        drafts = [
            Draft(
                resolved=s, pixels=render(sample_scene(np.random.default_rng(3 + s.seed)), SIDE), settings={}
            )
            for s in shots
        ]
        return drafts if self.broken is None else [replace(draft, pixels=self.broken) for draft in drafts]


@dataclass
class Bench:
    """All that a fault may break: it is put together anew after the fault was set."""

    policy: Policy
    encoder: Encoder
    record: Calibration
    base: World
    judge: Path
    patch: pytest.MonkeyPatch
    tmp: Path
    wrap: Callable[[Gate], Any] = lambda gate: gate
    prompt: str = "a cup on a table"

    def set(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)

    def threshold(self, **changes: Any) -> None:
        image = dict(self.record.image)
        image["weapon"] = image["weapon"].model_copy(update=changes)
        self.set(image=image)


class Wrapped:
    """A checker that does something to what a gate says."""

    def __init__(self, gate: Gate, check: Callable[[Gate, Sequence[Draft]], Any]) -> None:
        self._gate, self._check = gate, check
        self.policy_digest, self.fingerprint = gate.policy_digest, gate.fingerprint
        self.calibration_digest = gate.calibration_digest
        self.max_redraws, self.fairness = gate.max_redraws, gate.fairness

    def check_prompt(self, text: str) -> Verdict:
        return self._gate.check_prompt(text)

    def check(self, drafts: Sequence[Draft]) -> Any:
        return self._check(self._gate, drafts)


def images(answer: Callable[[torch.Tensor], Any]) -> Callable[[Bench], None]:
    """The judge's image tower gives this for a batch of views."""
    return lambda b: b.patch.setattr(b.encoder.model, "encode_image", answer)


def texts(answer: Callable[[torch.Tensor], Any]) -> Callable[[Bench], None]:
    """The judge's text tower gives this, once the gate is open."""

    def set_up(b: Bench) -> None:
        def wrap(gate: Gate) -> Gate:
            b.patch.setattr(b.encoder.model, "encode_text", answer)
            return gate

        b.wrap = wrap

    return set_up


def says(change: Callable[[Gate, Sequence[Draft]], Any]) -> Callable[[Bench], None]:
    """The checker answers a batch of drafts so."""

    def set_up(b: Bench) -> None:
        b.wrap = lambda gate: Wrapped(gate, change)

    return set_up


def raises(error: BaseException) -> Callable[[torch.Tensor], Any]:
    def fail(_: torch.Tensor) -> Any:
        raise error

    return fail


def swap_after(gate: Gate, drafts: Sequence[Draft]) -> list[Verdict]:
    verdicts = gate.check(drafts)
    for draft in drafts:
        draft.pixels[0, 0, 0] ^= 1
    return verdicts


def without(rung: str) -> Callable[[Gate, Sequence[Draft]], list[Verdict]]:
    return lambda gate, drafts: [
        replace(v, findings=tuple(f for f in v.findings if f.rung != rung)) for v in gate.check(drafts)
    ]


def unfinished(value: float) -> Callable[[Gate, Sequence[Draft]], list[Verdict]]:
    return lambda gate, drafts: [
        replace(v, findings=tuple(replace(f, score=value, allowed=True) for f in v.findings))
        for v in gate.check(drafts)
    ]


def damaged_weights(b: Bench) -> None:
    folder = Path(shutil.copytree(b.judge, b.tmp / "damaged"))
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"][:] = math.nan
    save_file(weights, folder / "open_clip_model.safetensors")
    b.encoder = Encoder.open(folder)
    b.set(fingerprint=b.encoder.fingerprint)


def edited(b: Bench) -> None:
    category = b.policy.categories["weapon"].model_copy(update={"words": ("sword",)})
    b.policy = b.policy.model_copy(update={"categories": {**b.policy.categories, "weapon": category}})


def stale_while_open(b: Bench) -> None:
    def age(gate: Gate) -> Gate:
        old = gate.calibration.model_copy(update={"created": datetime.now(UTC) - timedelta(days=31, hours=2)})
        gate.calibration = old
        return gate

    b.wrap = age


def packed(value: float, *shape: int) -> Packed:
    """An array that no reading of a file would let through."""
    good = Packed.of(torch.zeros(shape))
    return good.model_copy(update={"data": Packed.model_construct(**_raw(value, shape)).data})


def _raw(value: float, shape: tuple[int, ...]) -> dict[str, Any]:
    import base64

    body = torch.full(shape, value).numpy().tobytes()
    return {"shape": shape, "data": base64.b64encode(body).decode()}


def broken_probe(b: Bench) -> None:
    probe = Probe(classes=("safe", "weapon"), layers=(Packed.of(torch.zeros(2, 97)),))
    probe = probe.model_copy(update={"layers": (packed(math.nan, 2, 97),)})
    b.threshold(scorer="probe")
    b.set(content=probe)


def broken_domain(b: Bench) -> None:
    kind = Kind.of(torch.randn(40, TEXTURES))
    b.set(kinds={"renders": kind.model_copy(update={"mean": packed(math.nan, TEXTURES), "limit": 1e6})})


def elsewhere(b: Bench) -> None:
    kind = Kind.of(torch.randn(40, TEXTURES))
    b.set(kinds={"renders": kind.model_copy(update={"limit": 1e-9})})


def broken_reader(b: Bench) -> None:
    probe = Probe(classes=("person", "nobody"), layers=(Packed.of(torch.zeros(2, 97)),))
    probe = probe.model_copy(update={"layers": (packed(math.nan, 2, 97),)})
    attribute = Attribute(probe=probe, confusion=((1, 0), (0, 1)), drift_at=0.0, drift_rate=0.1)
    b.set(reader=Reader(attributes={"presence": attribute}, source="test"))


def picture(pixels: Any) -> Callable[[Bench], None]:
    return lambda b: setattr(b.base, "broken", pixels)


FAULTS: dict[str, Callable[[Bench], None]] = {
    "NaN image embedding": images(lambda x: torch.full((len(x), 16), math.nan)),
    "infinite image embedding": images(lambda x: torch.full((len(x), 16), math.inf)),
    "negative infinite image embedding": images(lambda x: torch.full((len(x), 16), -math.inf)),
    "zero image embedding": images(lambda x: torch.zeros(len(x), 16)),
    "one NaN in one view": images(
        lambda x: torch.ones(len(x), 16).index_fill_(0, torch.tensor([3]), math.nan)
    ),
    "empty image embedding": images(lambda x: torch.zeros(0, 16)),
    "image embedding of another width": images(lambda x: torch.ones(len(x), 9)),
    "too few views": images(lambda x: torch.ones(len(x) - 1, 16)),
    "image embedding without numbers": images(lambda x: None),
    "exception in the image tower": images(raises(RuntimeError("boom"))),
    "out of memory": images(raises(MemoryError())),
    "out of memory on the device": images(raises(torch.cuda.OutOfMemoryError("no memory"))),
    "timeout": images(raises(TimeoutError("slow"))),
    "disk error": images(raises(OSError("input/output error"))),
    "NaN text embedding": texts(lambda x: torch.full((len(x), 16), math.nan)),
    "empty text embedding": texts(lambda x: torch.zeros(0, 16)),
    "text embedding of another width": texts(lambda x: torch.ones(len(x), 9)),
    "exception in the text tower": texts(raises(KeyError("token"))),
    "damaged judge": damaged_weights,
    "calibration of another judge": lambda b: b.set(fingerprint="0" * 64),
    "calibration of another policy": lambda b: b.set(policy_digest="0" * 64),
    "edited policy": edited,
    "stale calibration": lambda b: b.set(created=datetime.now(UTC) - timedelta(days=32)),
    "calibration from the future": lambda b: b.set(created=datetime.now(UTC) + timedelta(days=400)),
    "calibration stale while open": stale_while_open,
    "thin calibration": lambda b: b.threshold(n_safe=3),
    "no picture threshold of a category": lambda b: b.set(image={}),
    "no prompt threshold of a category": lambda b: b.set(prompt={}),
    "NaN threshold": lambda b: b.threshold(value=math.nan),
    "NaN in the probe": broken_probe,
    "NaN in the domain": broken_domain,
    "NaN in the reader": broken_reader,
    "picture out of domain": elsewhere,
    "swapped pixels after the verdict": says(swap_after),
    "no answer": says(lambda gate, drafts: None),
    "no verdicts": says(lambda gate, drafts: []),
    "true for a verdict": says(lambda gate, drafts: [True] * len(drafts)),
    "verdicts of other pictures": says(
        lambda gate, drafts: [replace(v, pixel_digest="0" * 64) for v in gate.check(drafts)]
    ),
    "verdict without findings": says(
        lambda gate, drafts: [replace(v, findings=()) for v in gate.check(drafts)]
    ),
    "integrity not checked": says(without("L0 integrity")),
    "prompt not checked": says(without("L1 prompt")),
    "picture not checked": says(without("L2 image")),
    "allowed with a NaN score": says(unfinished(math.nan)),
    "allowed with an infinite score": says(unfinished(math.inf)),
    "blank picture": picture(np.full((SIDE, SIDE, 3), 90, np.uint8)),
    "noise": picture(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)),
    "empty picture": picture(np.zeros((0, SIDE, 3), np.uint8)),
    "grey picture": picture(np.zeros((SIDE, SIDE), np.uint8)),
    "floating pixels": picture(np.zeros((SIDE, SIDE, 3), np.float32)),
    "NaN pixels": picture(np.full((SIDE, SIDE, 3), math.nan)),
    "no pixels": picture("pixels"),
    "forbidden prompt": lambda b: setattr(b, "prompt", "a person with a knife"),
}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PemKey:
    return PemKey.load_folder(keygen(tmp_path_factory.mktemp("keys") / "keys"))


@pytest.fixture
def bench(
    policy: Policy,
    judge_folder: Path,
    calibrated: Callable[..., Calibration],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Bench:
    encoder = Encoder.open(judge_folder)
    return Bench(policy, encoder, calibrated(), World(), judge_folder, monkeypatch, tmp_path)


def signatures(bench: Bench, key: PemKey) -> int:
    """How many signatures were made when an image was asked for."""
    made: list[object] = []

    def counted(*arguments: Any, **more: Any) -> bytes:
        made.append(arguments)
        return sign(*arguments, **more)

    bench.patch.setattr("castmark.studio.signing.sign", counted)
    try:
        checker = bench.wrap(Gate(bench.policy, bench.encoder, bench.record))
        studio = Studio(base=bench.base, checker=checker, wardrobe=FakeWardrobe(), key=key)
        takes = list(studio.shoot_all([Shot(bench.prompt, seed=seed) for seed in range(2)]))
    except CastmarkError:
        return len(made)
    assert sum(isinstance(take, SignedImage) for take in takes) == len(made)
    return len(made)


def test_without_a_fault_the_image_is_signed(bench: Bench, key: PemKey) -> None:
    assert signatures(bench, key) == 2


def test_there_are_enough_kinds() -> None:
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_never_signed(bench: Bench, key: PemKey, kind: str) -> None:
    FAULTS[kind](bench)
    assert signatures(bench, key) == 0
