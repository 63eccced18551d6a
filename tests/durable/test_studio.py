"""The studio draws the mark before the check, declares it, and registers what it signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from durable_samples import Pixels, decoded, drawing, encoded, screenshot
from engine_fakes import FakeBase, FakeChecker, FakeWardrobe

from castmark.runs.replay import replay
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.take import Draft, Failure, SignedImage
from castmark_provenance.durable.errors import RegistryError
from castmark_provenance.durable.layer import DurableLayer
from castmark_provenance.durable.portable import export_to, import_from
from castmark_provenance.durable.recovery import recover
from castmark_provenance.durable.registry import Registry
from castmark_provenance.durable.watermark import read
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


@dataclass
class IllustratedBase(FakeBase):
    """Draws an illustration that depends on the seed."""

    default_size: tuple[int, int] = (256, 256)

    def resolve(self, shot: Shot) -> ResolvedShot:
        return replace(super().resolve(shot), width=256, height=256)

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        return [replace(d, pixels=drawing(d.resolved.seed)) for d in super().draw(shots)]


def studio(key: PemKey, durable: DurableLayer | None, checker: FakeChecker | None = None) -> Studio:
    return Studio(
        base=IllustratedBase(),
        checker=checker or FakeChecker(),
        wardrobe=FakeWardrobe(),
        key=key,
        durable=durable,
    )


def shoot(key: PemKey, durable: DurableLayer | None, **options: object) -> SignedImage:
    return studio(key, durable).shoot(Shot("mira at the beach", seed=3, name="beach", **options))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_what_is_signed_carries_the_mark_and_is_found_again(key: PemKey, kind: str, tmp_path: Path) -> None:
    layer = DurableLayer.open()
    take = shoot(key, layer, format=kind)
    mark = read(decoded(take.data))
    assert mark is not None
    assert mark.identifier == layer.identifier(take.key)
    report = verify(take.data, trust=key.anchors, require=["watermark", "fingerprint"])
    assert report.state is State.TRUSTED, report.verdict
    found = recover(encoded(screenshot(decoded(take.data))), trust=key.anchors)
    assert found is not None
    assert found.entry.title == "beach"
    assert found.claim == take.claim
    export_to(layer.registry, tmp_path / "registry.jsonl")
    with Registry.open(tmp_path / "elsewhere.sqlite") as elsewhere:
        assert import_from(elsewhere, tmp_path / "registry.jsonl") == (1, 1)


def test_the_check_sees_the_marked_pixels(key: PemKey) -> None:
    seen: list[Pixels] = []
    checker = FakeChecker(on_check=lambda drafts: seen.extend(draft.pixels for draft in drafts))
    take = studio(key, DurableLayer.open(), checker).shoot(Shot("mira", seed=3))
    np.testing.assert_array_equal(seen[0], decoded(take.data))
    assert not np.array_equal(seen[0], drawing(3))


def test_the_same_shot_is_marked_the_same(key: PemKey) -> None:
    first, second = (shoot(key, DurableLayer.open()) for _ in range(2))
    np.testing.assert_array_equal(decoded(first.data), decoded(second.data))
    assert len(DurableLayer.open().registry) == 2


def test_without_the_layer_nothing_is_drawn_or_kept(key: PemKey, home: Path) -> None:
    take = shoot(key, None)
    np.testing.assert_array_equal(decoded(take.data), drawing(3))
    assert not (home / "registry").exists()


def test_what_cannot_be_registered_is_not_handed_out(key: PemKey, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = DurableLayer.open()

    def full(*_: object) -> None:
        raise RegistryError("the disk is full")

    monkeypatch.setattr(layer.registry, "add", full)
    (take,) = studio(key, layer).shoot_all([Shot("mira", seed=3)])
    assert isinstance(take, Failure)
    assert "the disk is full" in take.explain()


def test_a_replay_draws_the_recorded_mark_and_registers_nothing(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = studio(key, DurableLayer.open())
    maker.disclose_prompt = True
    path = maker.shoot(Shot("mira at the beach", seed=3)).save(tmp_path / "images")
    monkeypatch.setattr("castmark.runs.replay.verify", lambda data: verify(data, trust=key.anchors))
    elsewhere = DurableLayer.open(tmp_path / "elsewhere.sqlite")
    for durable in (elsewhere, None):
        answer = replay(path, studio(key, durable), subject=lambda name: pytest.fail(name))
        assert answer.same, answer.explain()
    assert len(elsewhere.registry) == 0
