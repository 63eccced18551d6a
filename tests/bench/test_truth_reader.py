"""The truth reader: what is asked of a scene, what counts as right, and training that resumes and loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import castmark_data
from castmark.bases.attribute_network import SIDE, Network
from castmark.bench.truth import Reading, TruthReader, columns, marks, seen
from castmark.bench.truth import reader as truth_module
from castmark.bench.truth.marks import joint, mean, mean_figure
from castmark.bench.truth.reader import CONFIG, WEIGHTS, decode, layout
from castmark.errors import InputError
from castmark.training import truth_reader
from castmark.training.common import TrainSettings, load_checkpoint
from castmark.training.degrade import degrade
from castmark_world import (
    DEFAULT,
    FIRST,
    FULL,
    SECOND,
    CharacterSpec,
    Scene,
    Scope,
    render,
    sample_scene,
    split_of,
)
from castmark_world.outfits import OUTFITS


def person(scope: Scope = DEFAULT, **changes: object) -> Scene:
    """A standing woman with short hair in the plainest of pictures, with changes to her spec."""
    scene = sample_scene(np.random.default_rng(3), kind="character", scope=scope.alone)
    plain: dict[str, object] = {
        "person": "woman",
        "occupation": "none",
        "facial_hair": "none",
        "hair_style": "short",
        "hair_color": "brown",
        "headwear": "none",
        "glasses": "none",
        "accessory": "none",
        "top": "shirt",
        "top_pattern": "plain",
        "bottom": "trousers",
        "bottom_color": "blue",
    }
    subject = replace(scene.subject, **{**plain, **changes})
    return replace(
        scene,
        subject=subject,
        pose="standing",
        item=None,
        x=0.5,
        scale=1.0,
        place="studio",
        time="day",
        weather="clear",
        camera="full",
        style="flat",
        props=(),
    )


@pytest.mark.parametrize("scope", [FIRST, SECOND, FULL], ids=lambda scope: scope.name)
def test_every_drawn_value_has_a_place_among_the_columns(scope: Scope) -> None:
    rng = np.random.default_rng(0)
    read = columns(scope)
    met: set[str] = set()
    for _ in range(150):
        scene = sample_scene(rng, scope=scope.alone)
        for column in read:
            label = column.label(scene)
            if label is not None:
                met.add(column.name)
                assert not column.values or label in column.values, (column.name, label)
    assert met == {column.name for column in read}
    assert len({column.name for column in read}) == len(read)


def test_what_a_hat_covers_or_a_dress_replaces_is_not_asked_for() -> None:
    open_air, covered = seen(person()), seen(person(headwear="beanie", headwear_color="red"))
    assert {"character.hair_style", "character.hair_color"} <= open_air
    assert "character.hair_style" not in covered
    assert "character.headwear_color" in covered and "character.headwear_color" not in open_air
    assert {"character.bottom", "character.bottom_color"} <= open_air
    assert "character.bottom_color" not in seen(person(top="dress", bottom="skirt"))


def test_traits_that_change_nothing_are_not_asked_for() -> None:
    assert "character.pattern_scale" in seen(person(top_pattern="striped"))
    assert "character.pattern_scale" not in seen(person())
    assert "character.top_hue" in seen(person(top_color="red"))
    assert "character.top_hue" not in seen(person(top_color="black"))
    assert "character.blush" in seen(person(blush=0.8))
    assert "character.blush" not in seen(person(blush=-0.8))
    assert {"character.gender", "character.body_width"} <= seen(person(FULL), FULL)
    assert not {"character.gender", "character.body_width"} & seen(person(FIRST), FIRST)


def test_what_the_camera_does_not_show_is_not_asked_for() -> None:
    scene = replace(person(FULL), place="park")
    whole, near = seen(scene, FULL), seen(replace(scene, camera="close-up"), FULL)
    legs = {"character.bottom", "character.bottom_color", "character.leg_length", "character.shoes"}
    assert legs <= whole and not legs & near
    assert {"camera", "style", "time", "place", "character.hair_style", "character.top"} <= whole & near
    assert "weather" in whole and "weather" not in seen(person(FULL), FULL)


def test_an_occupation_is_asked_for_unless_any_clothes_would_do() -> None:
    coat = OUTFITS["doctor"]
    worn = {"top": coat.top, "top_color": "white", "bottom": coat.bottom, "bottom_color": "navy"}
    assert "character.occupation" in seen(person(FULL, occupation="doctor", **worn), FULL)
    assert "character.occupation" in seen(person(FULL, top_color="lime"), FULL)
    # A manager's case is not in the picture, and a blazer is anyone's.
    blazer = {"top": "blazer", "top_color": "navy", "bottom": "trousers", "bottom_color": "navy"}
    assert "character.occupation" not in seen(replace(person(FULL, **blazer), camera="half"), FULL)


def test_a_number_is_right_within_its_tolerance_and_a_hue_the_short_way_round() -> None:
    scene = person(leg_length=0.5, emblem_hue=0.97)
    wanted = {c.name: str(c.label(scene)) for c in columns() if c.values and c.label(scene) is not None}
    near = Reading(wanted, {"character.leg_length": 0.15, "character.emblem_hue": 0.05})
    far = Reading(
        {**wanted, "character.top": "dress"}, {"character.leg_length": 0.0, "character.emblem_hue": 0.2}
    )
    asked = frozenset({"character.leg_length", "character.emblem_hue", "character.top", "product.color"})
    assert marks(scene, near, asked) == dict.fromkeys(sorted(asked - {"product.color"}), True)
    assert not any(marks(scene, far, asked).values())


def test_the_mean_weighs_columns_alike_and_joint_wants_all() -> None:
    rows = [{"a": True, "b": True}, {"a": True}, {"a": False}, {"a": True, "b": False}]
    assert mean(rows) == pytest.approx((3 / 4 + 1 / 2) / 2)
    figure = mean_figure("x", rows)
    assert figure.low < figure.value < figure.high
    assert joint("x", rows).value == 0.5
    # Pictures of one subject are not independent: two subjects, each always the same, tell less.
    alike = [{"a": index < 20} for index in range(40)]
    wide = mean_figure("x", alike, of=[index // 20 for index in range(40)])
    assert wide.high - wide.low > 2 * (mean_figure("x", alike).high - mean_figure("x", alike).low)


def test_outputs_are_decoded_to_the_values_they_were_trained_on() -> None:
    scene = person(leg_length=-0.25, emblem_hue=0.8)
    read = columns()
    batch = truth_reader.batch_of([scene], read, np.random.default_rng(0))
    parts: list[torch.Tensor] = []
    for column, label in zip(read, batch.labels.unbind(1), strict=True):
        if column.values:
            value = label.nan_to_num().long()
            parts.append(10 * torch.nn.functional.one_hot(value, len(column.values)).float())
        elif column.circle:
            angle = 2 * torch.pi * label.nan_to_num()
            parts.append(torch.stack([angle.cos(), angle.sin()], 1))
        else:
            parts.append(label.nan_to_num()[:, None])
    outputs = torch.cat(parts, 1).float()
    assert float(truth_reader.loss_of(outputs, batch.labels, read)) < 1e-2
    (reading,) = decode(outputs, read)
    right = marks(scene, reading, frozenset(column.name for column in read))
    assert len(right) > 25 and all(right.values())
    worse = truth_reader.loss_of(-outputs, batch.labels, read)
    assert float(worse) > 1


def test_training_resumes_ships_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_reader, "BATCH", 4)
    monkeypatch.setattr(truth_reader, "HELD_OUT", 4)
    monkeypatch.setattr(truth_reader, "ceiling", lambda reader: {"n": len(reader.columns)})
    settings = TrainSettings(minutes=0.02, work=tmp_path / "work", out=tmp_path / "reader")
    truth_reader.train(settings)
    first = load_checkpoint(settings.work / "reader.pt")
    truth_reader.train(settings)
    second = load_checkpoint(settings.work / "reader.pt")
    assert first is not None and second is not None and second["step"] > first["step"] > 0
    card = json.loads((settings.out / "card.json").read_text())
    assert card["steps"] == second["step"] and card["scope"] == DEFAULT.name
    assert (settings.out / WEIGHTS).stat().st_size < 3 * 2**20

    reader = TruthReader.open(settings.out)
    image = render(person(), SIDE)
    network = Network(list(layout().values())).eval()
    network.load_state_dict(second["model"])
    with torch.no_grad():
        wanted = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        got = reader.network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(got, wanted, rtol=0.02, atol=0.02)
    assert reader.read([render(person(), 64)])[0].values.keys() == reader.read([image])[0].values.keys()


@pytest.mark.parametrize("broken", ["nothing", "truncated", "another world", "not json"])
def test_a_reader_that_cannot_be_used_says_what_to_do(tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(castmark_data.path("bench", "reader"), folder)
    if broken == "nothing":
        (folder / WEIGHTS).unlink()
    elif broken == "truncated":
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:500])
    elif broken == "another world":
        (folder / CONFIG).write_text(json.dumps({"scope": "first", "columns": {**layout(), "place": 3}}))
    else:
        (folder / CONFIG).write_text("{")
    with pytest.raises(InputError, match="castmark train reader"):
        TruthReader.open(folder)


def test_a_reader_of_another_scope_is_not_taken_for_the_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_module, "DEFAULT", FULL)
    with pytest.raises(InputError, match="castmark train reader"):
        TruthReader.open()


def test_the_shipped_reader_reads_held_out_renders_as_its_card_says() -> None:
    reader = TruthReader.open()
    card = json.loads(castmark_data.path("bench", "reader", "card.json").read_text())
    rng = np.random.default_rng(90)
    scenes = [sample_scene(rng, split="test", scope=DEFAULT.alone) for _ in range(24)]
    assert {split_of(scene.subject) for scene in scenes} == {"test"}
    assert any(isinstance(scene.subject, CharacterSpec) for scene in scenes)
    rows = [
        marks(scene, reading, seen(scene) & {column.name for column in columns() if column.named})
        for scene, reading in zip(scenes, reader.read([render(s, SIDE) for s in scenes]), strict=True)
    ]
    right = sum(sum(row.values()) for row in rows) / sum(map(len, rows))
    assert right > card["ceiling"]["named, mean"] - 0.05
    blank = reader.read([np.full((SIDE, SIDE, 3), 128, np.uint8)])[0]
    other = marks(scenes[0], blank, frozenset(rows[0]))
    assert sum(other.values()) < 0.7 * len(other)


def test_degraded_pictures_keep_their_shape_and_range_and_a_flat_one_stays_flat() -> None:
    generator = np.random.default_rng(1)
    flat = torch.full((12, 3, 64, 64), 0.4)
    worse = degrade(flat, generator, gain=0.0, shift=0.0)
    assert worse.shape == flat.shape and worse.min() >= 0 and worse.max() <= 1
    assert float((worse.mean((1, 2, 3)) - 0.4).abs().max()) < 0.02
    scene = torch.from_numpy(render(person(), 64)).permute(2, 0, 1).float().div(255).repeat(12, 1, 1, 1)
    assert float((degrade(scene, generator) - scene).abs().mean()) > 0.005
