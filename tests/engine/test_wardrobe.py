"""What a subject wears, and when its likeness decides."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from engine_fakes import digest, fake_studio
from numpy.typing import NDArray

from castmark.errors import CheckError
from castmark.shot import Shot
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import Failure, Refusal
from castmark_adapters.errors import HostError
from castmark_adapters.lora import LoraWeights
from castmark_adapters.subject import LoraFile, Subject, sha256
from castmark_provenance.keys import PemKey


@dataclass
class Scorer:
    """Says what it is told to."""

    score: float
    threshold: float = 0.6

    def scores(self, pictures: list[NDArray[np.uint8]], subject: Subject) -> list[float]:
        return [self.score] * len(pictures)


def wardrobe(score: float, identity_min: float | None = None) -> Any:
    return EngineWardrobe(None, Scorer(score), identity_min=identity_min)  # type: ignore[arg-type]


def with_lora(subject: Subject, base: str) -> Subject:
    layers = {"attn.to_q": (torch.zeros(2, 4), torch.zeros(4, 2))}
    data = LoraWeights(2, layers).to_bytes()
    card = LoraFile(name="lora.safetensors", sha256=sha256(data), base=base, rank=2, steps=1)
    return subject.model_copy(update={"lora": card}).holding({**subject.files, "lora.safetensors": data})


def test_likeness_is_reported_beside_its_calibrated_threshold(key: PemKey, mira: Subject) -> None:
    take = fake_studio(key, wardrobe=wardrobe(0.4)).shoot(Shot("mira", subjects=[mira]))
    finding = take.verdict.findings[-1]
    assert (finding.score, finding.threshold, finding.allowed, finding.binding) == (0.4, 0.6, False, False)
    assert take.claim.safety.findings[-1].name == "identity of subject 1"


@pytest.mark.parametrize(("score", "signed"), [(0.49, False), (0.5, True), (float("nan"), False)])
def test_a_policy_that_locks_the_subject_decides_by_it(
    score: float, signed: bool, key: PemKey, mira: Subject
) -> None:
    (take,) = fake_studio(key, wardrobe=wardrobe(score, 0.5)).shoot_all([Shot("mira", subjects=[mira])])
    assert take.ok is signed
    assert signed or isinstance(take, Refusal)


def test_a_locked_subject_that_cannot_be_scored_is_not_signed(key: PemKey, mira: Subject) -> None:
    studio = fake_studio(key, wardrobe=EngineWardrobe(None, None, identity_min=0.5))
    with pytest.raises(CheckError, match="locks the subject and 'mira' cannot be scored"):
        studio.shoot(Shot("mira", subjects=[mira]))
    assert studio.shoot(Shot("a mug")).ok


def test_a_score_that_is_not_a_number_is_never_signed_even_unlocked(key: PemKey, mira: Subject) -> None:
    (take,) = fake_studio(key, wardrobe=wardrobe(float("nan"))).shoot_all([Shot("mira", subjects=[mira])])
    assert isinstance(take, Failure)


def test_a_lora_of_another_base_is_refused_and_one_is_read_once(key: PemKey, mira: Subject) -> None:
    studio = fake_studio(key, wardrobe=EngineWardrobe())
    other = with_lora(mira, digest("another base"))
    with pytest.raises(HostError, match="learn the subject again on this base"):
        studio.shoot(Shot("mira", subjects=[other]))
    first, second = (studio.wardrobe.adapters(other)[0] for _ in range(2))
    assert first is second
    assert [item.role for item in first.ingredients] == ["lora"]
