"""What every trainer stands on: the optimiser, processes that agree, items rendered ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from ranks import average_of_ranks

from castmark.training import muon, parallel
from castmark.training.supply import Replay, Supply


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_an_orthogonal_update_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    update = muon.orthogonal(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(update)
    assert update.shape == (2, *shape)
    assert float(values.min()) > 0.5 and float(values.max()) < 1.4


def test_muon_takes_matrices_and_leaves_embeddings_and_thin_layers_to_adamw() -> None:
    layers = {
        "embedding": torch.nn.Embedding(50, 32),
        "wide": torch.nn.Conv2d(32, 32, 3),
        "thin": torch.nn.Linear(32, 3),
    }
    model = torch.nn.ModuleDict(layers)
    by_kind = {group["orthogonal"]: group["params"] for group in muon.groups(model)}
    assert [id(p) for p in by_kind[True]] == [id(model["wide"].weight)]
    assert len(by_kind[False]) == 4


def test_muon_fits_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 32, generator=generator)
    wanted = 0.2 * torch.randn(32, 32, generator=generator)
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 32)
    optimiser = muon.Muon(muon.groups(layer), 0.05)
    losses: list[float] = []
    for _ in range(60):
        loss = (layer(inputs) - inputs @ wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_processes_average_gradients_and_the_value_they_agree_on(tmp_path: Path) -> None:
    parallel.run(average_of_ranks, 2, tmp_path)
    for index in range(2):
        gradient, value = torch.load(tmp_path / f"{index}.pt")
        assert gradient.tolist() == [0.5, 0.5, 0.5]
        assert value == 5.0


def test_an_error_while_rendering_ahead_reaches_the_trainer() -> None:
    def broken(number: int) -> int:
        raise OSError("no such font")

    with Supply(broken) as supply, pytest.raises(OSError, match="no such font"):
        next(supply)


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_their_order_whoever_makes_them(workers: int) -> None:
    with Supply(abs, first=5, workers=workers) as supply:
        assert [next(supply) for _ in range(12)] == list(range(5, 17))


def test_tensors_of_many_items_hold_no_file_descriptors() -> None:
    with Supply(torch.arange, first=1, workers=1) as supply:
        held = [next(supply)]
        before = len(list(Path("/proc/self/fd").iterdir()))
        held += [next(supply) for _ in range(40)]
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
    assert [len(item) for item in held] == list(range(1, 42))


def test_a_replay_gives_an_item_again_only_while_the_next_is_not_there() -> None:
    gate = threading.Semaphore(1)

    def make(number: int) -> int:
        gate.acquire()
        return number

    with Supply(make) as supply:
        batches = Replay(supply, keep=10, times=3)
        assert [next(batches) for _ in range(3)] == [0, 0, 0]
        threading.Timer(0.1, gate.release, (50,)).start()
        assert next(batches) == 1 and batches.fresh == 2, "given three times: the next one is waited for"
        assert len({next(batches) for _ in range(20)}) > 2
