"""Every family through the studio: references, batch, start image, check, sign, verify, replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_fakes import FakeChecker
from tiny_bases import SIDE, TINY, state, write_flux_reference, write_reference

from castmark.bases.base import Base
from castmark.errors import BaseError, InputError
from castmark.jobs import read_job
from castmark.runs.replay import replay
from castmark.runs.variations import bridge, recast
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark.studio.studio import Studio
from castmark.studio.wardrobe import EngineWardrobe
from castmark_adapters import pack
from castmark_adapters.errors import SubjectError
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_family = pytest.mark.parametrize("name", TINY)
WORDS_ONLY = ("sana-sprint", "z-image-turbo")


@pytest.fixture(autouse=True)
def home(key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(key_folder.parent))


def open_studio(base: Base, key: PemKey, reference: Path | None = None) -> Studio:
    wardrobe = EngineWardrobe(base.open_reference(reference), otherwise=base.keeps_subjects)
    return Studio(base=base, checker=FakeChecker(), wardrobe=wardrobe, key=key, batch_size=2)


@every_family
def test_a_batch_is_checked_signed_verified_and_replayed(
    name: str, base_of: Callable[[str], Base], key: PemKey, tmp_path: Path
) -> None:
    (tmp_path / "jobs.csv").write_text("name,prompt,seed\none,a red mug,1\ntwo,a blue lamp,2\n")
    studio = open_studio(base_of(name), key)
    summary = studio.run(read_job(tmp_path / "jobs.csv"), tmp_path / "run")
    assert summary.ok
    file = tmp_path / "run/images/two.png"
    report = verify(file, trust=key.anchors)
    assert report.state is State.TRUSTED
    assert report.claim is not None
    base = report.claim.base
    assert (base.name, base.licence, base.non_commercial) == (f"tiny {name}", "Apache-2.0", False)
    assert base.sha256 == studio.base.digest
    assert "model_index.json" in base.files
    assert any(file.endswith(".safetensors") for file in base.files)
    found = replay(file, studio, subject={}.__getitem__)
    assert found.same, found.explain()


@every_family
def test_a_signed_draft_is_carried_on_through_pixels(
    name: str, base_of: Callable[[str], Base], key: PemKey, tmp_path: Path
) -> None:
    """A draft of one base is where another begins: near at a low strength, far at a high one."""
    first = open_studio(base_of("sd-turbo"), key).shoot(Shot("a red mug", seed=3, name="draft"))
    path = first.save(tmp_path)
    studio = open_studio(base_of(name), key)
    drawn = [
        studio.shoot(Shot("a red mug", seed=4, start=StartImage.of(path, strength)))
        for strength in (0.25, 1.0)
    ]
    assert [i.role for i in drawn[0].claim.ingredients] == ["start"]
    assert drawn[0].claim.settings["strength"] == 0.25
    assert drawn[0].claim.settings["start"] == drawn[0].claim.ingredients[0].sha256[:16]
    assert drawn[0].verdict.pixel_digest != drawn[1].verdict.pixel_digest


def references_for(name: str, base: Base, folder: Path) -> Path | None:
    """A reference adapter of the family's own kind; None where the base reads references by itself."""
    if name == "flux2-klein":
        return None
    write = write_flux_reference if name == "flux-schnell" else write_reference
    return write(folder / "reference", base.host.pipeline)


@pytest.mark.parametrize("name", [name for name in TINY if name not in WORDS_ONLY])
def test_references_change_the_picture_and_come_off(
    name: str, base_of: Callable[[str], Base], key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    base = base_of(name)
    before = state(base.host.model.denoiser)
    processors = dict(getattr(base.host.model.denoiser, "attn_processors", {}))
    studio = open_studio(base, key, references_for(name, base, tmp_path))
    takes = list(studio.shoot_all([Shot("mira", subjects=[mira], seed=i) for i in (1, 2)]))
    plain = [studio.shoot(Shot("a red thing", seed=i)) for i in (1, 2)]
    assert all(take.ok for take in takes), [take.explain() for take in takes if not take.ok]
    for take, bare in zip(takes, plain, strict=True):
        assert take.verdict.pixel_digest != bare.verdict.pixel_digest
        assert {r.sha256 for r in mira.references} <= {i.sha256 for i in take.claim.ingredients}
    other = Subject.from_images(
        "other", [mira.file(r.name) for r in reversed(mira.references)], phrase="a cup"
    )
    mixed = list(studio.shoot_all([Shot("x", subjects=[mira], seed=1), Shot("x", subjects=[other], seed=1)]))
    assert all(take.ok for take in mixed), [take.explain() for take in mixed if not take.ok]
    list(studio.shoot_all([Shot("x")]))
    assert base.host.call_arguments == {}
    assert state(base.host.model.denoiser) == before
    assert dict(getattr(base.host.model.denoiser, "attn_processors", {})) == processors


@pytest.mark.parametrize("name", WORDS_ONLY)
def test_where_references_cannot_be_shown_it_says_what_works(
    name: str, base_of: Callable[[str], Base], key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    base = base_of(name)
    with pytest.raises(BaseError, match=r"no reference adapters for .*learn the subject on it"):
        base.open_reference(tmp_path)
    studio = open_studio(base, key)
    with pytest.raises(SubjectError, match=r"'mira': tiny .* learn the subject on it"):
        studio.shoot(Shot("mira", subjects=[mira]))
    learned = studio.learn(mira, steps=1)
    assert [i.role for i in studio.shoot(Shot("mira", subjects=[learned])).claim.ingredients] == ["lora"]


@pytest.mark.parametrize("name", ["sd-turbo", "sdxl-turbo", "flux-schnell"])
def test_plain_load_ip_adapter_draws_the_same(
    name: str, base_of: Callable[[str], Base], mira: Subject, tmp_path: Path
) -> None:
    base = base_of(name)
    folder = references_for(name, base, tmp_path)
    assert folder is not None
    adapter = base.open_reference(folder)
    assert isinstance(adapter, ReferenceAdapter)
    shot = base.resolve(Shot("a red thing", seed=1))
    bare = base.draw([shot])[0].pixels
    with adapter.of(mira).worn(base.host):
        ours = base.draw([shot])[0].pixels
    assert not np.array_equal(ours, bare)
    pipeline = base.host.pipeline
    images = adapter.tokens(mira.images())
    if name == "flux-schnell":
        pipeline.load_ip_adapter(
            folder, weight_name="ip_adapter.safetensors", image_encoder_pretrained_model_name_or_path=None
        )
    else:
        pipeline.load_ip_adapter(
            folder, subfolder="", weight_name="ip_adapter.safetensors", image_encoder_folder=None
        )
    try:
        base.host.call_arguments["ip_adapter_image_embeds"] = [images.to(torch.float32)]
        assert np.array_equal(base.draw([shot])[0].pixels, ours)
    finally:
        base.host.call_arguments.clear()
        pipeline.unload_ip_adapter()
        pipeline.register_modules(image_encoder=None, feature_extractor=None)
    assert np.array_equal(base.draw([shot])[0].pixels, bare)


def test_sizes_are_the_nearest_native_ones(base_of: Callable[[str], Base]) -> None:
    base = base_of("sd-turbo")
    assert base.native_size(1920, 1080) == (SIDE, SIDE), "the folder states one"
    with pytest.raises(BaseError, match="cannot draw 96 x 64 px; it draws 64 x 64"):
        base.resolve(Shot("a mug", width=96, height=64))


def test_steps_that_passed_no_check_are_not_drawn(base_of: Callable[[str], Base]) -> None:
    with pytest.raises(InputError, match="-3 denoising steps"):
        base_of("sd-turbo").resolve(Shot("a mug").model_copy(update={"steps": -3}))


def test_drafts_of_one_base_are_finished_by_another(
    base_of: Callable[[str], Base], key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    """Through pixels, in the other's own steps, wearing the LoRA that was learned on it."""
    draft, final = open_studio(base_of("sd-turbo"), key), open_studio(base_of("flux-schnell"), key)
    (tmp_path / "jobs.csv").write_text("name,prompt,subject,seed,steps\none,mira at home,mira,1,1\n")
    drafted = draft.learn(mira, steps=1)
    assert draft.run(read_job(tmp_path / "jobs.csv"), tmp_path / "drafts", [drafted]).ok
    job = bridge(tmp_path / "drafts", ["one"], strength=0.5, another_base=True)
    library = tmp_path / "library"
    assert recast([drafted], library, final.base.digest) == [drafted]
    assert not final.run(job, tmp_path / "refused", [drafted]).ok, "its LoRA is of another base"
    finished = final.learn(mira, steps=1)
    pack.put(library, finished)
    subjects = recast([drafted], library, final.base.digest)
    assert [subject.lora for subject in subjects] == [finished.lora]
    assert final.run(job, tmp_path / "final", subjects).ok
    claim = verify(tmp_path / "final/images/one.png", trust=key.anchors).claim
    assert claim is not None
    assert (claim.base.name, claim.steps) == ("tiny flux-schnell", 2)
    assert {i.role for i in claim.ingredients} == {"start", "lora"}
