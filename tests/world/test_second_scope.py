"""The second scope lies within the full world and leaves out what it says it does."""

from world_samples import rng

import castmark_world as world
from castmark_world import FULL, SECOND, CharacterSpec
from castmark_world.outfits import OUTFITS, worn


def test_everything_in_it_is_of_the_full_world() -> None:
    for kind, attributes in SECOND.attributes.items():
        full = FULL.attributes[kind]
        for name, odds in (*attributes.named.items(), *attributes.choices.items()):
            whole = (full.named | full.choices)[name]
            assert set(odds.values) <= set(whole.values), name
        assert attributes.hidden <= full.hidden
    assert set(SECOND.scenes) <= set(FULL.scenes)
    for ours, theirs in ((SECOND.poses, FULL.poses), (SECOND.expressions, FULL.expressions)):
        assert set(ours.values) <= set(theirs.values)


def test_scenes_show_occupations_in_their_clothes_and_nothing_beyond_the_scope() -> None:
    source = rng(2)
    named = SECOND.attributes["character"].named
    seen: set[str] = set()
    for _ in range(600):
        scene = world.sample_scene(source, scope=SECOND)
        assert (scene.style, scene.weather, scene.props, scene.other) == ("flat", "clear", (), None)
        assert scene.camera in ("full", "half") and scene.place in SECOND.scenes
        assert scene.item is None or scene.item in SECOND.catalogue
        assert world.caption(scene, source, SECOND)
        subject = scene.subject
        if isinstance(subject, CharacterSpec):
            seen.add(subject.occupation)
            for name in ("top", "headwear", "glasses"):
                assert getattr(subject, name) in (*named[name].values, *worn(name))
    assert seen == {"none", *OUTFITS}


def test_who_has_an_occupation_says_nothing_of_their_gender() -> None:
    source, counts = rng(5), {"feminine": 0, "masculine": 0}
    for _ in range(3000):
        subject = world.sample_subject(source, "character", scope=SECOND)
        assert isinstance(subject, CharacterSpec)
        if subject.occupation == "nurse" and subject.gender in counts:
            counts[subject.gender] += 1
    total = sum(counts.values())
    assert total > 40 and abs(counts["feminine"] / total - 0.5) < 0.2, counts
