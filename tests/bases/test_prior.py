"""The prior: reads what words say, decides the rest by the seed, and tells the denoiser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from base_trials import changed, drawn
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from prior_samples import (
    CAMERA,
    COLOR,
    COLUMNS,
    EYES,
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
    spoken,
    world,
)
from prior_samples import (
    decided as told_by_prior,
)

from castmark.bases import find_base, hub, open_base
from castmark.bases.prior import (
    OPEN,
    TOKENS,
    Prior,
    Reading,
    Telling,
    read_columns,
    text_encoder_of,
)
from castmark.bases.rows import Rows, packed, unpacked
from castmark.bases.with_prior import WithPrior
from castmark.errors import BaseError
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark_adapters.lora import LoraAdapter

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def decided(said: dict[int, int], seeds: range = range(400)) -> NDArray[np.float32]:
    read = np.full(len(COLUMNS), OPEN)
    for column, value in said.items():
        read[column] = value
    made = rows()
    return np.stack([made.decide(read, seed) for seed in seeds])


def share(values: NDArray[np.float32], value: float) -> float:
    return float((values == value).mean())


def test_a_table_holds_what_was_put_in() -> None:
    again = unpacked(packed(world(), COLUMNS), COLUMNS)
    np.testing.assert_array_equal(np.isnan(again), np.isnan(world()))
    np.testing.assert_allclose(np.nan_to_num(again), np.nan_to_num(world()), atol=0.01)


def test_what_is_decided_follows_from_the_seed_and_numbers_are_drawn_anew() -> None:
    women = decided({KIND: 1}, range(600))
    np.testing.assert_array_equal(women, decided({KIND: 1}, range(600)))
    assert women[:, EYES].min() < -0.9 and women[:, EYES].max() > 0.9 and abs(women[:, EYES].mean()) < 0.1
    assert women[:, HUE].min() < 0.05 and women[:, HUE].max() > 0.95
    assert np.isnan(women[women[:, CAMERA] == 1, LEGS]).all(), "a near camera shows none"
    assert not np.isnan(women[(women[:, CAMERA] == 0) & (women[:, GOWN] == 0), LEGS]).any()
    mugs = decided({KIND: 0})
    assert np.isnan(mugs[:, [JOB, HAT, COLOR, LEGS, EYES, HUE]]).all()
    anything = decided({})
    assert 0.5 < share(anything[:, KIND], 1) < 0.85
    np.testing.assert_array_equal(np.isnan(anything[:, JOB]), anything[:, KIND] == 0)
    assert (decided({JOB: 2})[:, KIND] == 1).all(), "no mug has a job"


def test_rows_go_with_what_words_say_and_what_they_would_have_said_is_mostly_not_there() -> None:
    nurses = decided({KIND: 1, JOB: 1})
    assert share(nurses[:, HAT], 2) > 0.95 and share(nurses[:, COLOR], 1) > 0.95
    women = decided({KIND: 1})
    assert share(women[:, JOB], 0) > 0.9, "a job would have been said"
    assert share(women[:, HOLDS], 1) < 0.12, "a pen would have been said"
    assert 0.4 < share(women[(women[:, CAMERA] == 0) & (women[:, GOWN] == 0), LEGS], 1) < 0.6
    capped = decided({KIND: 1, HAT: 1})
    assert set(np.unique(capped[:, COLOR])) == {0, 1}, "the colour of a cap is decided where one is said"
    assert share(capped[:, JOB], 0) == 1
    assert share(decided({KIND: 1, LEGS: 0})[:, CAMERA], 0) == 1, "legs are seen"
    assert (decided({KIND: 1, SIDE: 1})[:, X] >= 0).all()
    odd = decided({KIND: 1, JOB: 1, HAT: 1}, range(100))
    assert (odd[:, KIND] == 1).all(), "what the world never has is drawn from what is nearest"


def test_what_words_say_more_or_less_leaves_the_rest_as_it_was() -> None:
    """One seed decides alike for prompts that are alike."""
    plain, hatted = decided({KIND: 1}), decided({KIND: 1, COLOR: 1})
    np.testing.assert_array_equal(plain[:, [EYES, HUE]], hatted[:, [EYES, HUE]])
    assert (plain[:, X] == hatted[:, X]).mean() > 0.99 and (plain[:, HOLDS] == hatted[:, HOLDS]).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows, spoken: (rows[:0], spoken[:0]),
        lambda rows, spoken: (rows[:, 1:], spoken),
        lambda rows, spoken: (np.where(rows == 2, 9, rows).astype(np.uint8), spoken),
        lambda rows, spoken: (rows, spoken[:, 1:]),
    ],
)
def test_a_table_that_is_not_the_columns_is_refused(
    spoil: Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> None:
    with pytest.raises(ValueError, match="its table"):
        Rows(COLUMNS, *spoil(packed(world(), COLUMNS), spoken()))


def test_tokens_tell_what_is_told_and_nothing_else() -> None:
    torch.manual_seed(0)
    telling = Telling(COLUMNS, WIDTH)
    nothing = torch.full((1, len(COLUMNS)), NAN)
    untold = telling(nothing)
    torch.testing.assert_close(untold, telling.tell.bias.view(1, TOKENS, WIDTH))
    for number, values in ((KIND, (0, 1)), (HAT, (1, 2)), (EYES, (-0.5, 0.5)), (HUE, (0.2, 0.7))):
        tokens = [untold]
        for value in values:
            told = nothing.clone()
            told[0, number] = value
            tokens.append(telling(told))
        apart = [float((a - b).detach().norm()) for i, a in enumerate(tokens) for b in tokens[:i]]
        assert min(apart) > 0.5
    several, one, other = (nothing.clone() for _ in range(3))
    several[0, [HAT, EYES]] = torch.tensor([1.0, 0.3])
    one[0, HAT], other[0, EYES] = 1.0, 0.3
    torch.testing.assert_close(telling(several) - untold, telling(one) + telling(other) - 2 * untold)
    nearly, around, heard = (nothing.clone() for _ in range(3))
    nearly[0, HUE], around[0, HUE], heard[0, SIDE] = 0.999, 0.001, 1.0
    torch.testing.assert_close(telling(nearly), telling(around), atol=0.05, rtol=0)
    torch.testing.assert_close(telling(heard), untold)
    torch.testing.assert_close(telling(several[:, :SIDE]), telling(several))


def test_it_learns_to_read_what_texts_say() -> None:
    torch.manual_seed(1)
    few = [column for column in NAMED if len(column.values) == 2][:3]
    reading = Reading(few, WIDTH)
    generator = torch.Generator().manual_seed(1)
    meanings = torch.randn(9, WIDTH, generator=generator)  # of each column's values, or of other words

    def texts(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        truth = torch.randint(2, (count, 3), generator=generator)
        said = torch.rand(count, 3, generator=generator) < 0.5
        words = torch.where(said, truth + torch.tensor([0, 2, 4]), torch.tensor(7))
        order = torch.rand(count, 3, generator=generator).argsort(1)
        return meanings[words.gather(1, order)], truth.float(), said

    optimiser = torch.optim.Adam(reading.parameters(), lr=1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        reading.loss(*texts(64)).backward()
        optimiser.step()
    text, truth, said = texts(500)
    assert (reading.said(text)[0] == torch.where(said, truth.long(), OPEN)).float().mean() > 0.98


def test_what_is_said_is_left_to_the_words_and_what_is_worn_to_the_wearer() -> None:
    prior, text = prior_of(kind=Words), torch.zeros(1, 5, WIDTH)
    text[0, 0, NAMED.index(COLUMNS[KIND])] = 2
    text[0, 0, NAMED.index(COLUMNS[HOLDS])] = 1
    told = told_by_prior(prior, text, [3])[0]
    assert told[[KIND, HOLDS]].isnan().all() and not told[[CAMERA, JOB, EYES, X]].isnan().any()
    worn = told_by_prior(prior, text, [3], shown=True)[0]
    own = torch.tensor([column.subject for column in COLUMNS])
    assert worn[own].isnan().all()
    torch.testing.assert_close(worn[~own], told[~own], equal_nan=True)
    together = told_by_prior(prior, text.expand(2, -1, -1), [5, 3])
    torch.testing.assert_close(together[1], told, equal_nan=True)


def test_a_prior_is_read_as_it_was_written(tmp_path: Path) -> None:
    prior = prior_of()
    prior.save(tmp_path)
    again, text = Prior.load(tmp_path), torch.randn(2, 5, WIDTH)
    assert again.columns == COLUMNS and read_columns(tmp_path) == (COLUMNS, WIDTH, "0" * 64)
    told = told_by_prior(prior, text, [1, 2])
    torch.testing.assert_close(told_by_prior(again, text, [1, 2]), told, atol=5e-3, rtol=0, equal_nan=True)
    torch.testing.assert_close(prior(text, told), again(text, told), atol=5e-3, rtol=0)


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small base with a prior beside it."""
    folder = tmp_path / "base"
    shutil.copytree(folder_of("sd-turbo"), folder)
    prior_of(text_encoder_of(folder)).save(folder / "prior")
    return folder


def lengths_read(base: object, patch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that a base's denoiser reads, call by call, from now on."""
    read: list[int] = []
    unet = base.pipeline.unet  # pyright: ignore[reportAttributeAccessIssue]
    forward = unet.forward

    def spied(*arguments: object, **more: torch.Tensor) -> object:
        read.append(more["encoder_hidden_states"].shape[1])
        return forward(*arguments, **more)

    patch.setattr(unet, "forward", spied)
    return read


def test_a_base_with_a_prior_draws_with_it_and_plain_diffusers_without(
    folder: Path, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(folder)
    assert isinstance(base.model, WithPrior)
    read = lengths_read(base, monkeypatch)
    together, alone = drawn(base, 1, 2), drawn(base, 2)[0]
    assert np.abs(together[1].pixels.astype(int) - alone.pixels).max() <= 2
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    length = pipeline.text_encoder.config.max_position_embeddings
    assert set(read) == {length + TOKENS}
    plain = open_base(folder_of("sd-turbo"))
    assert not isinstance(plain.model, WithPrior)
    assert not np.array_equal(drawn(plain, 2)[0].pixels, alone.pixels), "the prior is told"
    (pictures, _) = pipeline("a red mug", num_inference_steps=1, output_type="np", return_dict=False)
    assert len(pictures) == 1


def test_an_image_to_start_from_decides_what_words_leave_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(folder)
    read = lengths_read(base, monkeypatch)
    picture = Image.new("RGB", base.default_size, (200, 40, 40))
    path = folder / "start.png"
    picture.save(path)
    shot = base.resolve(Shot("a mug", start=StartImage.of(path, 1.0)))
    base.draw_from([shot], [picture])
    assert set(read) == {base.pipeline.text_encoder.config.max_position_embeddings}


def test_what_is_a_subjects_own_is_left_to_what_is_worn_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(folder)
    worn: list[bool] = []
    assert isinstance(base.model, WithPrior)
    besides = base.model.prior.besides

    def spied(whole: torch.Tensor, said: torch.Tensor, *, shown: bool) -> torch.Tensor:
        worn.append(shown)
        return besides(whole, said, shown=shown)

    monkeypatch.setattr(base.model.prior, "besides", spied)
    drawn(base, 1)
    lora = LoraAdapter(changed(base).to_bytes(), title="a LoRA", base=base.digest)
    with lora.worn(base.host):
        drawn(base, 1)
    drawn(base, 1)
    assert worn == [False, True, False]


def test_the_prior_is_part_of_what_a_base_is(folder: Path) -> None:
    before = open_base(folder)
    assert {"prior/config.json", "prior/model.safetensors"} <= before.files.keys()
    other = prior_of(text_encoder_of(folder))
    other.telling.tell.bias.data += 1
    other.save(folder / "prior")
    assert open_base(folder).digest != before.digest
    assert find_base(folder).files() == open_base(folder).files


def test_of_a_hubs_base_the_prior_is_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[list[str]] = []

    def snapshot(repo: str, revision: str | None, wanted: list[str], *_: object, **__: object) -> Path:
        fetched.append(wanted)
        return folder

    monkeypatch.setattr(hub, "download", snapshot)
    assert isinstance(open_base("someone/somebase").model, WithPrior)
    assert "prior/model.safetensors" in fetched[-1]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _unread(path: Path) -> None:
    Telling(COLUMNS, WIDTH).save(path.parent)


def _of_another(path: Path) -> None:
    prior_of("1" * 64).save(path.parent)


def _infinite(path: Path) -> None:
    prior = prior_of(text_encoder_of(path.parents[1]))
    prior.telling.tell.bias.data[0] = NAN
    prior.save(path.parent)


def _listed(path: Path) -> None:
    (path.parent / "config.json").write_text(json.dumps({"width": 32, "text_encoder": "", "columns": ["a"]}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_cut, "not a prior that can be used"),
        (_unread, "run `castmark train prior`"),
        (_of_another, "another text encoder than this base's; run: castmark train prior"),
        (_infinite, "not finite"),
        (_listed, "not a prior that can be used"),
    ],
)
def test_a_prior_that_is_damaged_or_cannot_read_is_refused(
    folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder / "prior" / "model.safetensors")
    with pytest.raises(BaseError, match=told):
        open_base(folder)
