"""Finer rules of a policy: abstention, escalation, audiences, domain, locks and quotas."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from castmark.errors import CheckError, InputError, NotCalibrated
from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.calibration import Rate, Threshold
from castmark.safety.domain import Kind, strangeness, texture
from castmark.safety.ladder import audit_findings
from castmark.safety.pictures import to_tensor
from castmark.safety.policy import Escalation
from castmark.safety.probe import learn
from castmark.safety.reader import CLASSES, Reader, learn_reader
from castmark.take import Draft, Finding, Verdict
from castmark_adapters.subject import Subject
from castmark_world import render, sample_scene

Make = Callable[..., Calibration]
CHILD = Escalation(
    words=("child", "girl"),
    prompts=("a girl",),
    anchors=("a woman",),
    categories=("alcohol",),
    action="block",
)


def changed(policy: Policy, **updates: Any) -> Policy:
    return policy.model_copy(update=updates)


def category(policy: Policy, name: str, **updates: Any) -> Policy:
    part = policy.categories[name].model_copy(update=updates)
    return changed(policy, categories={**policy.categories, name: part})


def opened(policy: Policy, encoder: Encoder, record: Calibration, **updates: Any) -> Gate:
    return Gate(policy, encoder, record.model_copy(update={"policy_digest": policy.digest, **updates}))


def named(verdict: Verdict, name: str, rung: str = "L2 image") -> Finding:
    return next(f for f in verdict.findings if f.rung == rung and f.name == name)


def limit(record: Calibration, name: str, **updates: Any) -> dict[str, Threshold]:
    return {**record.image, name: record.image[name].model_copy(update=updates)}


def test_a_score_that_certifies_neither_is_drawn_again_and_not_signed(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    image = limit(record, "weapon", pass_at=-1e6, abstains=True)
    (verdict,) = opened(policy, encoder, record, image=image).check([draft])
    assert not verdict.allowed and named(verdict, "weapon").action == "redraw" and verdict.redrawable
    image = limit(record, "weapon", value=-1e6, pass_at=-2e6, abstains=True)
    (verdict,) = opened(policy, encoder, record, image=image).check([draft])
    assert named(verdict, "weapon").action == "block" and not verdict.redrawable


def test_what_escalates_is_not_softened_by_an_abstention(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft, as_draft: Callable[..., Draft]
) -> None:
    record = calibrated()
    strict = category(changed(policy, escalate={"child": CHILD}), "alcohol", action="redraw")
    never = Threshold(value=1e6, n_safe=1000, n_unsafe=100, miss_target=0.05, miss_holds=True)
    between = limit(record, "alcohol", value=1e6, pass_at=-1e6, abstains=True)
    gate = opened(strict, encoder, record, image=between, escalations={"child": never})
    plain, child = gate.check([draft, as_draft(draft.pixels, "a girl at a table")])
    assert named(plain, "alcohol").action == "redraw" and plain.redrawable
    assert named(child, "alcohol").action == "block" and not child.redrawable


def test_an_abstention_for_review_is_neither_signed_nor_drawn_again(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    asks = category(policy, "weapon", abstain="review")
    image = limit(record, "weapon", pass_at=-1e6, abstains=True)
    (verdict,) = opened(asks, encoder, record, image=image).check([draft])
    assert verdict.to_review and not verdict.allowed and not verdict.redrawable


def test_a_miss_bound_that_would_cost_too_much_is_recorded_as_not_certified(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    (verdict,) = opened(policy, encoder, record, image=limit(record, "weapon", pass_at=-1e6)).check([draft])
    found = named(verdict, "weapon: miss bound")
    assert verdict.allowed and not found.allowed and not found.binding


def test_a_child_in_the_prompt_or_the_picture_makes_a_warning_a_block(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft, as_draft: Callable[..., Draft]
) -> None:
    strict = changed(policy, escalate={"child": CHILD})
    record = calibrated()
    never, always = (
        Threshold(value=value, n_safe=1000, n_unsafe=100, miss_target=0.05, miss_holds=True)
        for value in (1e6, -1e6)
    )
    over = limit(record, "alcohol", value=-1e6)
    plain = opened(strict, encoder, record, image=over, escalations={"child": never})
    seen = opened(strict, encoder, record, image=over, escalations={"child": always})
    unknown = opened(strict, encoder, record, image=over)
    assert plain.check([draft])[0].allowed
    (verdict,) = seen.check([draft])
    assert not verdict.allowed and named(verdict, "alcohol").action == "block"
    assert not unknown.check([draft])[0].allowed, "a trigger that nobody calibrated counts as found"
    assert not plain.check([as_draft(draft.pixels, "a girl at a table")])[0].allowed
    assert plain.check_prompt("a woman with beer").prompt_allowed
    assert not plain.check_prompt("a girl with beer").prompt_allowed


def test_an_audience_may_be_allowed_what_others_are_not(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    adult = category(policy, "weapon", allow_for=("adult",))
    record = calibrated()
    over = limit(record, "weapon", value=-1e6)
    assert not opened(adult, encoder, record, image=over).check([draft])[0].allowed
    (verdict,) = opened(changed(adult, audience="adult"), encoder, record, image=over).check([draft])
    assert verdict.allowed and not named(verdict, "weapon").allowed


def test_a_category_without_calibrated_pictures_is_said_in_every_record_or_refused(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    without = {"image": {"weapon": record.image["weapon"]}, "prompt": {"weapon": record.prompt["weapon"]}}
    with pytest.raises(NotCalibrated, match="alcohol"):
        opened(policy, encoder, record, **without)
    report = category(policy, "alcohol", if_uncalibrated="report", action="block")
    gate = opened(report, encoder, record, **without)
    (verdict,) = gate.check([draft])
    found = named(verdict, "alcohol: pictures not calibrated, words only")
    assert verdict.allowed and not found.allowed and not found.binding
    assert not gate.check_prompt("a beer").prompt_allowed


def test_a_policy_must_require_at_least_one_category(policy: Policy) -> None:
    body = policy.model_dump(mode="json")
    for part in body["categories"].values():
        part["if_uncalibrated"] = "report"
    with pytest.raises(ValueError, match="require one"):
        Policy.model_validate(body)


@pytest.mark.parametrize(("action", "allowed"), [("block", False), ("redraw", False), ("warn", True)])
def test_a_picture_of_another_kind_is_never_passed_over(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft, action: str, allowed: bool
) -> None:
    known = texture(torch.stack([to_picture(seed) for seed in range(20)]))
    kind = Kind.of(known).model_copy(update={"limit": 1e-9})
    gate = opened(changed(policy, out_of_domain=action), encoder, calibrated(), kinds={"renders": kind})
    (verdict,) = gate.check([draft])
    found = named(verdict, "of a calibrated kind (distance)")
    assert verdict.allowed is allowed and not found.allowed


def to_picture(seed: int) -> torch.Tensor:
    return to_tensor([render(sample_scene(np.random.default_rng(seed)), 128)])[0]


def test_what_is_of_another_kind_is_farther_than_what_was_calibrated() -> None:
    renders = texture(torch.stack([to_picture(seed) for seed in range(90)]))
    kind = Kind.of(renders[:60])
    own = kind.distance(renders[60:])
    kind = kind.model_copy(update={"limit": float(own.max())})
    rough = texture(torch.rand(8, 3, 128, 128) * 0.3 + torch.rand(8, 3, 1, 1) * 0.7)
    smooth = texture(
        torch.nn.functional.interpolate(torch.rand(8, 3, 4, 4), size=128, mode="bicubic").clamp(0, 1)
    )
    assert strangeness({"renders": kind}, renders[60:]).max() <= 1
    assert strangeness({"renders": kind}, rough).min() > 1
    assert strangeness({"renders": kind}, smooth).min() > 1
    both = {"renders": kind, "rough": Kind.of(rough)}
    assert torch.all(strangeness(both, rough) <= strangeness({"renders": kind}, rough))


def faces(count: int, seed: int) -> tuple[torch.Tensor, list[dict[str, str]]]:
    """Embeddings in which every attribute of ``castmark.safety.reader`` has a direction of its own."""
    rng = np.random.default_rng(seed)
    names = [(name, value) for name, values in CLASSES.items() for value in values]
    truths: list[dict[str, str]] = []
    rows: list[np.ndarray[Any, Any]] = []
    for index in range(count):
        truth = {name: values[int(rng.integers(len(values)))] for name, values in CLASSES.items()}
        truth["presence"] = "nobody" if index % 6 == 0 else "person"
        truth = truth if truth["presence"] == "person" else {"presence": "nobody"}
        row = rng.normal(size=len(names)) * 0.05
        for pair in truth.items():
            row[names.index(pair)] += 1
        truths.append(truth)
        rows.append(row)
    return torch.tensor(np.stack(rows), dtype=torch.float32)[:, None], truths


@pytest.fixture(scope="module")
def reader() -> Reader:
    known, truths = faces(900, 0)
    held_out, others = faces(500, 1)
    return learn_reader(known, truths, held_out, others, source="test", drift_rate=0.05, delta=0.05)


def test_the_reader_reads_what_there_is_and_knows_how_often_it_errs(reader: Reader) -> None:
    seen, truths = faces(120, 2)
    readings = reader.read(seen)
    assert [bool(r) for r in readings] == [t["presence"] == "person" for t in truths]
    for name in ("gender", "age", "skin_tone"):
        right = [r[name].value == t[name] for r, t in zip(readings, truths, strict=True) if r]
        assert sum(right) / len(right) >= reader.attributes[name].accuracy - 0.1 > 0.8
        assert sum(map(sum, reader.attributes[name].confusion)) == sum(name in t for t in faces(500, 1)[1])


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_probe_is_the_same_each_time_and_survives_its_record(hidden: int) -> None:
    known, truths = faces(200, 0)
    labels = [truth["presence"] for truth in truths]
    probe = learn(known, labels, CLASSES["presence"], hidden=hidden)
    assert learn(known, labels, CLASSES["presence"], hidden=hidden) == probe
    again = type(probe).model_validate_json(probe.model_dump_json())
    assert torch.equal(again.log_probabilities(known), probe.log_probabilities(known))
    odds = probe.log_odds(known, "person")
    assert torch.allclose(odds, torch.logit(probe.log_probabilities(known).exp()[:, 0], 1e-12), atol=1e-2)


def test_a_hidden_layer_tells_what_no_line_tells() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1200, 1, 4, generator=generator)
    labels = ["odd" if x * y > 0 else "even" for x, y in points[:, 0, :2].tolist()]
    seen, asked = points[:800], points[800:]

    def right(hidden: int) -> float:
        found = learn(seen, labels[:800], ("odd", "even"), hidden=hidden).log_odds(asked, "odd") > 0
        return sum((label == "odd") == bool(f) for label, f in zip(labels[800:], found, strict=True)) / 400

    assert right(0) < 0.6
    assert right(32) > 0.85


def portrait(truth_seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.full((16, 16, 3), truth_seed, np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("now", "lock", "allowed"), [(0, ("age",), True), (1, ("age",), False), (1, (), True)]
)
def test_only_drift_of_a_locked_attribute_refuses(
    policy: Policy,
    encoder: Encoder,
    calibrated: Make,
    draft: Draft,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    now: int,
    lock: tuple[str, ...],
    allowed: bool,
) -> None:
    adult = {"presence": "person", "gender": "feminine", "age": "adult", "skin_tone": "monk 03"}
    child = {**adult, "age": "child"}
    seen, truths = faces(400, 5)
    of = {
        age: seen[next(i for i, t in enumerate(truths) if t.get("age") == age)] for age in ("adult", "child")
    }
    locked = changed(policy, subject=policy.subject.model_copy(update={"lock": lock}))
    gate = opened(locked, encoder, calibrated(), reader=reader)
    gate._image_scores = lambda embeddings, pixels: {n: [0.0] * len(embeddings) for n in policy.judged}  # type: ignore[method-assign]
    subject = Subject.from_images("mira", [portrait(1), portrait(2)], kind="character", phrase="a woman")
    shot = replace(draft.resolved, shot=draft.resolved.shot.model_copy(update={"subjects": (subject,)}))

    def images(pixels: torch.Tensor) -> torch.Tensor:
        whose = (adult, child)[now] if pixels.shape[-1] > 16 else adult
        return of[whose["age"]][None]

    monkeypatch.setattr(gate.encoder, "images", images)
    (verdict,) = gate.check([replace(draft, resolved=shot)])
    found = named(verdict, "age of mira", "L3 subject")
    assert verdict.allowed is allowed and found.allowed is (now == 0) and found.binding is bool(lock)


def test_a_lock_that_cannot_be_checked_is_a_check_error(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    locked = changed(policy, subject=policy.subject.model_copy(update={"lock": ("age",)}))
    subject = Subject.from_images("mira", [portrait(1), portrait(2)], kind="character", phrase="a woman")
    shot = replace(draft.resolved, shot=draft.resolved.shot.model_copy(update={"subjects": (subject,)}))
    with pytest.raises(CheckError, match="locks age"):
        opened(locked, encoder, calibrated()).check([replace(draft, resolved=shot)])


def test_a_quota_that_cannot_be_seen_is_recorded_and_on_request_drawn_again(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    shot = draft.resolved.shot.model_copy(update={"quota": ("gender: feminine",)})
    asked = replace(draft, resolved=replace(draft.resolved, shot=shot))
    (verdict,) = opened(policy, encoder, calibrated()).check([asked])
    found = named(verdict, "quota gender: feminine", "L5 campaign")
    assert verdict.allowed and not found.allowed
    again = changed(policy, fairness=policy.fairness.model_copy(update={"on_miss": "redraw"}))
    (verdict,) = opened(again, encoder, calibrated()).check([asked])
    assert not verdict.allowed and verdict.redrawable


def test_the_checkers_own_errors_are_in_every_record(policy: Policy, calibrated: Make) -> None:
    record = calibrated()
    rates = {
        "age: child": Rate(hits=9, n=100, low=0.04, high=0.16),
        "age: adult": Rate(hits=0, n=9, low=0, high=0.3),
    }
    record = record.model_copy(update={"image": limit(record, "weapon", group_false_positives=rates)})
    found = {f.name: f for f in audit_findings(policy, record)}
    worst = found["weapon: safe refused, age: child (worst)"]
    assert worst.score == 0.16 and worst.threshold == 0.01 and not worst.allowed and not worst.binding
    later = audit_findings(policy, record, datetime.now(UTC) + timedelta(days=31))
    assert not later[0].allowed and later[0].binding and later[0].action == "block"


def test_a_miss_bound_mirrors_the_other(policy: Policy) -> None:
    from castmark.safety.threshold import miss_threshold

    scores = np.random.default_rng(0).normal(size=1000).tolist()
    limit_ = miss_threshold(scores, 0.01, 0.05)
    assert sum(score <= limit_ for score in scores) == 4 and math.isfinite(limit_)
    with pytest.raises(NotCalibrated, match="at least 299"):
        miss_threshold(scores[:298], 0.01, 0.05)


def test_a_lock_of_something_unknown_is_an_input_error(policy_file: Any) -> None:
    policy_file.write_text(policy_file.read_text() + "subject: {lock: [shoe_size]}\n")
    with pytest.raises(InputError, match=r"subject\.lock"):
        Policy.load(policy_file)


def test_what_is_read_of_people_is_recorded_and_its_value_not_published(reader: Reader) -> None:
    from castmark.safety.bias.image import reading_findings

    seen, truths = faces(60, 9)
    index = next(i for i, t in enumerate(truths) if t.get("gender") == "masculine")
    readings = reader.read(seen[index : index + 1])[0]
    asked = {f.name: f for f in reading_findings(readings, "a woman at sea", reader)}
    wrong = asked["gender, stated by the prompt"]
    assert not wrong.allowed and not wrong.binding and wrong.detail == "feminine"
    assert asked["skin_tone, left open by the prompt"].detail == truths[index]["skin_tone"]
    left = {f.name: f for f in reading_findings(readings, "a person at sea", reader)}
    assert left["gender, left open by the prompt"].detail == "masculine"
    assert not any("masculine" in f.name or "feminine" in f.name for f in [*asked.values(), *left.values()])
