"""References to LoRA: what `castmark learn` does.

The loss is taken on clean latents x0 along the base's own path, half of the time at the very timesteps the
base draws with (a few-step student is only ever asked there):

    inside the subject's mask    || f(x_t, phrase) - x0 ||^2        become the subject
    outside of it                || f(x_t, phrase) - f_base ||^2    leave the background to the prompt
    other prompts of its class   || f(x_t, class) - f_base ||^2     prior preservation

(DreamBooth, arXiv 2208.12242, eq. 2, with the base itself as the target.) Masked losses are divided by the
mask's sum. f is the model's clean picture on its own path (`castmark_adapters.schedule`), whatever it
predicts, so that one loss goes for every family; under much noise, where a picture of the references would
only teach their average, the subject's part falls away (`LearnSettings.clear_signal`), but never at the last
step the base draws with, which is where a one-step base is asked. With a reference adapter given, it is worn
in half of the steps, with the tokens of the other references, so that the two together do not count twice. A
step depends on its own seed alone: a run that was interrupted goes on from its checkpoint and ends with the
same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from castmark_adapters.checkpoint import Checkpoint, Saved
from castmark_adapters.errors import SubjectError
from castmark_adapters.host import Host, Model, Words
from castmark_adapters.lora import (
    LoraLayer,
    LoraWeights,
    attention_targets,
    build_layers,
    installed,
    matrices,
    weights_of,
)
from castmark_adapters.material import Material, prepare
from castmark_adapters.optimizer import Optimizer, make_optimizer
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.running import uncompiled
from castmark_adapters.schedule import NoisePath
from castmark_adapters.subject import LoraFile, Subject, sha256

FILE = "lora.safetensors"


@dataclass(frozen=True, kw_only=True)
class LearnSettings:
    """How a LoRA is learned. ``drawing_steps`` is the number of denoising steps the base will draw with."""

    steps: int = 80
    rank: int = 8
    batch: int = 4
    """Views of the subject a step; half as many others of its class go with them."""
    learning_rate: float = 1e-3
    background: float = 0.5
    """Weight of the loss outside the subject's mask."""
    preservation: float = 0.5
    """Weight of prior preservation."""
    drawing_steps: int = 4
    clear_signal: float = 0.45
    """The subject is learned where the share of the picture in x_t exceeds this; elsewhere the base is
    preserved."""
    views: int = 6
    """Shifted and zoomed views of each reference."""
    others: int = 12
    """Pictures of others of the class, which the base draws before the first step."""
    seed: int = 0
    checkpoint_every: int = 20
    optimizer: Optimizer = "adamw"
    """"adamw8bit" keeps its state in 8 bits (bitsandbytes, on a GPU)."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: a third slower, and memory for large denoisers."""


@dataclass(frozen=True)
class LearnEvent:
    """One step done, with its losses; the two unlike-the-base terms count as ``preserved``."""

    step: int
    steps: int
    subject: float
    preserved: float
    likeness: float | None = None
    """Mean identity score of the previews drawn after this step, where they were; -1 for blurred ones."""
    likeness_without: float | None = None
    """The same without a LoRA."""


def learn(
    subject: Subject,
    host: Host,
    settings: LearnSettings | None = None,
    on_event: Callable[[LearnEvent], None] = lambda _: None,
    *,
    reference: ReferenceAdapter | None = None,
    work: str | Path | None = None,
) -> Subject:
    """Learn a LoRA of the subject on this base; the subject returned carries it.

    With a ``work`` folder the run leaves checkpoints there, and goes on from the last one of the same
    subject, base and settings. The base is exactly what it was afterwards.

    Raises:
        SubjectError: no reference at hand, or the loss is no longer finite.
        HostError: the base cannot wear a LoRA.
    """
    settings = settings or LearnSettings()
    if not subject.references:
        raise SubjectError(f"subject {subject.name!r} has no reference images; give 3 to 6")
    if len(subject.references) < 2:
        reference = None  # there is no other view to look at, and looking at the target teaches copying
    model = host.model
    path = model.path(settings.drawing_steps)
    checkpoint = Checkpoint(work, _run_digest(subject, host, settings, reference))
    with (
        frozen(model.denoiser, checkpointing=settings.gradient_checkpointing),
        torch.random.fork_rng(devices=[]),
    ):
        material = prepare(
            subject,
            host,
            views=settings.views,
            others=settings.others,
            steps=settings.drawing_steps,
            seed=settings.seed,
            reference=reference,
        )
        saved = checkpoint.read()
        weights = saved.weights if saved else _fresh(model, settings)
        layers = build_layers(model.denoiser, weights, f"LoRA of {subject.name}", torch.float32)
        parameters = [p for name in sorted(layers) for p in matrices(layers[name])]
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = make_optimizer(settings.optimizer, parameters, settings.learning_rate)
        if saved:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": saved.optimizer})
        for step in range(saved.step if saved else 0, settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, settings.steps)
            optimizer.zero_grad(set_to_none=True)
            # What is worn stays on until the backward pass, which may compute activations again.
            with ExitStack() as worn:
                losses = _losses(host, layers, material, path, settings, step, reference, worn)
                total = sum(losses[1:], losses[0])
                if not bool(torch.isfinite(total)):
                    raise SubjectError(
                        f"subject {subject.name!r}: learning diverged at step {step}; lower the learning rate"
                    )
                cast("Any", total).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            subject_loss, *preserved = (loss.item() for loss in losses)
            on_event(LearnEvent(step + 1, settings.steps, subject_loss, sum(preserved)))
            if (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
                checkpoint.write(
                    Saved(weights_of(layers, model.lora_prefix), optimizer.state_dict()["state"], step + 1)
                )
        data = weights_of(layers, model.lora_prefix).to_bytes()
    checkpoint.remove()
    card = LoraFile(
        name=FILE, sha256=sha256(data), base=host.digest, rank=settings.rank, steps=settings.steps
    )
    return subject.model_copy(update={"lora": card}).holding({**subject.files, FILE: data})


def _losses(
    host: Host,
    layers: Mapping[str, LoraLayer],
    material: Material,
    path: NoisePath,
    settings: LearnSettings,
    step: int,
    reference: ReferenceAdapter | None,
    worn: ExitStack,
) -> list[Tensor]:
    """The three terms of one step, weighted: subject, background, class. What they need on is put on with
    ``worn``.
    """
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    count = settings.batch
    target = int(torch.randint(int(material.source.max()) + 1, (1,), generator=generator))
    own = torch.nonzero(material.source == target)[:, 0]
    pick = own[torch.randint(len(own), (count,), generator=generator)]
    text = torch.randint(len(material.texts), (count,), generator=generator)
    other = torch.randint(len(material.others), ((count + 1) // 2,), generator=generator)
    x0 = torch.cat([material.latents[pick], material.others[other]])
    words = [material.texts[i] for i in text.tolist()] + [material.other_texts[i] for i in other.tolist()]
    t = path.sample_timesteps(len(x0), generator)
    x_t = path.noised(x0, torch.randn(x0.shape, generator=generator).to(x0), t)
    if reference is not None and material.tokens is not None and step % 2:
        views = [i for i in range(material.tokens.shape[1]) if i != target]
        worn.enter_context(reference.worn(host, material.tokens[:, views]))
    with torch.no_grad():
        base = _x0(host, path, x_t, t, words)
    worn.enter_context(installed(host.model.denoiser, layers))
    ours = _x0(host, path, x_t, t, words)
    # Under much noise the mean of the references' places and poses is all there is to learn, which blurs what
    # a few-step base draws; there it stays as it is.
    clearest = float(path.signal(path.drawing[-1:]))
    clear = (path.signal(t[:count]) >= min(settings.clear_signal, clearest)).to(x0)
    mask = material.masks[pick] * clear
    return [
        _masked((ours[:count] - x0[:count]) ** 2, mask),
        settings.background * _masked((ours[:count] - base[:count]) ** 2, 1 - mask),
        settings.preservation * ((ours[count:] - base[count:]) ** 2).mean(),
    ]


def _x0(
    host: Host,
    path: NoisePath,
    x_t: Float[Tensor, "b c h w"],
    t: Shaped[Tensor, " b"],
    words: Sequence[Words],
) -> Float[Tensor, "b c h w"]:
    """The model's clean picture of x_t, in float32."""
    return path.x0(host.model.predict(x_t, t, words, host.call_arguments).float(), x_t, t)


def _masked(error: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Tensor:
    """Mean error under the mask: divided by the mask's sum, so that a small subject counts as much."""
    return (error * mask).sum() / (mask.sum() * error.shape[1]).clamp(min=1e-6)


def _fresh(model: Model, settings: LearnSettings) -> LoraWeights:
    """A start that changes nothing: A random, B zero."""
    generator = torch.Generator().manual_seed(settings.seed)
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for name in attention_targets(model):
        linear = cast("nn.Linear", model.denoiser.get_submodule(name))
        down = torch.randn(settings.rank, linear.in_features, generator=generator) / linear.in_features**0.5
        layers[name] = (down, torch.zeros(linear.out_features, settings.rank))
    return LoraWeights(settings.rank, layers, model.lora_prefix)


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: five steps of warm-up, then down to a tenth."""
    return min(1.0, (step + 1) / 5) * (1 - 0.9 * step / steps)


def _run_digest(
    subject: Subject, host: Host, settings: LearnSettings, reference: ReferenceAdapter | None
) -> str:
    """What a checkpoint is good for: these references and phrase, this base, these settings."""
    run = {
        "references": [r.model_dump() for r in subject.references],
        "phrase": subject.phrase,
        "kind": subject.kind,
        "base": host.digest,
        "settings": asdict(settings),
        "reference": reference.sha256 if reference else None,
    }
    return sha256(json.dumps(run, sort_keys=True).encode())


@contextmanager
def frozen(denoiser: nn.Module, *, checkpointing: bool = False) -> Generator[None]:
    """No gradients for the base, and no dropout; both as they were on exit.

    With ``checkpointing`` its activations are computed again in the backward pass instead of being kept. A
    compiled one runs as it was written: a LoRA that is learned is no slot's, and few steps repay no compile.
    """
    trainable = [(parameter, parameter.requires_grad) for parameter in denoiser.parameters()]
    training = denoiser.training
    denoiser.requires_grad_(False)
    # diffusers checkpoints in training mode only; the denoisers of a few steps have no dropout to switch off.
    denoiser.train(checkpointing)
    if checkpointing:
        cast("Any", denoiser).enable_gradient_checkpointing()
    try:
        with uncompiled():
            yield
    finally:
        if checkpointing:
            cast("Any", denoiser).disable_gradient_checkpointing()
        for parameter, required in trainable:
            parameter.requires_grad_(required)
        denoiser.train(training)
