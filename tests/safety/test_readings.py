"""What is recorded of a person read in a picture, and how sure a reader must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from castmark.safety.bias.image import OPEN, quota_findings, reading_findings
from castmark.safety.reader import CLASSES, Reader, Reading, learn_reader

NAMES = [(name, value) for name, values in CLASSES.items() for value in values]
AGES = ("adult", "child")
"""Of which the reader is taught; of "older" it knows nothing, as the shipped ones do not."""


def people(count: int, seed: int, mistaken: float = 0.0) -> tuple[torch.Tensor, list[dict[str, str]]]:
    """Embeddings with a direction for every value; of the first tone a share looks like the second."""
    rng = np.random.default_rng(seed)
    truths: list[dict[str, str]] = []
    rows = rng.normal(size=(count, len(NAMES))) * 0.05
    for index, row in enumerate(rows):
        truth = {name: values[int(rng.integers(len(values)))] for name, values in CLASSES.items()}
        truth |= {"presence": CLASSES["presence"][index % 6 == 0], "age": AGES[index % 2]}
        truth = truth if truth["presence"] == "person" else {"presence": "nobody"}
        shown = dict(truth)
        if truth.get("skin_tone") == "monk 01" and rng.random() < mistaken:
            shown["skin_tone"] = "monk 02"
        for pair in shown.items():
            row[NAMES.index(pair)] += 1
        truths.append(truth)
    return torch.tensor(rows, dtype=torch.float32)[:, None], truths


@pytest.fixture(scope="module")
def reader() -> Reader:
    known, truths = people(900, 0)
    held_out, others = people(1500, 1, mistaken=0.15)
    return learn_reader(known, truths, held_out, others, source="test", drift_rate=0.05, delta=0.05)


@pytest.fixture(scope="module")
def readings(reader: Reader) -> dict[str, Reading]:
    seen, truths = people(60, 2)
    return reader.read(seen)[next(i for i, truth in enumerate(truths) if truth.get("gender") == "masculine")]


@pytest.mark.parametrize("text", ["an old man in the park", "an elderly lady at sea", "a grandmother"])
def test_a_value_that_the_reader_does_not_know_is_recorded_as_that(
    reader: Reader, readings: dict[str, Reading], text: str
) -> None:
    found = {f.name: f for f in reading_findings(readings, text, reader)}["age, stated by the prompt"]
    assert not found.allowed and not found.binding and "does not know older" in found.detail


def test_of_several_values_that_a_prompt_leaves_possible_the_known_ones_are_compared(
    reader: Reader, readings: dict[str, Reading]
) -> None:
    text = "a man beside an elderly nurse"
    found = {f.name: f for f in reading_findings(readings, text, reader)}["age, stated by the prompt"]
    assert found.detail == "adult" and found.score == readings["age"].margin("adult")


def test_a_quota_that_nobody_can_read_is_no_reason_to_draw_again(
    reader: Reader, readings: dict[str, Reading]
) -> None:
    quota = ("age: older", "gender: feminine", "hair: red")
    unknown, wrong, none = quota_findings(quota, readings, reader, "redraw")
    for found, what in ((unknown, "older"), (none, "red")):
        assert not found.allowed and not found.binding and found.action == "warn"
        assert found.detail == f"the reader does not know {what}" and found.score > 0
    assert not wrong.allowed and wrong.binding and wrong.action == "redraw" and not wrong.detail
    (nobody,) = quota_findings(("age: adult",), {}, reader, "warn")
    assert nobody.score > max(0, nobody.threshold), "nobody is read: it is not seen"


def test_what_a_quota_said_was_left_open(reader: Reader, readings: dict[str, Reading]) -> None:
    text, quota = "a woman with dark skin at sea", ("gender: feminine",)
    found = {f.name: f for f in reading_findings(readings, text, reader, quota)}
    assert found[f"gender{OPEN}"].detail == "masculine"
    assert "skin_tone, stated by the prompt" in found, "that, the user wrote"


def test_no_group_is_taken_for_changed_more_often_than_the_rate_allows(reader: Reader) -> None:
    seen, truths = people(1500, 1, mistaken=0.15)
    limit, rows = reader.attributes["skin_tone"].drift_at, reader.read(seen)
    for tone in CLASSES["skin_tone"]:
        margins = [
            readings["skin_tone"].margin(tone)
            for readings, truth in zip(rows, truths, strict=True)
            if truth.get("skin_tone") == tone and readings
        ]
        assert sum(margin > limit for margin in margins) <= 0.05 * len(margins), tone
