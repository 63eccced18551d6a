"""Adaptive steps: few denoising steps first, more only for images that the check or the likeness sends back.

What was spent is recorded with every image (``denoiser_evaluations``), with the rungs that were not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from castmark.errors import InputError
from castmark.studio.work import CheckBroke, Ready, each_of, wants_more
from castmark.take import Draft, Verdict

Judged: TypeAlias = tuple[Draft, Verdict] | Exception


def rungs_of(adaptive: Sequence[int], allowed: int) -> tuple[int, ...]:
    """The rungs asked for, where the policy allows so many drawings more than one.

    Raises:
        InputError: they do not rise from 1 on, or are too many.
    """
    if list(adaptive) != sorted(set(adaptive)) or any(rung < 1 for rung in adaptive):
        raise InputError(f"adaptive steps {list(adaptive)}: give rising numbers from 1 on, such as 1,2")
    if len(adaptive) > allowed:
        raise InputError(
            f"adaptive steps {list(adaptive)}: each shows the check another drawing, and the policy allows "
            f"{allowed} more than one; give fewer"
        )
    return tuple(adaptive)


def judged(
    ready: Mapping[int, Ready],
    rungs: Sequence[int],
    draw: Callable[[Sequence[tuple[int, Ready]]], Mapping[int, Draft | Exception]],
    check: Callable[[Sequence[Draft]], list[tuple[Draft, Verdict]]],
) -> dict[int, Judged]:
    """Every shot's drawing and verdict, of the last rung it took, or what went wrong there. A drawing's
    timings are those of all its rungs.

    ``ready`` share their steps; of ``rungs`` (denoising steps, rising) those below are tried before. A shot
    whose drawing or check fails does not take its neighbours along.
    """
    found: dict[int, Judged] = {}
    left = dict(ready)
    spent = dict.fromkeys(ready, 0)
    seconds: dict[int, dict[str, float]] = {index: {} for index in ready}
    tried: dict[int, list[str]] = {index: [] for index in ready}
    own = next(iter(ready.values())).resolved.steps if ready else 0
    for steps in (*(rung for rung in rungs if rung < own), own):
        drafts = draw([(index, _at(one, steps)) for index, one in left.items()])
        for index, result in checked(drafts, check).items():
            spent[index] += steps
            found[index] = result
            if not isinstance(result, Exception):
                draft, verdict = result
                settings = {**draft.settings, "denoiser_evaluations": spent[index]}
                settings |= {"adaptive": ",".join(tried[index])} if tried[index] else {}
                seconds[index] |= {k: seconds[index].get(k, 0.0) + v for k, v in draft.timings.items()}
                found[index] = (replace(draft, settings=settings, timings=dict(seconds[index])), verdict)
            tried[index].append(str(steps))
        left = {index: one for index, one in left.items() if wants_more(found[index])}
        if not left:
            break
    return found


def checked(
    drafts: Mapping[int, Draft | Exception],
    check: Callable[[Sequence[Draft]], list[tuple[Draft, Verdict]]],
) -> dict[int, Judged]:
    """Drawings with their verdicts; what went wrong in drawing stays, in checking it is a `CheckBroke`."""
    found: dict[int, Judged] = {i: draft for i, draft in drafts.items() if isinstance(draft, Exception)}
    good = [(index, draft) for index, draft in drafts.items() if isinstance(draft, Draft)]
    for index, result in each_of(good, check).items():
        found[index] = CheckBroke(result) if isinstance(result, Exception) else result
    return found


def _at(ready: Ready, steps: int) -> Ready:
    return replace(ready, resolved=replace(ready.resolved, steps=steps))
