"""Recognition: a subject's own columns, read off its references and told by the prior."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from base_trials import drawn
from PIL import Image
from prior_samples import (
    CAMERA,
    COLOR,
    COLUMNS,
    EYES,
    GLAZE,
    GOWN,
    HAT,
    HOLDS,
    HUE,
    JOB,
    KIND,
    LEGS,
    NAMED,
    NAN,
    SIDE,
    WIDTH,
    Words,
    X,
    prior_of,
    rows,
)
from prior_samples import (
    decided as told_by_prior,
)
from tiny_bases import write_reference

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark.bases.prior import OPEN, TOKENS, Column, text_encoder_of
from castmark.bases.recognised import RecognisingAdapter
from castmark.bases.recognition import Recognition, outputs_of, pixels_of, pooled
from castmark.bases.with_prior import WithPrior
from castmark.errors import BaseError
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark_adapters.errors import HostError
from castmark_adapters.regions import Region, Regions
from castmark_adapters.subject import Subject

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OWN = Recognition.own(COLUMNS)
SURELY = 8.0


def recognition() -> Recognition:
    """An untrained one, to which everything applies."""
    torch.manual_seed(1)
    made = Recognition(COLUMNS).eval()
    ends = np.cumsum([0, *(outputs_of(COLUMNS[i]) for i in OWN)])
    made.network.bias.data[ends[:-1]] = SURELY
    return made


def reading(**told: tuple[float, float]) -> torch.Tensor:
    """Outputs of one picture: of each column that applies a value or number, and how surely."""
    parts: list[torch.Tensor] = []
    for i in OWN:
        column, part = COLUMNS[i], torch.zeros(outputs_of(COLUMNS[i]))
        value, sure = told.get(column.name.replace(" ", "_"), (NAN, 1.0))
        part[0] = -SURELY if math.isnan(value) else SURELY
        if column.values:
            part[1 + int(0 if math.isnan(value) else value)] = SURELY * sure
        elif column.circle:
            turn = 2 * math.pi * value
            part[1:] = torch.tensor([math.cos(turn), math.sin(turn)]) * sure
        else:
            part[1:] = torch.tensor([value, -math.log(max(sure, 1e-3))])
        parts.append(part)
    return torch.cat(parts).nan_to_num()


def joined(patch: pytest.MonkeyPatch, *readings: torch.Tensor) -> torch.Tensor:
    made = recognition()
    patch.setattr(made.network, "forward", lambda _: torch.stack(readings))
    return made(torch.zeros(len(readings), 3, 256, 256))


def test_what_references_show_is_joined_by_how_surely_each_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    near = reading(kind=(1, 1), job=(1, 1), hat=(2, 1), legs=(0, 0.1), eyes=(0.5, 100), hue=(0.98, 1))
    far = reading(kind=(1, 1), job=(1, 1), hat=(1, 0.2), legs=(1, 1), eyes=(-0.5, 4), hue=(0.06, 1))
    told = joined(monkeypatch, near, far)
    assert told[[KIND, JOB, HAT, LEGS]].tolist() == [1, 1, 2, 1]
    assert abs(float(told[EYES]) - (100 * 0.5 - 4 * 0.5) / (104 - 1)) < 1e-4, "less the world's, once"
    assert abs(float(told[HUE]) - 0.02) < 1e-3
    own = torch.tensor([column.subject or column.name == "kind" for column in COLUMNS])
    assert told[~own].isnan().all(), "where it stands is no subject's own"
    assert joined(monkeypatch, reading(kind=(0, 1))).isnan().sum() == len(COLUMNS) - 1, "nothing else applies"


def test_what_a_picture_does_not_show_says_no_more_than_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    made, usual = recognition(), reading(kind=(1, 1), job=(0, 0.25), hat=(0, 0.25), eyes=(0, 3))
    made.rates.copy_(usual)
    made.rates[:1] = usual[:1] = SURELY
    sees = reading(kind=(1, 1), job=(1, 0.4), hat=(2, 0.4), eyes=(0.8, 12))
    monkeypatch.setattr(
        made.network, "forward", lambda images: torch.stack([sees, *[usual] * (len(images) - 1)])
    )
    alone, among = (made(torch.zeros(count, 3, 256, 256)) for count in (1, 5))
    assert alone[[JOB, HAT]].tolist() == [1, 2]
    torch.testing.assert_close(among, alone, equal_nan=True)


def test_how_things_are_in_the_world_is_counted_by_kind() -> None:
    made = recognition()
    truth = torch.full((60, len(OWN)), NAN)
    truth[:, OWN.index(KIND)] = (torch.arange(60) % 3 > 0).float()
    women = truth[:, OWN.index(KIND)] == 1
    truth[women, OWN.index(JOB)] = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(10)
    truth[women, OWN.index(EYES)] = torch.tensor([0.1, 0.3]).repeat(20)
    made.count(truth)
    parts = dict(zip(OWN, made.rates.split([outputs_of(COLUMNS[i]) for i in OWN]), strict=True))
    np.testing.assert_allclose(parts[JOB][1:].exp(), [31 / 43, 11 / 43, 1 / 43], rtol=1e-4)
    np.testing.assert_allclose(parts[KIND][1:].exp(), [21 / 62, 41 / 62], rtol=1e-4)
    np.testing.assert_allclose(parts[EYES][1:], [0.2, math.log(0.1**2 * 40 / 39)], rtol=1e-3)
    assert parts[KIND][0] > 3 > parts[JOB][0] and parts[HUE][0] < -3


def test_of_another_kind_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (
        Column("kind", ("mug", "woman")),
        Column("woman.eyes", subject=True),
        Column("mug.hue", circle=True, subject=True),
    )
    made = Recognition(columns).eval()
    outputs = torch.tensor([[SURELY, 0, SURELY, SURELY, 0.3, -2, SURELY, 1.0, 0]])
    monkeypatch.setattr(made.network, "forward", lambda _: outputs)
    told = made(torch.zeros(1, 3, 256, 256))
    assert told[0] == 1 and told[1] == pytest.approx(0.3) and told[2].isnan()


def test_it_learns_what_is_shown_and_how_sure_to_be() -> None:
    made = recognition()
    truth = torch.tensor([[NAN] * len(COLUMNS)])[:, OWN]
    truth[0, [OWN.index(KIND), OWN.index(HAT), OWN.index(EYES), OWN.index(HUE)]] = torch.tensor(
        [1, 2, 0.4, 0.7]
    )
    right = reading(kind=(1, 1), hat=(2, 1), eyes=(0.4, 50), hue=(0.7, 1))[None]
    loss = float(made.loss(right, truth))
    for wrong in (
        reading(kind=(0, 1), hat=(2, 1), eyes=(0.4, 50), hue=(0.7, 1)),
        reading(kind=(1, 1), hat=(1, 1), eyes=(0.4, 50), hue=(0.7, 1)),
        reading(kind=(1, 1), hat=(2, 1), eyes=(-0.4, 50), hue=(0.7, 1)),
        reading(kind=(1, 1), hat=(2, 1), eyes=(0.4, 50), hue=(0.2, 1)),
        reading(kind=(1, 1), hat=(2, 1), eyes=(0.4, 50), hue=(0.7, 1), job=(1, 1)),
    ):
        assert float(made.loss(wrong[None], truth)) > loss + 0.1
    off = [
        float(made.loss(reading(kind=(1, 1), hat=(2, 1), eyes=(-0.4, sure), hue=(0.7, 1))[None], truth))
        for sure in (50, 1)
    ]
    assert off[0] > off[1], "who is wrong had better be unsure"


def test_what_is_known_of_a_subject_is_told_in_place_of_rows() -> None:
    prior, text = prior_of(kind=Words), torch.zeros(2, 5, WIDTH)
    known = torch.full((1, len(COLUMNS)), NAN)
    known[0, [KIND, JOB, HAT, LEGS, EYES]] = torch.tensor([1, 1, 2, 1, 0.25])
    told = told_by_prior(prior, text, [3, 4], shown=True, known=known)
    free = told_by_prior(prior, text, [3, 4])
    for row in told:
        assert row[[KIND, JOB, HAT, EYES]].tolist() == [1, 1, 2, 0.25] and row[HUE].isnan()
    assert not told[:, X].isnan().any() and not torch.equal(told[0, X], told[1, X])
    assert not torch.equal(free[0].nan_to_num(9), free[1].nan_to_num(9))
    each = torch.cat([known, known])
    each[1, EYES] = -0.75
    assert told_by_prior(prior, text, [3, 4], shown=True, known=each)[:, EYES].tolist() == [0.25, -0.75]


def test_words_that_surely_say_otherwise_are_left_to_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, text = prior_of(kind=Words), torch.zeros(1, 5, WIDTH)
    known = torch.full((1, len(COLUMNS)), NAN)
    known[0, [KIND, HAT, EYES]] = torch.tensor([1, 2, 0.25])
    said = torch.full((1, len(NAMED)), OPEN)
    for value, sure, told in ((1, 0.99, NAN), (1, 0.6, 2.0), (2, 0.99, NAN)):
        said[0, NAMED.index(COLUMNS[HAT])] = value
        likely = torch.full((1, len(NAMED)), sure)
        monkeypatch.setattr(prior.reading, "said", lambda _, likely=likely: (said, likely))
        found = told_by_prior(prior, text, [3], shown=True, known=known)[0, HAT]
        torch.testing.assert_close(found, torch.tensor(told), equal_nan=True)


def test_words_that_agree_with_what_is_known_bring_what_they_name_into_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prior, text = prior_of(kind=Words), torch.zeros(1, 5, WIDTH)
    known = torch.full((1, len(COLUMNS)), NAN)
    known[0, [KIND, LEGS]] = 1.0
    said = torch.full((1, len(NAMED)), OPEN)
    said[0, NAMED.index(COLUMNS[LEGS])] = 1
    monkeypatch.setattr(prior.reading, "said", lambda _: (said, torch.ones(said.shape)))
    for seed in range(40):
        told = told_by_prior(prior, text, [seed], shown=True, known=known)[0]
        assert told[CAMERA] == 0 and told[LEGS].isnan(), "words say it, and the whole figure is seen"


def test_what_cannot_go_with_what_words_say_is_no_more_told() -> None:
    known = np.full(len(COLUMNS), NAN, np.float32)
    known[[KIND, JOB, HAT, COLOR, EYES]] = 1, 0, 1, 0, 0.5
    said = np.full(len(COLUMNS), OPEN)
    assert rows().decide(said, 3, known=known)[[JOB, HAT, COLOR, EYES]].tolist() == [0, 1, 0, 0.5]
    said[JOB] = 1
    nurse = rows().decide(said, 3, known=known)
    assert nurse[[HAT, COLOR, EYES]].tolist() == [2, 1, 0.5], "her cap and its colour go with no nurse"
    said[:] = OPEN
    said[HAT] = 0
    bare = rows().decide(said, 3, known=known)
    assert np.isnan(bare[COLOR]) and bare[EYES] == 0.5, "no hat has no colour"
    known[[HAT, COLOR]] = 0, 1
    assert np.isnan(rows().decide(np.full(len(COLUMNS), OPEN), 3, known=known)[COLOR])


@pytest.mark.parametrize("seed", range(6))
def test_what_words_say_of_a_subject_brings_along_what_must_be_and_no_more(seed: int) -> None:
    nurse = np.full(len(COLUMNS), NAN, np.float32)
    nurse[[KIND, JOB, HAT, COLOR, LEGS, GOWN, EYES, HUE]] = 1, 1, 2, 1, 0, 0, 0.5, 0.25

    def told(subject: np.ndarray, **words: int) -> np.ndarray:
        said = np.full(len(COLUMNS), OPEN)
        for name, value in words.items():
            said[globals()[name]] = value
        return rows().decide(said, seed, known=subject)

    def but(found: np.ndarray, *at: int) -> np.ndarray:
        return np.delete(found, [CAMERA, HOLDS, X, SIDE, *at])

    full = told(nurse, CAMERA=0)
    np.testing.assert_array_equal(but(full), but(nurse))
    np.testing.assert_array_equal(but(told(nurse, CAMERA=0, HAT=1), HAT), but(nurse, HAT))
    gown = told(nurse, CAMERA=0, GOWN=1)
    assert np.isnan(gown[LEGS]) and gown[JOB] == 1, "the rest is as it was, whatever else they wear in gowns"
    chef = told(nurse, CAMERA=0, JOB=2)
    assert chef[[HAT, COLOR, LEGS, EYES]].tolist() == [3, 1, 0, 0.5]
    bare = nurse.copy()
    bare[[JOB, HAT, COLOR]] = 0, 0, NAN
    assert told(bare, CAMERA=0, HAT=1)[COLOR] in (0, 1), "a cap has some colour"
    assert (
        told(bare, CAMERA=0, HAT=1)[COLOR]
        == rows().decide(np.where(np.arange(len(COLUMNS)) == HAT, 1, OPEN), 77, known=bare)[COLOR]
    ), "the same in every picture"
    mug = np.full(len(COLUMNS), NAN, np.float32)
    mug[[KIND, GLAZE]] = 0, 1
    np.testing.assert_array_equal(but(told(mug, JOB=2, GOWN=1)), but(mug)), "no mug has a job"
    both = nurse.copy()
    both[[GOWN, LEGS]] = 1, 0
    assert np.isnan(told(both, CAMERA=0)[LEGS]), "what is recognised apart is made to agree"


def test_whom_words_surely_call_another_kind_of_thing_nothing_is_known_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prior, text = prior_of(kind=Words), torch.zeros(1, 5, WIDTH)
    known = torch.full((1, len(COLUMNS)), NAN)
    known[0, [KIND, GLAZE]] = torch.tensor([0.0, 1.0])
    said = torch.full((1, len(NAMED)), OPEN)
    said[0, NAMED.index(COLUMNS[KIND])] = 1
    for sure, own in ((0.99, NAN), (0.5, 1.0)):
        likely = torch.full(said.shape, sure)
        monkeypatch.setattr(prior.reading, "said", lambda _, likely=likely: (said, likely))
        told = told_by_prior(prior, text, [3], shown=True, known=known)[0]
        torch.testing.assert_close(told[GLAZE], torch.tensor(own), equal_nan=True)
        assert told[[JOB, HAT, EYES]].isnan().all() and not told[X].isnan()


def test_readings_count_by_what_they_add(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of close-ups that say no more than the world, if not quite the same, do not add up."""
    rate = torch.tensor([[0.58, 0.19, 0.23]]).log()
    vague, sees = torch.tensor([0.33, 0.33, 0.34]).log(), torch.tensor([0.7, 0.15, 0.15]).log()
    assert pooled(torch.stack([sees, *[vague] * 5]), rate).argmax() == 0
    weak = torch.tensor([0.1, 0.8, 0.1]).log()
    assert pooled(torch.stack([weak]), rate).argmax() == 1
    assert pooled(torch.stack([weak, weak, sees]), rate).argmax() == 1


def test_a_near_camera_shows_no_legs_of_known_subjects() -> None:
    known = np.full(len(COLUMNS), NAN, np.float32)
    known[[KIND, LEGS]] = 1, 1
    said = np.full(len(COLUMNS), OPEN)
    found = np.stack([rows().decide(said, seed, known=known) for seed in range(200)])
    full = found[:, 1] == 0
    assert (found[full, LEGS] == 1).all() and np.isnan(found[~full, LEGS]).all() and 0 < full.sum() < 200


def test_subjects_of_one_picture_share_its_scene_and_nothing_else() -> None:
    said = np.full(len(COLUMNS), OPEN)
    said[KIND] = 1
    first = np.stack([rows().decide(said, seed) for seed in range(200)])
    second = np.stack([rows().decide(said, seed, scene=first[seed], number=1) for seed in range(200)])
    np.testing.assert_array_equal(first[:, [CAMERA, X]], second[:, [CAMERA, X]])
    np.testing.assert_array_equal(
        np.isnan(second[:, LEGS]), (second[:, CAMERA] == 1) | (second[:, GOWN] == 1)
    )
    assert (first[:, HOLDS] != second[:, HOLDS]).sum() > 5
    assert (first[:, EYES] != second[:, EYES]).all()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = recognition()
    made.save(tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    again = Recognition.load(tmp_path)
    assert again.all == COLUMNS
    torch.testing.assert_close(
        again.network(pixels_of(picture)[None]), made.network(pixels_of(picture)[None]), atol=2e-2, rtol=0
    )
    assert again.recognise([picture]).shape == (len(COLUMNS),)


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small base with a prior and what recognises beside it."""
    folder = tmp_path / "base"
    shutil.copytree(folder_of("sd-turbo"), folder)
    prior_of(text_encoder_of(folder)).save(folder / "prior")
    recognition().save(folder / "recognition")
    return folder


@pytest.fixture
def base(folder: Path) -> Base:
    return open_base(folder)


def told_to(base: Base, patch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """What a base's prior is let know, picture by picture, from now on."""
    assert isinstance(base.model, WithPrior)  # pyright: ignore[reportAttributeAccessIssue]
    prior, told = base.model.prior, list[torch.Tensor | None]()  # pyright: ignore[reportAttributeAccessIssue]
    decide = prior.whole

    def spied(*given: object, known: torch.Tensor | None, **more: object) -> object:
        told.append(known)
        return decide(*given, known=known, **more)  # pyright: ignore[reportArgumentType]

    patch.setattr(prior, "whole", spied)
    return told


def test_who_wears_a_subject_tells_what_is_recognised_of_it(
    base: Base, mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert isinstance(adapter, RecognisingAdapter)
    read: list[int] = []
    made = base.model.recognition  # pyright: ignore[reportAttributeAccessIssue]
    recognise = made.recognise
    monkeypatch.setattr(made, "recognise", lambda images: read.append(len(images)) or recognise(images))
    told, before = told_to(base, monkeypatch), drawn(base, 1)
    known = recognise(mira.images())
    with adapter.of(mira).worn(base.host):
        drawn(base, 1, 2)
    with adapter.of_each([mira, mira]).worn(base.host):
        drawn(base, 1, 2)
    assert read == [len(mira.references)], "references are recognised once"
    assert told[0] is None and len(told) == 5
    for each in told[1:]:
        assert each is not None
        torch.testing.assert_close(each, known[None], equal_nan=True)
    after = drawn(base, 1)
    assert told[-1] is None and np.array_equal(before[0].pixels, after[0].pixels)
    assert adapter.of(mira).ingredients[: len(mira.references)] == adapter.of_each([mira]).ingredients[:2]
    loose = adapter.of_images(mira.images())
    torch.testing.assert_close(loose.known, known[None], equal_nan=True)


def test_several_subjects_of_a_picture_are_each_known_in_the_middle_of_one_scene(
    base: Base, mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert adapter is not None
    images = (Image.new("RGB", (64, 64), color) for color in ("red", "blue"))
    other = Subject.from_images("bo", [_png(image) for image in images], phrase="a blue thing")
    told, rows = told_to(base, monkeypatch), list[torch.Tensor]()
    prior = base.model.prior  # pyright: ignore[reportAttributeAccessIssue]
    tell = prior.telling.forward
    monkeypatch.setattr(prior.telling, "forward", lambda told: rows.append(told) or tell(told))
    parts = zip((mira, other), ("a mug", "a woman"), ((0, 0, 0.5, 1), (0.5, 0, 1, 1)), strict=True)
    regions = [Region([adapter.of(subject)], text, box) for subject, text, box in parts]
    before = drawn(base, 1)[0].pixels
    told.clear(), rows.clear()
    with Regions(regions).worn(base.host):
        in_regions = drawn(base, *range(1, 9))
    known = [adapter.of(subject).known for subject in (mira, other)]  # pyright: ignore[reportAttributeAccessIssue]
    assert not torch.equal(*(each.nan_to_num(9) for each in known))
    for found, wanted in zip(told, [known[0]] * 8 + [known[1]] * 8, strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True)
    first, second = (torch.cat(rows[i : i + 8]) for i in (0, 8))
    scene = [i for i, column in enumerate(COLUMNS) if column.name in ("camera", "x")]
    torch.testing.assert_close(first[:, scene], second[:, scene])
    assert (first[:, X] == 0).all() and len({float(camera) for camera in first[:, CAMERA]}) == 2
    for each in (first, second):
        assert torch.equal(each[:, LEGS].isnan(), each[:, CAMERA] == 1), "legs are told where they are seen"
    assert not np.array_equal(in_regions[0].pixels, before)
    assert np.array_equal(drawn(base, 1)[0].pixels, before)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_of_an_image_to_start_from_only_the_subject_is_told(
    base: Base, mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert isinstance(adapter, RecognisingAdapter)
    rows: list[torch.Tensor] = []
    telling = base.model.prior.telling  # pyright: ignore[reportAttributeAccessIssue]
    tell = telling.forward
    monkeypatch.setattr(telling, "forward", lambda told: rows.append(told) or tell(told))
    picture = Image.new("RGB", base.default_size, (200, 40, 40))
    picture.save(tmp_path / "start.png")
    shot = base.resolve(Shot("a mug", start=StartImage.of(tmp_path / "start.png", 1.0)))
    with adapter.of(mira).worn(base.host):
        base.draw_from([shot], [picture])
    (told,) = rows
    known = adapter.of(mira).known
    hidden = [i for i, column in enumerate(COLUMNS) if not column.subject or column.whole]
    assert told[0, hidden].isnan().all()
    torch.testing.assert_close(told[0, [EYES, HUE]], known[0, [EYES, HUE]], equal_nan=True)
    assert not known[0, HUE].isnan()


def test_of_an_image_in_regions_each_reads_its_own_words_whoever_is_known(
    base: Base, mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert adapter is not None
    picture = Image.new("RGB", base.default_size, (200, 40, 40))
    picture.save(tmp_path / "start.png")
    shot = base.resolve(Shot("a mug", start=StartImage.of(tmp_path / "start.png", 1.0)))
    read: list[torch.Tensor] = []
    unet = base.host.pipeline.unet
    ask = type(unet).forward

    def spied(*given: object, encoder_hidden_states: torch.Tensor, **more: object) -> object:
        read.append(encoder_hidden_states)
        return ask(*given, encoder_hidden_states=encoder_hidden_states, **more)

    monkeypatch.setattr(type(unet), "forward", spied)
    left, right = (0, 0, 0.5, 1), (0.5, 0, 1, 1)
    parts = [Region([adapter.of(mira)], "a mug", left), Region([], "a woman", right)]
    with Regions(parts).worn(base.host):
        base.draw_from([shot], [picture])
        with pytest.raises(HostError, match="tokens, where the words of 2 regions"):
            base.host.pipeline(prompt_embeds=read[1], num_inference_steps=1)
    words = [base.model.encode_text(text)["prompt_embeds"] for text in ("a mug", "a woman")]  # pyright: ignore[reportAttributeAccessIssue]
    count = words[0].shape[1]
    assert [each.shape[1] for each in read[:2]] == [count + TOKENS, count]
    for found, wanted in zip(read, words, strict=False):
        torch.testing.assert_close(found[:, :count], wanted)


def test_it_is_told_of_its_own_base_of_as_many_pictures_and_at_any_strength(
    base: Base, folder: Path, mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert isinstance(adapter, RecognisingAdapter)
    with (
        pytest.raises(HostError, match="another base recognised"),
        adapter.of(mira).worn(open_base(folder).host),
    ):
        pytest.fail("worn")
    with adapter.of_each([mira] * 3).worn(base.host), pytest.raises(BaseError, match="2 pictures of 3"):
        drawn(base, 1, 2)
    told = told_to(base, monkeypatch)
    with adapter.of(mira, 0.0).worn(base.host):
        drawn(base, 1)
    assert told[0] is not None


def test_without_recognition_references_are_left_to_the_adapter(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "recognition")
    base = open_base(folder)
    adapter = base.open_reference(write_reference(tmp_path / "adapter", base.host.pipeline))
    assert adapter is not None and not isinstance(adapter, RecognisingAdapter)


def test_what_recognises_is_part_of_what_a_base_is(folder: Path, base: Base) -> None:
    assert {"recognition/config.json", "recognition/model.safetensors"} <= base.files.keys()
    other = recognition()
    other.network.bias.data += 1
    other.save(folder / "recognition")
    assert open_base(folder).digest != base.digest


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _infinite(folder: Path) -> None:
    made = recognition()
    made.network.bias.data[0] = NAN
    made.save(folder)


def _of_others(folder: Path) -> None:
    Recognition(COLUMNS[:-1]).save(folder)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_cut, "not a recognition that can be used"),
        (_infinite, "not finite"),
        (_of_others, "other things than the prior tells; run: castmark train recognition"),
    ],
)
def test_what_recognises_and_is_damaged_or_of_another_base_is_refused(
    folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder / "recognition")
    with pytest.raises(BaseError, match=told):
        open_base(folder)
