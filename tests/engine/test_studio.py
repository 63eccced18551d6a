import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_fakes import FakeBase, FakeChecker, FakeWardrobe, digest, fake_studio, pixels
from PIL import Image

from castmark.errors import BaseError, CheckError, InputError, RefusedError, SigningError
from castmark.outputs.openraster import Layer
from castmark.outputs.size import contain, cover
from castmark.shot import ResolvedShot, Shot
from castmark.studio import drawing
from castmark.studio.claims import safety_record
from castmark.studio.start import StartImage
from castmark.studio.starting import set_in
from castmark.take import Draft, Failure, Refusal, SignedImage, Verdict
from castmark_adapters.subject import Subject
from castmark_provenance.durable.layer import DurableLayer
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


def test_an_unnamed_file_is_called_by_what_no_guess_can_be_tested_on(key: PemKey) -> None:
    first, second = (fake_studio(key).shoot(Shot("a mug", seed=5)) for _ in range(2))
    assert first.key[:12] not in first.file_name
    assert first.file_name == f"{first.claim.title}.png" != second.file_name
    assert fake_studio(key).shoot(Shot("a mug", name="mug")).file_name == "mug.png"


@pytest.mark.parametrize(
    "names", [("mug", "mug-blue-launch"), ("mira", "mira2"), ("i", "of"), ("identity", "subject")]
)
def test_subjects_are_counted_and_not_named_whatever_they_are_called(names: tuple[str, str]) -> None:
    checker = FakeChecker()
    found = [
        checker._finding("L3 subject", f"{what} of {who}", 0.1)
        for who in names
        for what in ("hair", "identity")
    ]
    record = safety_record(checker._verdict(digest("x"), found), names)
    assert [finding.name for finding in record.findings] == [
        f"{what} of subject {number}" for number in (1, 2) for what in ("hair", "identity")
    ]


@pytest.mark.parametrize("steps", [-3, 0, 101, True, 2.5])
def test_steps_that_no_shot_may_ask_for_are_none_for_a_studio_either(steps: int, key: PemKey) -> None:
    with pytest.raises(InputError, match="denoising steps: give a whole number from 1 to 100"):
        fake_studio(key, steps=steps)


@pytest.mark.parametrize(
    "asked", [{"prompt": " \n"}, {"prompt": "a mug", "seed": True}, {"prompt": "a mug", "steps": True}]
)
def test_a_blank_prompt_and_a_truth_for_a_number_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"blank|no number"):
        Shot(**asked)  # type: ignore[arg-type]


def test_of_several_subjects_the_least_alike_is_told() -> None:
    checker = FakeChecker()
    found = [
        checker._finding("L3 subject", f"identity of {who}", s) for who, s in (("mira", 0.9), ("nora", 0.2))
    ]
    assert checker._verdict(digest("x"), found).identity == 0.2
    assert checker._verdict(digest("x"), []).identity is None


def test_each_image_of_a_batch_names_the_start_of_its_own(key: PemKey, tmp_path: Path) -> None:
    base = FakeBase()
    studio = fake_studio(key, base=base)
    drafts = [studio.shoot(Shot("a mug", seed=seed, name=f"mug-{seed}")).save(tmp_path) for seed in (1, 2)]
    starts = [StartImage.of(path, 0.5) for path in drafts]
    takes = list(studio.shoot_all(Shot("a cup", start=start) for start in starts))
    assert base.batches == [1, 1, 2]
    for take, start in zip(takes, starts, strict=True):
        assert isinstance(take, SignedImage)
        assert take.claim.settings["start"] == start.sha256[:16]


def slope(width: int, height: int) -> Image.Image:
    """A picture that shows where it was stretched, cropped or moved."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = columns * 255 / (width - 1), rows * 255 / (height - 1)
    return Image.fromarray(np.dstack([red, green, np.full_like(red, 99)]).astype(np.uint8))


def far_off(picture: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(picture, float) - np.asarray(other.convert("RGB"), float)).max())


@pytest.mark.parametrize("size", [(128, 32), (32, 128), (96, 96)])
def test_a_start_image_lies_where_the_picture_is_taken_from(size: tuple[int, int]) -> None:
    picture = slope(*size)
    assert far_off(picture, cover(set_in(picture, (64, 64), size, whole=False), size)) < 25
    inner = contain(set_in(picture, (64, 64), size, whole=True).convert("RGBA"), size)
    left, top, right, bottom = inner.getchannel("A").getbbox() or pytest.fail("nothing is there")
    box = (left + 2, top + 2, right - 2, bottom - 2)
    assert far_off(picture.crop(box), inner.crop(box)) < 25


def test_a_start_image_of_another_aspect_is_neither_stretched_nor_left_with_gaps() -> None:
    wide = np.asarray(set_in(slope(128, 32), (64, 64), (128, 32), whole=False))
    assert np.array_equal(wide[0], wide[24]) and np.array_equal(wide[63], wide[39]), "the edges go on"
    square = slope(96, 96)
    assert far_off(set_in(square, (64, 64), (128, 32), whole=False), square.resize((64, 64))) < 25
    same = square.resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(set_in(square, (64, 64), (192, 192), whole=False), same)


def test_a_wide_start_image_is_not_squashed(key: PemKey, tmp_path: Path) -> None:
    class Keeping(FakeBase):
        def draw_from(self, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
            return [
                replace(draft, pixels=np.array(image))
                for draft, image in zip(self.draw(shots), images, strict=True)
            ]

    class Sloping(FakeBase):
        def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
            return [replace(draft, pixels=np.asarray(slope(64, 16))) for draft in super().draw(shots)]

    start = fake_studio(key, base=Sloping()).shoot(Shot("a mug", width=64, height=16)).save(tmp_path)
    studio = fake_studio(key, base=Keeping(sizes={(32, 32)}))
    take = studio.shoot(Shot("a cup", width=64, height=16, start=StartImage.of(start, 0.5)))
    assert take.claim.settings["drawn_size"] == "32x32"
    assert far_off(slope(64, 16), Image.open(io.BytesIO(take.data))) < 40


def test_what_cannot_be_finished_has_no_neighbour_drawn_again(
    key: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(draft: Draft, size: tuple[int, int]) -> Draft:
        if draft.resolved.seed == 2:
            raise BaseError("the subject cannot be cut out")
        return draft

    monkeypatch.setattr(drawing, "finished", finish)
    base = FakeBase()
    takes = list(fake_studio(key, base=base).shoot_all([Shot("a mug", seed=i) for i in range(4)]))
    assert [type(take) for take in takes] == [SignedImage, SignedImage, Failure, SignedImage]
    assert "cannot be cut out" in takes[2].explain()
    assert base.batches == [4]


def test_nothing_but_pixels_is_taken_from_a_base(key: PemKey) -> None:
    class Layered(FakeBase):
        def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
            hidden = Layer("x", Image.new("RGBA", (32, 32), (255, 0, 0, 255)))
            return [replace(draft, layers=(hidden,)) for draft in super().draw(shots)]

    (take,) = fake_studio(key, base=Layered()).shoot_all([Shot("a mug")])
    assert isinstance(take, Failure)
    assert "answered with more than pixels" in take.explain()


def test_a_picture_too_small_for_its_watermark_is_not_drawn_first(key: PemKey, tmp_path: Path) -> None:
    base = FakeBase()
    layer = DurableLayer.open(tmp_path / "registry.sqlite")
    (take,) = fake_studio(key, base=base, durable=layer).shoot_all([Shot("a mug")])
    assert isinstance(take, Failure)
    assert "32x32 px are too few for a watermark; ask for at least 128x128" in take.explain()
    assert base.batches == []
