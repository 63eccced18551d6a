"""What a polished student is steered by beside the critic: variety of what is left open, and looks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from castmark.bench.truth import Column
from castmark.training.adversary import BLOCKS, WARM_UP, Adversary
from castmark.training.critic import WIDTH
from castmark.training.parallel import Rank
from castmark.training.variety import FEWEST, Variety

COLUMNS = (
    Column("hat", ("character",), ("none", "cap", "crown")),
    Column("size", ("character",)),
    Column("pose", ("character",), ("standing", "waving")),
)
OUTPUTS = sum(column.outputs for column in COLUMNS)


def world(count: int = 1000) -> tuple[Tensor, Tensor]:
    """Scenes with a cap in half of them and a crown in a quarter; of every other one the hat is said, of all
    the pose."""
    hats = torch.tensor([0.0, 1.0, 1.0, 2.0]).repeat_interleave(2).repeat(count // 8)
    labels = torch.stack([hats, torch.full((count,), 0.3), torch.zeros(count)], 1)
    asked = torch.zeros(count, 3, dtype=torch.bool)
    asked[::2, 0] = True
    asked[:, 2] = True
    return labels, asked


def drawn(hat: int, count: int = 8) -> Tensor:
    """Outputs of a critic that is rather sure of a hat, and sees a wave."""
    outputs = torch.zeros(count, OUTPUTS)
    outputs[:, hat] = 2.0
    outputs[:, -1] = 3.0
    return outputs.requires_grad_()


def test_what_is_drawn_too_often_is_pushed_back_where_it_was_left_open_only() -> None:
    labels, asked = world()
    variety = Variety(COLUMNS, labels, asked)
    for _ in range(100):  # caps, always
        outputs = drawn(1)
        loss = variety.loss(outputs, labels[:8], asked[:8])
    (gradient,) = torch.autograd.grad(loss, outputs)
    left = ~asked[:8, 0]
    assert bool((gradient[left, 1] > 0).all()) and bool((gradient[left][:, [0, 2]] < 0).all())
    assert not gradient[~left].any() and not gradient[:, 3:].any()


def test_what_is_drawn_as_often_as_in_the_world_costs_nothing() -> None:
    labels, asked = world()
    variety = Variety(COLUMNS, labels, asked)
    sure = torch.zeros(1000, OUTPUTS)
    sure[torch.arange(1000), labels[:, 0].long()] = 30.0
    for start in range(0, 1000, 8):
        part = slice(start, start + 8)
        loss = variety.loss(sure[part], labels[part], asked[part])
    assert float(loss.abs()) < 0.01
    assert str(variety) == "variety 0.000"


def test_shares_are_counted_over_many_batches_and_are_bounded() -> None:
    labels, asked = world()
    variety = Variety(COLUMNS, labels, asked)
    before = str(variety)
    variety.loss(drawn(2), labels[:8], asked[:8])
    once = str(variety)
    for _ in range(1000):
        loss = variety.loss(30 * drawn(2).detach(), labels[:8], asked[:8])
    assert before < once < str(variety)
    assert str(variety) == "variety 0.750"  # crowns are a quarter of the world
    assert float(loss) == pytest.approx(torch.tensor(1 / 0.25).log().item(), rel=1e-3)
    assert FEWEST < 0.25


def test_with_nothing_left_open_there_is_nothing_to_lose() -> None:
    labels, asked = world()
    variety = Variety(COLUMNS, labels, torch.ones_like(asked))
    assert float(variety.loss(drawn(0), labels[:8], torch.ones_like(asked[:8]))) == 0.0
    assert str(variety) == "nothing open"


def features(shift: float, generator: torch.Generator) -> list[Tensor]:
    """What a critic might see in four pictures, a little off in one channel."""
    found = [torch.randn(4, WIDTH, 16, 16, generator=generator) for _ in range(BLOCKS)]
    for each in found:
        each[:, 0] += shift
    return found


def test_an_adversary_learns_to_tell_and_its_doubt_shows_the_way_to_renders() -> None:
    torch.manual_seed(0)
    adversary, generator = Adversary(), torch.Generator().manual_seed(1)
    first = adversary.learn(features(1.0, generator), features(0.0, generator), Rank())
    assert first == pytest.approx(2.0, abs=0.3) and not adversary.ready
    for _ in range(WARM_UP):
        last = adversary.learn(features(1.0, generator), features(0.0, generator), Rank())
    assert adversary.ready and last < first / 2
    answers = [each.requires_grad_() for each in features(0.0, generator)]
    doubt = adversary.doubt(answers)
    gradients = torch.autograd.grad(doubt, answers)
    assert all(float(gradient[:, 0].mean()) < 0 for gradient in gradients)  # more of it is more like a render
    assert all(parameter.requires_grad for parameter in adversary.parameters())
    assert float(adversary.doubt(features(1.0, generator))) < float(doubt.detach())
