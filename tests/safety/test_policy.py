from __future__ import annotations

from pathlib import Path

import pytest

from castmark.errors import InputError
from castmark.safety import Policy, shipped_policies
from castmark_world import ITEMS


def test_two_policies_ship_and_require_what_the_world_shows() -> None:
    assert shipped_policies() == ["brand-safe", "general-audience"]
    for name in shipped_policies():
        policy = Policy.load(name)
        assert policy.name == name
        shown = {item.category for item in ITEMS.values() if item.category}
        assert set(policy.judged) == shown and len(shown) == 5
        assert all(policy.categories[category].if_uncalibrated == "refuse" for category in shown)
        assert not policy.categories["nudity"].judged
        assert {"alcohol", "smoking", "drugs"} <= set(policy.escalate["child"].categories)
        assert "photograph" in policy.domain


def test_the_digest_changes_with_one_word(policy_file: Path) -> None:
    before = Policy.load(policy_file).digest
    assert Policy.load(policy_file).digest == before
    policy_file.write_text(policy_file.read_text().replace("a sword", "a swords"))
    assert Policy.load(policy_file).digest != before


def test_the_budget_is_shared_out_over_the_judged_categories(policy: Policy) -> None:
    assert set(policy.judged) == {"weapon", "alcohol"}
    assert policy.alpha(2) == pytest.approx(0.01)
    assert policy.prompt_alpha(2) == pytest.approx(0.01), (
        "as many prompts as images where nothing else is said"
    )
    fewer = policy.model_copy(update={"budget": policy.budget.model_copy(update={"prompt_fpr": 0.004})})
    assert fewer.prompt_alpha(2) == pytest.approx(0.002) and fewer.alpha(2) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("on_error: block", "on_error: allow", "on_error"),
        ("fpr: 0.02", "fpr: 0", "budget.fpr"),
        ("version: 1", "version: 2", "version"),
        ("audience: general", "audience: general\nsurprise: 1", "surprise"),
        ("anchors: [a cup, a book]", "anchors: []", "categories.weapon"),
        ("action: warn", "action: shrug", "categories.alcohol.action"),
        ("action: warn", "if_uncalibrated: maybe", "categories.alcohol.if_uncalibrated"),
        ("categories:", "escalate: {child: {categories: [beards]}}\ncategories:", "escalate.child"),
        ("categories:", "fairness: {target: {height: uniform}}\ncategories:", "fairness.target"),
        ("categories:", "fairness: {target: {age: {adult: 0.9}}}\ncategories:", "fairness.target"),
        ("categories:", "subject: {lock: [hair]}\ncategories:", "subject.lock"),
        ("categories:", "categories: {}\nother:", "categories"),
    ],
)
def test_a_wrong_policy_is_refused_by_key(policy_file: Path, old: str, new: str, complaint: str) -> None:
    policy_file.write_text(policy_file.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=complaint):
        Policy.load(policy_file)


@pytest.mark.parametrize("content", [b"", b"- a list", b"a: [unclosed", b"\xff\xfe\x00bad", b"just text"])
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.yaml"):
        Policy.load(path)


def test_an_unknown_policy_names_those_that_ship() -> None:
    with pytest.raises(InputError, match="brand-safe, general-audience"):
        Policy.load("brand-unsafe")
