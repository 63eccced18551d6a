"""What a base says of the end of a prompt that it does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from engine_fakes import FakeChecker
from tiny_bases import TINY

from castmark.bases import open_base
from castmark.bases.base import Base, CutsOff
from castmark.shot import Shot
from castmark.studio.studio import Studio
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import UNREAD_WORDS
from castmark_provenance.keys import PemKey

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
LONG = "a red mug on an oak table, " * 40


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", TINY)
def test_every_family_says_what_its_text_model_cuts_off(name: str, base_of: Callable[[str], Base]) -> None:
    family: Any = base_of(name).host.model
    end = family.unread(LONG)
    head = LONG.removesuffix(" ").removesuffix(end)
    assert 0 < len(head) < len(LONG.strip())
    assert family.unread(head) == ""
    assert family.unread("a red mug") == family.unread("") == ""
    with torch.no_grad():
        read = family.encode_text(head + end)
        assert same(read, family.encode_text(head + "z" * len(end))), "the end is not read"
        if name != "flux-schnell":  # CLIP's gist is of fewer tokens
            before = head.rstrip()[:-1] + "z"
            assert not same(read, family.encode_text(before + head[len(before) :] + end)), "all before it is"


def test_the_embedded_base_says_where_its_48_tokens_end() -> None:
    base = open_base(None)
    assert isinstance(base, CutsOff)
    long = "a woman with long red hair in a green shirt, " * 6 + "at the beach"
    assert base.unread(long).endswith("in a green shirt, at the beach")
    assert base.unread("a woman with long red hair in a green shirt at the beach") == ""


def test_it_is_told_with_the_image_and_only_counted_in_public(
    base_of: Callable[[str], Base], key: PemKey, key_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(key_folder.parent))
    studio = Studio(base=base_of("sd-turbo"), checker=FakeChecker(), wardrobe=EngineWardrobe(), key=key)
    long, short = studio.shoot_all([Shot("a mug " * 7 + "mug by the zebra lighthouse"), Shot("a mug")])
    assert long.ok and short.ok
    assert long.verdict.unread == "by the zebra lighthouse"
    assert long.verdict.notes == ("not read, too long: by the zebra lighthouse",)
    assert short.verdict.notes == ()
    (found,) = [f for f in long.claim.safety.findings if f.name == UNREAD_WORDS]
    assert (found.score, found.allowed, found.binding) == (4.0, False, False)
    assert b"zebra" not in long.data
