"""What a subject wears, and when its likeness decides."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from engine_fakes import FakeBase, FakeChecker, FakeWardrobe, digest, fake_studio, make_subject
from numpy.typing import NDArray

from castmark.errors import CheckError, InputError, RefusedError
from castmark.outputs.size import placed
from castmark.shot import REDRAW_STRIDE, Shot
from castmark.studio.checking import verdicts_on
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import Draft, Failure, Refusal, SignedImage
from castmark_adapters.errors import HostError
from castmark_adapters.lora import LoraWeights
from castmark_adapters.subject import LoraFile, Subject, sha256
from castmark_provenance.keys import PemKey


@dataclass
class Scorer:
    """Says what it is told to."""

    score: float
    threshold: float = 0.6
    digest: str = digest("identity encoder")

    @property
    def encoder(self) -> Self:
        return self

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
    assert take.claim.settings["identity_encoder"] == digest("identity encoder")


def test_a_locked_subject_scored_by_another_encoder_is_another_shot(key: PemKey, mira: Subject) -> None:
    """A run that goes on under another encoder, or threshold, must not keep what the first let pass."""
    shot = Shot("mira", subjects=[mira])

    def keyed(limit: float | None, name: str) -> str:
        worn = EngineWardrobe(None, Scorer(0.9, digest=digest(name)), identity_min=limit)  # type: ignore[arg-type]
        return fake_studio(key, wardrobe=worn).key(shot)

    assert len({keyed(0.5, "one"), keyed(0.5, "two"), keyed(0.6, "one")}) == 3
    assert keyed(None, "one") == keyed(None, "two")


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


def test_one_batch_holds_different_subjects_each_with_its_own_record(key: PemKey, tmp_path: Path) -> None:
    cast = [make_subject(tmp_path, name) for name in ("mira", "nora", "olga")]
    studio = fake_studio(key)
    shots = [Shot(f"{subject.name} at home", subjects=[subject], seed=5) for subject in cast]
    together = list(studio.shoot_all(shots))
    assert studio.base.batches == [2, 1]  # small batches have few shapes
    alone = [fake_studio(key).shoot(shot) for shot in shots]
    for subject, take, single in zip(cast, together, alone, strict=True):
        assert isinstance(take, SignedImage)
        assert take.verdict.pixel_digest == single.verdict.pixel_digest
        assert {i.sha256 for i in take.claim.ingredients} == {r.sha256 for r in subject.references}
        assert [f.name for f in take.verdict.findings if f.rung == "L3 subject"] == [
            f"identity of {subject.name}"
        ]
    assert together[0].claim.settings["mixed_subjects"] == 2


def test_subjects_with_other_numbers_of_references_are_drawn_apart(key: PemKey, tmp_path: Path) -> None:
    two = make_subject(tmp_path, "mira")
    one = Subject.from_images("nora", [two.file(two.references[0].name)])
    studio = fake_studio(key)
    assert all(t.ok for t in studio.shoot_all(Shot(s.name, subjects=[s]) for s in (two, one)))
    assert studio.base.batches == [1, 1]


@dataclass
class Improving(Scorer):
    """Recognises the subject from the third drawing on."""

    seen: int = 0

    def scores(self, pictures: list[NDArray[np.uint8]], subject: Subject) -> list[float]:
        self.seen += len(pictures)
        return [0.3 * self.seen] * len(pictures)


def test_a_locked_subject_is_drawn_again_and_every_refusal_told(key: PemKey, mira: Subject) -> None:
    told: list[Refusal] = []
    wardrobe = EngineWardrobe(None, Improving(0.0), identity_min=0.8)  # type: ignore[arg-type]
    take = fake_studio(key, wardrobe=wardrobe).shoot(
        Shot("mira", subjects=[mira], seed=4), redraws=3, on_refusal=told.append
    )
    assert [r.verdict.identity for r in told] == pytest.approx([0.3, 0.6])
    assert take.verdict.identity == pytest.approx(0.9)
    assert take.claim.seed == 4 + 2 * REDRAW_STRIDE
    finding = next(f for f in take.claim.safety.findings if f.rung == "L3 subject")
    assert (finding.score, finding.threshold, finding.binding) == (pytest.approx(0.9), 0.8, True)


def test_redraws_are_bounded_and_the_refusal_has_the_score(key: PemKey, mira: Subject) -> None:
    studio = fake_studio(key, wardrobe=wardrobe(0.4, 0.5))
    with pytest.raises(RefusedError, match=r"identity of mira scored 0\.400, threshold 0\.500"):
        studio.shoot(Shot("mira", subjects=[mira]), redraws=2)
    assert studio.base.batches == [1, 1, 1]
    with pytest.raises(InputError, match="the policy allows 3"):
        studio.shoot(Shot("mira", subjects=[mira]), redraws=4)


def test_two_cards_of_one_digest_are_both_scored(key: PemKey, mira: Subject) -> None:
    """Their files at hand may differ: the card alone says who it is."""
    bare = mira.model_copy().holding({})
    assert bare.digest == mira.digest and bare != mira
    drafts = [
        Draft(
            resolved=FakeBase().resolve(Shot("mira", subjects=[one])),
            pixels=np.zeros((32, 32, 3), np.uint8),
            settings={},
        )
        for one in (mira, bare)
    ]
    found = verdicts_on(drafts, FakeChecker(), wardrobe(0.1, 0.8), lambda d: d, FakeBase())
    assert [verdict.allowed for _, verdict in found] == [False, False]


@pytest.mark.parametrize(
    ("wanted", "box", "found"),
    [
        ((64, 64), (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 1.0)),
        ((64, 128), (0.25, 0.0, 0.75, 1.0), (0.0, 0.0, 1.0, 1.0)),
        ((64, 128), (0.0, 0.0, 0.2, 1.0), (0.0, 0.0, 0.0, 1.0)),
    ],
)
def test_a_place_is_where_it_is_after_cropping(wanted, box, found) -> None:
    assert placed(box, (32, 32), wanted, whole=False) == pytest.approx(found)


def test_a_place_is_where_it_is_on_a_larger_canvas() -> None:
    assert placed((0.0, 0.0, 0.5, 1.0), (32, 32), (128, 64), whole=True) == pytest.approx((0.25, 0, 0.5, 1))


def test_a_subject_whose_place_was_cropped_away_is_not_signed(key: PemKey, tmp_path: Path) -> None:
    mira, nora = make_subject(tmp_path, "mira"), make_subject(tmp_path, "nora")
    places = [(0.0, 0.0, 0.2, 1.0), (0.3, 0.0, 0.7, 1.0)]
    shot = Shot("mira and nora", subjects=[mira, nora], places=places)
    draft = Draft(resolved=FakeBase().resolve(shot), pixels=np.zeros((128, 64, 3), np.uint8), settings={})
    with pytest.raises(CheckError, match="nothing of the place of 'mira'"):
        verdicts_on([draft], FakeChecker(), FakeWardrobe(), lambda d: d, FakeBase())


def test_several_subjects_have_places_words_and_scores_of_their_own(key: PemKey, tmp_path: Path) -> None:
    mira, nora = make_subject(tmp_path, "mira"), make_subject(tmp_path, "nora")
    shot = Shot("mira and nora waving at the beach", subjects=[mira, nora])
    assert shot.boxes == ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
    assert shot.region_texts == ("a woman with red hair waving at the beach",) * 2
    boxed = Shot("mira, nora", subjects=[mira, nora], places=["right", (0.1, 0.2, 0.4, 0.9)])
    assert boxed.boxes == ((0.5, 0.0, 1.0, 1.0), (0.1, 0.2, 0.4, 0.9))
    for places in (["left"], ["left", (0.5, 0.0, 0.2, 1.0)]):
        with pytest.raises(ValueError, match="place"):
            Shot("mira and nora", subjects=[mira, nora], places=places)
    with pytest.raises(ValueError, match="two subjects of one name"):
        Shot("mira", subjects=[mira, mira])
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    resolved = FakeBase().resolve(shot)
    draft = Draft(resolved=resolved, pixels=pixels, settings={})
    seen: list[float] = []

    class Looking(FakeWardrobe):
        def identity(self, subject, drafts):  # type: ignore[override]
            seen.append(float(drafts[0].pixels.mean()))
            return super().identity(subject, drafts)

    ((_, verdict),) = verdicts_on([draft], FakeChecker(), Looking(), lambda d: d, FakeBase())
    assert seen == [0.0, 255.0]
    assert [f.name for f in verdict.findings if f.rung == "L3 subject"] == [
        "identity of mira",
        "identity of nora",
    ]
