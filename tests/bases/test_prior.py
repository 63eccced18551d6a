"""The prior: reads what words say, decides the rest by the seed, and tells the denoiser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from base_trials import drawn
from diffusers import StableDiffusionPipeline

from castmark.bases import find_base, open_base
from castmark.bases.embedded import Embedded
from castmark.bases.prior import FEWEST, OPEN, TOKENS, Column, Prior, Reading, from_table, table
from castmark.errors import BaseError
from castmark.shot import Shot
from castmark_adapters.subject import Subject

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WIDTH = 32
COLUMNS = (
    Column("kind", ("mug", "woman"), named=True, decides=True),
    Column("hair", ("short", "long", "bun"), named=True, subject=True),
    Column("hat", ("none", "cap"), named=True),
    Column("eyes", subject=True, even=True),
    Column("hue", circle=True, subject=True, even=True),
    Column("x"),
)
KIND, HAIR, HAT, EYES, HUE, X = range(len(COLUMNS))
NAN = float("nan")
ROWS = torch.tensor([[0, NAN, NAN, NAN, NAN, 0.5]] * 40 + [[1, n % 3, n % 2, 0, 0.5, -1] for n in range(40)])


class Words(Reading):
    """Stands in for what is learned: reads numbers off the first token, 0 for nothing said."""

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Scores "b 3 4"."""
        return torch.nn.functional.one_hot(text[:, 0, :3].long(), 4).float()


def prior_of(*, reads: bool = True) -> Prior:
    torch.manual_seed(0)
    prior = Prior(COLUMNS, WIDTH, len(ROWS))
    prior.rows.copy_(table(ROWS, COLUMNS))
    if reads:
        prior.read = Words([2, 3, 2], WIDTH)
    return prior.eval()


def saying(*said: int) -> torch.Tensor:
    """A text that says so of kind, hair and hat."""
    text = torch.zeros(1, 5, WIDTH)
    text[0, 0, :3] = torch.tensor([OPEN if n is OPEN else n for n in said]).float() + 1
    return text


def test_a_table_holds_what_was_put_in() -> None:
    again = from_table(table(ROWS, COLUMNS), COLUMNS)
    assert torch.equal(again.isnan(), ROWS.isnan())
    torch.testing.assert_close(again.nan_to_num(), ROWS.nan_to_num(), atol=0.01, rtol=0)


def test_what_is_open_follows_from_the_seed_and_what_is_said_is_left_to_the_words() -> None:
    prior, text = prior_of(), saying(1, OPEN, 0)
    first, again, other = (prior.decided(text, [seed])[0] for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, equal_nan=True)
    assert first[KIND].isnan() and first[HAT].isnan(), "the words say it"
    assert first[HAIR] in (0, 1, 2) and first[X] == pytest.approx(-1, abs=0.01)
    assert first[EYES] != other[EYES] and first[HUE] != other[HUE]
    together = prior.decided(text.expand(2, -1, -1), [2, 1])
    torch.testing.assert_close(together, torch.stack([other, first]), equal_nan=True)


def test_rows_agree_with_what_words_say_of_what_decides_and_are_as_many_as_there_are() -> None:
    prior = prior_of()
    mugs = [prior.decided(saying(0, OPEN, OPEN), [seed])[0] for seed in range(20)]
    assert all(row[HAIR].isnan() and row[X] == pytest.approx(0.5, abs=0.01) for row in mugs)
    women = torch.stack([prior.decided(saying(1, OPEN, OPEN), [seed])[0] for seed in range(600)])
    shares = torch.bincount(women[:, HAIR].long(), minlength=3) / len(women)
    assert (shares - 1 / 3).abs().max() < 0.06
    assert women[:, EYES].min() < -0.9 and women[:, EYES].max() > 0.9 and women[:, HUE].min() >= 0
    anything = torch.stack([prior.decided(saying(OPEN, OPEN, OPEN), [seed])[0] for seed in range(200)])
    assert 0.35 < float(anything[:, KIND].mean()) < 0.65
    assert torch.equal(anything[:, HAIR].isnan(), anything[:, KIND] == 0), "a mug has no hair"
    prior.rows[: len(ROWS) - FEWEST + 1] = table(ROWS[:1], COLUMNS)
    scarce = [prior.decided(saying(1, OPEN, OPEN), [seed])[0] for seed in range(20)]
    assert any(row[HAIR].isnan() for row in scarce), "too few rows agree to be chosen among"


def test_what_is_worn_shows_the_subject() -> None:
    told = prior_of().decided(saying(1, OPEN, OPEN), [3], shown=True)[0]
    assert told[[HAIR, EYES, HUE]].isnan().all() and not told[[HAT, X]].isnan().any()


def test_tokens_tell_what_is_told_and_nothing_else() -> None:
    prior = prior_of()
    nothing = torch.full((1, len(COLUMNS)), NAN)
    silent = prior.tokens(nothing)
    torch.testing.assert_close(silent, prior.tell.bias.view(1, TOKENS, WIDTH))
    for number, values in ((KIND, (0, 1)), (EYES, (-0.5, 0.5)), (HUE, (0.2, 0.7))):
        tokens = [silent]
        for value in values:
            told = nothing.clone()
            told[0, number] = value
            tokens.append(prior.tokens(told))
        apart = [(a - b).norm() for i, a in enumerate(tokens) for b in tokens[:i]]
        assert min(apart) > 0.5
    nearly = nothing.clone()
    nearly[0, HUE] = 0.999
    around = nothing.clone()
    around[0, HUE] = 0.001
    torch.testing.assert_close(prior.tokens(nearly), prior.tokens(around), atol=0.05, rtol=0)


def test_it_learns_to_read_what_texts_say() -> None:
    prior = prior_of(reads=False).train()
    generator = torch.Generator().manual_seed(1)
    meanings = torch.randn(9, WIDTH, generator=generator)  # of each column's values, or of other words

    def texts(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        most = torch.tensor([2, 3, 2])
        truth = (torch.rand(count, 3, generator=generator) * most).long()
        said = torch.rand(count, 3, generator=generator) < 0.5
        words = torch.where(said, truth + torch.tensor([0, 2, 5]), torch.randint(7, 9, (count, 3)))
        order = torch.rand(count, 3, generator=generator).argsort(1)
        rest = torch.zeros(count, 3)
        return meanings[words.gather(1, order)], torch.cat([truth.float(), rest], 1), said

    optimiser = torch.optim.Adam(prior.read.parameters(), lr=1e-2)
    for _ in range(150):
        text, truth, said = texts(64)
        optimiser.zero_grad()
        prior.reading_loss(text, truth, torch.cat([said, said & False], 1)).backward()
        optimiser.step()
    text, truth, said = texts(500)
    found = prior.said(text)
    assert (found[:, 3:] == OPEN).all(), "what no words say is open"
    assert (found[:, :3] == torch.where(said, truth[:, :3].long(), OPEN)).float().mean() > 0.98


def test_a_prior_is_read_as_it_was_written(tmp_path: Path) -> None:
    prior = prior_of(reads=False)
    prior.save(tmp_path)
    again, text = Prior.load(tmp_path), torch.randn(2, 5, WIDTH)
    assert again.columns == COLUMNS
    torch.testing.assert_close(prior(text, [1, 2]), again(text, [1, 2]), atol=5e-3, rtol=0)


@pytest.fixture
def folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A small base with a prior beside it."""
    folder = tmp_path / "base"
    shutil.copytree(folder_of("sd-turbo"), folder)
    prior_of(reads=False).save(folder / "prior")
    return folder


def test_a_base_with_a_prior_draws_with_it_and_plain_diffusers_without(
    folder: Path, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(folder)
    assert isinstance(base.model, Embedded)
    read: list[int] = []
    forward = base.pipeline.unet.forward

    def spied(*arguments: object, **more: torch.Tensor) -> object:
        read.append(more["encoder_hidden_states"].shape[1])
        return forward(*arguments, **more)

    monkeypatch.setattr(base.pipeline.unet, "forward", spied)
    together, alone = drawn(base, 1, 2), drawn(base, 2)[0]
    assert np.abs(together[1].pixels.astype(int) - alone.pixels).max() <= 2
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    length = pipeline.text_encoder.config.max_position_embeddings
    assert set(read) == {length + TOKENS}
    plain = open_base(folder_of("sd-turbo"))
    assert not isinstance(plain.model, Embedded)
    assert not np.array_equal(drawn(plain, 2)[0].pixels, alone.pixels), "the prior is told"
    (pictures, _) = pipeline("a red mug", num_inference_steps=1, output_type="np", return_dict=False)
    assert len(pictures) == 1


def test_of_a_shot_with_a_subject_what_is_its_own_is_left_to_what_is_worn(
    folder: Path, mira: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(folder)
    worn: list[bool] = []
    assert isinstance(base.model, Embedded)
    decided = base.model.prior.decided

    def spied(*arguments: torch.Tensor, shown: bool = False) -> torch.Tensor:
        worn.append(shown)
        return decided(*arguments, shown=shown)

    monkeypatch.setattr(base.model.prior, "decided", spied)
    base.draw([base.resolve(Shot("mira", [mira])), base.resolve(Shot("a mug"))])
    assert worn == [True, False]


def test_the_prior_is_part_of_what_a_base_is(folder: Path) -> None:
    before = open_base(folder)
    assert {"prior/config.json", "prior/model.safetensors"} <= before.files.keys()
    other = prior_of(reads=False)
    other.tell.bias.data += 1
    other.save(folder / "prior")
    assert open_base(folder).digest != before.digest
    assert find_base(folder).files() == open_base(folder).files


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_damaged_prior_is_named(folder: Path, file: str) -> None:
    path = folder / "prior" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BaseError, match=r"prior"):
        open_base(folder)
