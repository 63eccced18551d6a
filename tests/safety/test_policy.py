from __future__ import annotations

from pathlib import Path

import pytest

from castmark.errors import InputError
from castmark.safety import Policy, shipped_policies
from castmark.safety.policy import read_terms, shipped_terms
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


def test_shipped_terms_come_before_a_policys_own(policy_file: Path) -> None:
    text = policy_file.read_text()
    policy_file.write_text(text.replace("  weapon:\n", "  weapon:\n    terms: weapon\n"))
    with_terms, shipped = Policy.load(policy_file), read_terms("weapon")
    weapon = with_terms.categories["weapon"]
    assert weapon.prompts == (*shipped["prompts"], "a knife", "a sword")
    assert weapon.words == (*shipped["words"], "knife", "sword")
    assert weapon.exceptions == (*shipped["exceptions"], "palette knife")
    assert Policy.model_validate(with_terms.model_dump()) == with_terms, "nothing is added twice"
    more = text.replace("  weapon:\n", "  weapon:\n    terms: weapon\n").replace("[knife, sword]", "[knife]")
    policy_file.write_text(more)
    assert Policy.load(policy_file).digest != with_terms.digest
    policy_file.write_text(text.replace("  drugs: {words: [cocaine]}", "  nudity: {terms: nudity}"))
    assert Policy.load(policy_file).categories["nudity"].words == tuple(read_terms("nudity")["words"])


@pytest.mark.parametrize("kind", shipped_terms())
def test_shipped_terms_are_said_once_and_excepted_phrases_hold_a_word(kind: str) -> None:
    terms = read_terms(kind)
    for listed in terms.values():
        assert len(set(listed)) == len(listed)
    # Whole, or in a longer word (gunmetal), which the judge might take for it.
    idle = [phrase for phrase in terms["exceptions"] if not any(word in phrase for word in terms["words"])]
    assert not idle, f"excepted, though nothing in them is listed: {idle}"


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
        (
            "    prompts: [a knife",
            "    terms: beards\n    prompts: [a knife",
            "no terms of 'beards' ship.*weapon",
        ),
        ("    prompts: [a knife", "    terms: [weapon]\n    prompts: [a knife", "categories.weapon"),
        ("words: [knife, sword]", "terms: weapon\n    words: knife", "categories.weapon.words"),
        ("audience: general", "audience: general\nsurprise: 1", "surprise"),
        ("anchors: [a cup, a book]", "anchors: []", "categories.weapon"),
        ("action: warn", "action: shrug", "categories.alcohol.action"),
        ("action: warn", "if_uncalibrated: maybe", "categories.alcohol.if_uncalibrated"),
        ("categories:", "escalate: {child: {categories: [beards]}}\ncategories:", "escalate.child"),
        ("categories:", "fairness: {target: {height: uniform}}\ncategories:", "fairness.target"),
        ("categories:", "fairness: {target: {age: {adult: 0.9}}}\ncategories:", "fairness.target"),
        ("categories:", "subject: {lock: [hair]}\ncategories:", "subject.lock"),
        ("categories:", "categories: {}\nother:", "categories"),
        ("action: warn", "action: warn, action: block", "'action' is given twice"),
        ("categories:", "categories: {}\ncategories:", "'categories' is given twice"),
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
