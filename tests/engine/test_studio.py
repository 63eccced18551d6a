import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from engine_fakes import FakeBase, FakeChecker, FakeWardrobe, fake_studio, pixels
from PIL import Image

from castmark.errors import BaseError, CheckError, RefusedError, SigningError
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft, Failure, Refusal, SignedImage, Verdict
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


def test_a_shot_becomes_a_file_that_verifies(key: PemKey, mira: Subject, tmp_path) -> None:
    studio = fake_studio(key)
    take = studio.shoot(Shot("mira at the beach", subjects=[mira], seed=7, name="beach"))
    path = take.save(tmp_path)
    report = verify(path, trust=key.anchors)
    assert report.state is State.TRUSTED
    assert report.claim is not None
    assert report.claim.seed == 7
    assert report.claim.prompt.text is None, "the prompt stays private unless disclosed"
    assert {i.sha256 for i in report.claim.ingredients} == {r.sha256 for r in mira.references}
    drawn = pixels("a woman with red hair at the beach", 7, 32, 32, 2, "mira")
    assert np.array_equal(np.asarray(Image.open(path)), drawn), (
        "drawn with the phrase said and the adapter worn"
    )
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_the_prompt_is_disclosed_on_request(key: PemKey) -> None:
    take = fake_studio(key, disclose_prompt=True).shoot(Shot("a red mug"))
    assert take.claim.prompt.text == "a red mug"
    assert b"a red mug" in take.data


def test_takes_come_in_order_and_share_batches(key: PemKey, mira: Subject) -> None:
    base = FakeBase()
    shots = [Shot(f"mira {i}", subjects=[mira], seed=i) for i in range(6)] + [
        Shot("a mug"),
        Shot("a cup", width=64),
    ]
    takes = list(fake_studio(key, base=base, batch_size=4).shoot_all(shots))
    assert [take.shot for take in takes] == shots
    assert base.batches == [4, 2, 1, 1], "batches left over have a power of two"
    assert base.host.worn == []
    first = takes[0]
    assert isinstance(first, SignedImage)
    assert first.claim.settings["batch"] == 4


def test_takes_are_streamed(key: PemKey) -> None:
    base = FakeBase()
    asked: list[int] = []

    def shots():
        for i in range(1000):
            asked.append(i)
            yield Shot("a mug", seed=i)

    next(fake_studio(key, base=base).shoot_all(shots()))
    ahead = len(asked)
    assert ahead <= 100, "shots are read ahead, but not without end"
    assert len(base.batches) <= 4, "and only a few batches are drawn before somebody asks for a take"


def test_a_forbidden_prompt_is_never_drawn(key: PemKey) -> None:
    base = FakeBase()
    takes = list(fake_studio(key, base=base).shoot_all([Shot("a knife"), Shot("a mug")]))
    assert isinstance(takes[0], Refusal)
    assert takes[0].verdict.reasons == ("L1 prompt: weapon scored 9.000, threshold 1.000",)
    assert isinstance(takes[1], SignedImage)
    assert base.batches == [1]


def test_a_subject_phrase_cannot_smuggle_in_what_a_prompt_may_not(key: PemKey, mira: Subject) -> None:
    armed = mira.model_copy(update={"phrase": "a woman with a knife"}).holding(mira.files)
    base = FakeBase()
    (take,) = fake_studio(key, base=base).shoot_all([Shot("mira at home", subjects=[armed])])
    assert isinstance(take, Refusal)
    assert base.batches == []


def test_a_refused_image_has_no_pixels_and_shoot_raises(key: PemKey) -> None:
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({3})))
    with pytest.raises(RefusedError, match=r"L2 image: weapon scored 7\.500") as caught:
        studio.shoot(Shot("a mug", seed=3))
    assert isinstance(caught.value.refusal, Refusal)
    assert not hasattr(caught.value.refusal, "data")


def _edited(verdict: Verdict, **finding: object) -> Verdict:
    return replace(verdict, findings=(*verdict.findings[:-1], replace(verdict.findings[-1], **finding)))


BROKEN = {
    "other pixels": lambda v: replace(v, pixel_digest="0" * 64),
    "no pixels": lambda v: replace(v, pixel_digest=""),
    "nothing found": lambda v: replace(v, findings=()),
    "image not checked": lambda v: replace(v, findings=v.findings[:-1]),
    "nan called allowed": lambda v: _edited(v, score=float("nan"), allowed=True),
    "infinite called allowed": lambda v: _edited(v, score=float("-inf"), allowed=True),
    "none": lambda v: None,
    "true": lambda v: True,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_verdict_is_never_signed(how: str, key: PemKey) -> None:
    class Broken(FakeChecker):
        def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
            return [BROKEN[how](verdict) for verdict in super().check(drafts)]

    takes = list(fake_studio(key, checker=Broken()).shoot_all([Shot("a mug"), Shot("a cup")]))
    assert not any(isinstance(take, SignedImage) for take in takes)
    assert all(take.explain() for take in takes)


@pytest.mark.parametrize("error", [CheckError("no calibration"), ValueError("nan"), MemoryError()])
def test_an_exception_of_the_checker_is_a_failure(error: Exception, key: PemKey) -> None:
    def raise_it(_: object) -> None:
        raise error

    (take,) = fake_studio(key, checker=FakeChecker(on_check=raise_it)).shoot_all([Shot("a mug")])
    assert isinstance(take, Failure)
    assert isinstance(take.error, CheckError)


def test_too_few_verdicts_sign_nothing(key: PemKey) -> None:
    class Short(FakeChecker):
        def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
            return super().check(drafts)[1:]

    takes = list(fake_studio(key, checker=Short()).shoot_all([Shot("a mug"), Shot("a cup")]))
    assert [type(take) for take in takes] == [Failure, Failure]


def test_pixels_changed_after_the_check_are_not_signed(key: PemKey) -> None:
    class Swapping(FakeChecker):
        def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
            verdicts = super().check(drafts)
            drafts[0].pixels[0, 0, 0] ^= 1
            return verdicts

    (take,) = fake_studio(key, checker=Swapping()).shoot_all([Shot("a mug")])
    assert isinstance(take, Failure)
    assert "not for these pixels" in str(take.error)


def test_one_bad_shot_does_not_take_its_neighbours_along(key: PemKey) -> None:
    def fail_on_two(shots: Sequence[ResolvedShot]) -> None:
        if any(shot.seed == 2 for shot in shots):
            raise RuntimeError("out of memory")

    base = FakeBase(on_draw=fail_on_two)
    takes = list(fake_studio(key, base=base).shoot_all([Shot("a mug", seed=i) for i in range(4)]))
    assert [type(take) for take in takes] == [SignedImage, SignedImage, Failure, SignedImage]
    assert base.batches == [1, 1, 1]
    with pytest.raises(BaseError, match=r"drawing failed \(RuntimeError: out of memory\)"):
        fake_studio(key, base=base).shoot(Shot("a mug", seed=2))


def test_a_size_the_base_cannot_draw_is_that_shots_failure(key: PemKey) -> None:
    takes = list(fake_studio(key).shoot_all([Shot("a mug", width=401), Shot("a mug")]))
    assert isinstance(takes[0], Failure)
    assert "401x32 px is more than 8 times" in str(takes[0].error)
    assert isinstance(takes[1], SignedImage)


def test_identity_is_reported_and_binds_only_when_locked(key: PemKey, mira: Subject) -> None:
    shot = Shot("mira", subjects=[mira])
    loose = fake_studio(key, wardrobe=FakeWardrobe(score=0.2)).shoot(shot)
    assert loose.verdict.identity == 0.2
    with pytest.raises(RefusedError, match="L3 subject"):
        fake_studio(key, wardrobe=FakeWardrobe(score=0.2, locked=True)).shoot(shot)


def test_a_key_that_cannot_sign_is_a_failure(key: PemKey) -> None:
    class Dead(FakeBase):
        pass

    take = next(fake_studio(replace(key, chain="no certificate"), base=Dead()).shoot_all([Shot("a mug")]))
    assert isinstance(take, Failure)
    assert isinstance(take.error, SigningError) or type(take.error).__module__.startswith(
        "castmark_provenance"
    )


def test_the_key_says_what_decides_the_pixels(key: PemKey, mira: Subject) -> None:
    shot = Shot("mira", subjects=[mira], seed=1)
    studio = fake_studio(key)
    keys = {
        studio.key(shot),
        studio.key(shot.model_copy(update={"seed": 2})),
        studio.key(Shot("mira", seed=1)),
        fake_studio(key, base=FakeBase(digest="f" * 64)).key(shot),
        fake_studio(key, checker=FakeChecker(policy_digest="f" * 64)).key(shot),
        fake_studio(key, wardrobe=FakeWardrobe(digest="f" * 64)).key(shot),
        fake_studio(key, steps=9).key(shot),
    }
    assert len(keys) == 7
    assert studio.key(shot.model_copy(update={"name": "other"})) == studio.key(shot)


def test_the_same_shot_twice_is_the_same_pixels_and_key(key: PemKey) -> None:
    first, second = (fake_studio(key).shoot(Shot("a mug", seed=5)) for _ in range(2))
    assert first.key == second.key
    assert first.salt != second.salt
    images = [np.asarray(Image.open(io.BytesIO(take.data))) for take in (first, second)]
    assert np.array_equal(*images)
