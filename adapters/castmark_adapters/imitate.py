"""References to LoRA on a few-step base: what `castmark learn` does on the embedded one.

At each of the base's own timesteps, on its own drawings (`castmark_adapters.imitation`):

    inside the subject's mask    huber(f(x_t, phrase and place) - target)    become the subject
    outside of it                || f(x_t, phrase and place) - f_base ||^2   leave the place to the prompt
    other prompts of its class   || f(x_t, class) - f_base ||^2              prior preservation

x_t starts as the drawing's and goes part of the way to the target, because the steps before will have gone it
too. With a reference adapter it is worn in every other step, with the tokens of the other references.

Every few steps it is looked at: previews under what shots will wear are scored against the references, at
full and at less strength. The best that is not blurred is kept, with its strength multiplied in; learning
stops when the score no longer rises; and if none is more like the subject than without a LoRA, there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from castmark_adapters.checkpoint import Checkpoint, Saved
from castmark_adapters.errors import SubjectError
from castmark_adapters.host import Host
from castmark_adapters.identity import IdentityScorer
from castmark_adapters.imitation import Lessons, decode, draw, lessons
from castmark_adapters.learn import FILE, LearnEvent, frozen
from castmark_adapters.lora import (
    LoraLayer,
    LoraWeights,
    attention_targets,
    build_layers,
    convolution_targets,
    installed,
    matrices,
    weights_of,
)
from castmark_adapters.material import PLACES
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.schedule import Schedule
from castmark_adapters.subject import LoraFile, Subject, sha256


@dataclass(frozen=True, kw_only=True)
class ImitationSettings:
    """How a LoRA is learned by imitation. ``drawing_steps``: denoising steps the base will draw with."""

    steps: int = 100
    rank: int = 8
    batch: int = 4
    """Drawings a step; half as many others of its class go with them."""
    learning_rate: float = 1e-3
    background: float = 0.5
    preservation: float = 0.5
    """Weights of the losses outside of the subject and on others of its class."""
    huber: float = 0.1
    """Distance, in latent units, from which an error counts by its size and no longer by its square: a mean
    of several targets is then no better than one of them."""
    drawings: int = 24
    others: int = 12
    drawing_steps: int = 4
    preview_every: int = 20
    previews: int = 4
    strengths: tuple[float, ...] = (1.0, 0.6)
    """Strengths that previews are drawn at; the best is multiplied into the weights."""
    patience: int = 3
    """Looks without a better score after which learning stops."""
    least_gain: float = 0.01
    """What the score must gain over none for a LoRA to be kept."""
    least_sharpness: float = 0.7
    """Share of the sharpness without a LoRA that previews must keep: the identity score does not mind blur.
    Of five subjects one at 0.52 had lost by the judge's eye; the others, 0.73 and more, hardly or not."""
    seed: int = 0


def imitate(
    subject: Subject,
    host: Host,
    settings: ImitationSettings | None = None,
    on_event: Callable[[LearnEvent], None] = lambda _: None,
    *,
    scorer: IdentityScorer | None = None,
    reference: ReferenceAdapter | None = None,
    recognised: ReferenceAdapter | None = None,
    work: str | Path | None = None,
) -> Subject:
    """Learn a LoRA of the subject on this base. The subject returned carries it, or none where, by the
    scorer, it would not have been more like the references; without a scorer the last state is kept.

    With a ``work`` folder the run leaves checkpoints there, and goes on from the last one of the same
    subject, base and settings. The base is exactly what it was afterwards.

    Args:
        reference: is worn in every other step.
        recognised: lets the base know the subject in all that is drawn, if it can, as shots will.

    Raises:
        SubjectError: no reference at hand, or the loss is no longer finite.
        HostError: the base cannot wear a LoRA.
    """
    settings = settings or ImitationSettings()
    if not subject.references:
        raise SubjectError(f"subject {subject.name!r} has no reference images; give 3 to 6")
    unet = host.pipeline.unet
    schedule = Schedule(host.pipeline.scheduler, settings.drawing_steps)
    run = _run(subject, host, settings, scorer, reference, recognised)
    checkpoint = Checkpoint(work, sha256(run.encode()))
    kept = Checkpoint(work, sha256(f"{run} best".encode()))
    with frozen(unet), torch.random.fork_rng(devices=[]):
        found = lessons(
            subject,
            host,
            schedule,
            drawings=settings.drawings,
            others=settings.others,
            seed=settings.seed,
            recognised=recognised,
        )
        look = _Look(subject, host, schedule, settings, scorer, reference, recognised)
        saved, best = checkpoint.read(), kept.read()
        weights = saved.weights if saved else _fresh(host, settings)
        layers = build_layers(unet, weights, f"LoRA of {subject.name}", torch.float32)
        parameters = [p for name in sorted(layers) for p in matrices(layers[name])]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=0.01)
        if saved:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": saved.optimizer})
        none, sharp = look.at({}, 1.0)
        if best is None:
            best, score = Saved(weights, {}, 0), none + settings.least_gain
        else:
            score, _ = look.at(build_layers(unet, best.weights, subject.name), 1.0)
        for step in range(saved.step if saved else 0, settings.steps):
            losses = _losses(host, layers, found, schedule, settings, step, _worn(subject, reference))
            total = sum(losses[1:], losses[0])
            if not bool(torch.isfinite(total)):
                raise SubjectError(
                    f"subject {subject.name!r}: learning diverged at step {step}; lower the learning rate"
                )
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, settings.steps)
            optimizer.zero_grad(set_to_none=True)
            cast("Any", total).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            done = step + 1
            seen: float | None = None
            if scorer is not None and (done % settings.preview_every == 0 or done == settings.steps):
                seen, strength = max(
                    (found_score if sharpness >= settings.least_sharpness * sharp else -1.0, s)
                    for s in settings.strengths
                    for found_score, sharpness in (look.at(layers, s),)
                )
                if seen > score:
                    score, best = (
                        seen,
                        Saved(weights_of(layers, host.model.lora_prefix).times(strength), {}, done),
                    )
                    kept.write(best)
            inside, *preserved = (loss.item() for loss in losses)
            on_event(LearnEvent(done, settings.steps, inside, sum(preserved), seen, none))
            if seen is not None and done - best.step >= settings.patience * settings.preview_every:
                break
            if done % settings.preview_every == 0 and done < settings.steps:
                checkpoint.write(
                    Saved(weights_of(layers, host.model.lora_prefix), optimizer.state_dict()["state"], done)
                )
        if scorer is None:
            best = Saved(weights_of(layers, host.model.lora_prefix), {}, settings.steps)
    checkpoint.remove()
    kept.remove()
    if not best.step:
        return subject.model_copy(update={"lora": None}).holding(_without_lora(subject))
    data = best.weights.to_bytes()
    card = LoraFile(name=FILE, sha256=sha256(data), base=host.digest, rank=settings.rank, steps=best.step)
    return subject.model_copy(update={"lora": card}).holding({**_without_lora(subject), FILE: data})


class _Look:
    """Previews: the subject in a few places, drawn under what shots will wear, scored."""

    def __init__(
        self,
        subject: Subject,
        host: Host,
        schedule: Schedule,
        settings: ImitationSettings,
        scorer: IdentityScorer | None,
        reference: ReferenceAdapter | None,
        recognised: ReferenceAdapter | None,
    ) -> None:
        self._subject, self._host, self._schedule, self._scorer = subject, host, schedule, scorer
        self._prompts = [f"{subject.phrase} {PLACES[i % len(PLACES)]}" for i in range(settings.previews)]
        self._seed = settings.seed + 1_000_000
        self._reference, self._recognised = reference, recognised

    def at(self, layers: Mapping[str, LoraLayer], strength: float) -> tuple[float, float]:
        """Mean score and mean step between neighbouring pixels with these layers; 0 without a scorer."""
        if self._scorer is None:
            return 0.0, 0.0
        pipeline = self._host.pipeline
        with ExitStack() as stack, torch.no_grad():
            if self._recognised is not None:
                stack.enter_context(self._recognised.known(self._subject))
            if self._reference is not None:
                stack.enter_context(self._reference.of(self._subject).worn(self._host))
            stack.enter_context(installed(pipeline.unet, layers, strength))
            drawn = draw(self._host, self._schedule, self._prompts, self._seed, worn=True)
            pictures = decode(pipeline, drawn.clean[:, -1])
        pixels = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        sharpness = sum(float(pictures.diff(dim=dim).abs().mean()) for dim in (2, 3))
        return float(np.mean(self._scorer.scores(list(pixels), self._subject))), sharpness


_Worn = tuple[ReferenceAdapter, Float[Tensor, "1 refs seq dim"]]


def _worn(subject: Subject, reference: ReferenceAdapter | None) -> _Worn | None:
    """The reference adapter and the subject's tokens, where there is another view than the one to imitate."""
    if reference is None or len(subject.references) < 2:
        return None
    return reference, reference.of(subject).tokens


def _losses(
    host: Host,
    layers: Mapping[str, LoraLayer],
    found: Lessons,
    schedule: Schedule,
    settings: ImitationSettings,
    step: int,
    worn: _Worn | None,
) -> list[Tensor]:
    """The three terms of one step, weighted: subject, background, class (which wears no references)."""
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    count, levels = settings.batch, found.own.noisy.shape[1]
    pick = torch.randint(len(found.targets), (count,), generator=generator)
    level = torch.randint(levels, (count,), generator=generator)
    target, mask, outside = found.targets[pick], found.masks[pick], found.outside[pick]
    x_t = _on_the_way(found, schedule, pick, level, generator)
    t, texts, base = schedule.drawing[level], found.own.texts[pick], found.own.clean[pick, level]
    if worn is not None and step % 2:
        reference, tokens = worn
        views = [[i for i in range(tokens.shape[1]) if i != own] for own in found.source[pick].tolist()]
        with reference.worn(host, tokens[0][torch.tensor(views)]):
            ours = _clean(host, layers, schedule, x_t, t, texts)
        apart = ours.new_zeros(())
    else:
        other = torch.randint(len(found.others.noisy), ((count + 1) // 2,), generator=generator)
        when = torch.randint(levels, other.shape, generator=generator)
        both = [
            (x_t, found.others.noisy[other, when]),
            (t, schedule.drawing[when]),
            (texts, found.others.texts[other]),
        ]
        ours = _clean(host, layers, schedule, *(torch.cat(pair) for pair in both))
        ours, others = ours[:count], ours[count:]
        apart = ((others - found.others.clean[other, when]) ** 2).mean()
    error = ((ours - target) ** 2 + settings.huber**2).sqrt() - settings.huber
    return [
        _masked(error, mask),
        settings.background * _masked((ours - base) ** 2, outside),
        settings.preservation * apart,
    ]


def _on_the_way(
    found: Lessons,
    schedule: Schedule,
    pick: Int[Tensor, " b"],
    level: Int[Tensor, " b"],
    generator: torch.Generator,
) -> Float[Tensor, "b c h w"]:
    """x_t under the drawing's own noise: at the first timestep nothing else, later what was drawn before,
    moved up to all of the way to the target.
    """
    noisy, before = found.own.noisy[pick, level], found.own.clean[pick, (level - 1).clamp(min=0)]
    way = torch.rand(len(pick), 1, 1, 1, generator=generator).to(before) * found.masks[pick]
    moved = schedule.signal(schedule.drawing[level]).to(before.device) * way * (found.targets[pick] - before)
    first = (level == 0)[:, None, None, None].to(moved.device)
    return torch.where(first, noisy, noisy + moved)


def _clean(
    host: Host,
    layers: Mapping[str, LoraLayer],
    schedule: Schedule,
    x_t: Float[Tensor, "b c h w"],
    t: Int[Tensor, " b"],
    texts: Float[Tensor, "b tokens dim"],
) -> Float[Tensor, "b c h w"]:
    """The base's clean latents under the LoRA, and under the references that are worn."""
    unet = host.pipeline.unet
    embeds: Sequence[Tensor] | None = host.call_arguments.get("ip_adapter_image_embeds")
    conditions = {"image_embeds": list(embeds)} if embeds else None
    with installed(unet, layers):
        output = unet(
            x_t.to(unet.dtype),
            t.to(x_t.device),
            encoder_hidden_states=texts,
            added_cond_kwargs=conditions,
        )
    return schedule.x0(output.sample.float(), x_t, t)


def _masked(error: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Tensor:
    """Mean error under the mask: divided by the mask's sum, so that a small subject counts as much."""
    return (error * mask).sum() / (mask.sum() * error.shape[1]).clamp(min=1e-6)


def _fresh(host: Host, settings: ImitationSettings) -> LoraWeights:
    """A start that changes nothing: A random, B zero."""
    unet = host.pipeline.unet
    generator = torch.Generator().manual_seed(settings.seed)
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for name in (*attention_targets(host.model), *convolution_targets(unet)):
        weight = cast("Tensor", unet.get_submodule(name).weight)
        down = torch.randn(settings.rank, *weight.shape[1:], generator=generator) / weight[0].numel() ** 0.5
        layers[name] = (down, torch.zeros(weight.shape[0], settings.rank, *[1] * (weight.ndim - 2)))
    return LoraWeights(settings.rank, layers, host.model.lora_prefix)


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: five steps of warm-up, then down to a tenth."""
    return min(1.0, (step + 1) / 5) * (1 - 0.9 * step / steps)


def _without_lora(subject: Subject) -> dict[str, bytes]:
    return {name: data for name, data in subject.files.items() if name != FILE}


def _run(
    subject: Subject,
    host: Host,
    settings: ImitationSettings,
    scorer: IdentityScorer | None,
    reference: ReferenceAdapter | None,
    recognised: ReferenceAdapter | None,
) -> str:
    """What a checkpoint is good for: these references and phrase, this base, these settings."""
    run = {
        "by": "imitation",
        "references": [r.model_dump() for r in subject.references],
        "phrase": subject.phrase,
        "kind": subject.kind,
        "base": host.digest,
        "settings": asdict(settings),
        "scorer": scorer.encoder.digest if scorer else None,
        "reference": reference.sha256 if reference else None,
        "recognised": recognised is not None,
    }
    return json.dumps(run, sort_keys=True)
