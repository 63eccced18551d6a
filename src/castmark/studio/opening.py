"""Puts a studio together from what is installed: the only place that knows the default of every part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import castmark_data
from castmark.errors import BaseError
from castmark.extras import require
from castmark_provenance.keys import Key, PemKey, ensure_local_key

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.bases.speed import SpeedSettings
    from castmark.studio.studio import Studio
    from castmark_adapters.host import ReferenceSource
    from castmark_adapters.identity import IdentityScorer
    from castmark_adapters.learn import LearnEvent
    from castmark_adapters.subject import Subject

EMBEDDED = "embedded"


def open_studio(
    base: str | Path | None = None,
    policy: str | Path | None = None,
    key: Key | str | Path | None = None,
    *,
    steps: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    batch_size: int,
    disclose_prompt: bool = False,
    parameters: bool = False,
    adaptive: Sequence[int] = (),
    watermark: bool = True,
    identity: str | Path | None = None,
    exact: bool = False,
    reference: str | Path | None = None,
    speed: SpeedSettings | None = None,
    judge: str | Path | None = None,
) -> Studio:
    """See `castmark.studio.studio.Studio.open`."""
    require("Studio.open", "engine")
    from castmark.bases.speed import Hardware, SpeedSettings
    from castmark.safety import open_checker
    from castmark.shot import bound_steps
    from castmark.studio.studio import Studio
    from castmark.studio.wardrobe import EngineWardrobe
    from castmark_provenance.durable.layer import DurableLayer

    # Cheapest first: wrong steps, a wrong key, device or policy are told before the models are loaded.
    bound_steps(steps)
    signing_key = open_key(key)
    Hardware.of(device or "cpu")
    durable = DurableLayer.open() if watermark else None
    checker = open_checker(policy, device, judge)
    scorer = open_scorer(identity, device)
    speed = replace(speed or SpeedSettings(), largest_batch=batch_size)
    opened = open_drawing_base(base, device, threads, exact=exact, speed=speed)
    checker.calibration.require_base(opened.name, opened.digest)
    identity_min = checker.policy.subject.identity_min
    if identity_min == "calibrated":
        identity_min = scorer.threshold
    return Studio(
        base=opened,
        checker=checker,
        wardrobe=EngineWardrobe(
            open_reference(base, opened, reference),
            scorer,
            identity_min=identity_min,
            otherwise=opened.keeps_subjects,
        ),
        key=signing_key,
        steps=steps,
        batch_size=batch_size,
        disclose_prompt=disclose_prompt,
        parameters=parameters,
        adaptive=adaptive,
        durable=durable,
    )


def open_key(key: Key | str | Path | None) -> Key:
    """A key as it is, the key in a folder, or the local one, made on first use (which is logged).

    Raises:
        KeyMaterialError: it cannot be used.
    """
    if key is None:
        return ensure_local_key()
    return PemKey.load_folder(key) if isinstance(key, str | Path) else key


def open_drawing_base(
    base: str | Path | None,
    device: str | None,
    threads: int | None,
    *,
    exact: bool = True,
    speed: SpeedSettings | None = None,
) -> Base:
    """The base, with torch's threads as asked for or chosen for the machine, and freed memory kept.

    Raises:
        BaseError: it cannot be loaded, or the device is not there.
    """
    import torch

    from castmark.bases import open_base
    from castmark.machine.memory import keep_freed_memory
    from castmark.machine.threads import calm_numpy, choose_threads

    keep_freed_memory()
    calm_numpy()
    torch.set_num_threads(threads or choose_threads())
    try:
        return open_base(base, device=device, exact=exact, settings=speed)
    except (RuntimeError, AssertionError) as error:  # torch's answers to a device that is not there
        raise BaseError(
            f"base {base or EMBEDDED}: cannot be put on {device or 'the CPU'} ({error})"
        ) from error


def open_scorer(source: str | Path | None = None, device: str | None = None) -> IdentityScorer:
    """The identity score of an encoder (a folder or "NAME:WEIGHTS"; None for the embedded one), under the
    user's own calibration of it where there is one (``castmark identity calibrate``), else under the one in
    its folder.

    Raises:
        CheckError: there is no such encoder, or it is not calibrated.
        AdapterError: its files are missing, damaged, or do not belong together.
    """
    from castmark.safety.identity_encoder import find_identity_calibration, open_identity_encoder
    from castmark_adapters.identity import IdentityScorer

    encoder = open_identity_encoder(source, device)
    return IdentityScorer(encoder, find_identity_calibration(encoder, source))


def open_reference(
    base: str | Path | None, opened: Base, reference: str | Path | None = None
) -> ReferenceSource | None:
    """How the base is shown reference images: by the adapter at ``reference``, by the one that ships for the
    embedded base, or in the base's own way; None where there is no way.

    Raises:
        BaseError: the base takes no reference adapter, or there is none there.
        AdapterError: its files are missing or damaged.
    """
    if reference is None and (base is None or str(base) == EMBEDDED):
        reference = castmark_data.path(EMBEDDED, "reference")
    return opened.open_reference(reference)


def knows(scorer: IdentityScorer, reference: ReferenceSource) -> bool:
    """Whether the identity score is of the encoder that the reference adapter reads with: then the base draws
    what the score was calibrated on.
    """
    from castmark_adapters.reference import ReferenceAdapter

    return isinstance(reference, ReferenceAdapter) and reference.encoder.digest == scorer.encoder.digest


def learn_subject(
    subject: Subject,
    base: Base,
    reference: ReferenceSource | None,
    *,
    steps: int | None = None,
    work: str | Path | None = None,
    on_event: Callable[[LearnEvent], None] | None = None,
) -> Subject:
    """See `castmark.studio.studio.Studio.learn`."""
    from castmark_adapters.imitate import ImitationSettings, imitate
    from castmark_adapters.learn import learn
    from castmark_adapters.reference import ReferenceAdapter

    scorer = open_scorer() if isinstance(reference, ReferenceAdapter) else None
    if scorer is not None and reference is not None and knows(scorer, reference):
        few = ImitationSettings(drawing_steps=base.default_steps)
        few = few if steps is None else replace(few, steps=steps)
        return imitate(
            subject,
            base.host,
            few,
            on_event=on_event or (lambda _: None),
            scorer=scorer,
            recognised=reference if isinstance(reference, ReferenceAdapter) else None,
            work=work,
        )
    return learn(
        subject,
        base.host,
        base.learn_settings(steps),
        on_event=on_event or (lambda _: None),
        reference=reference if isinstance(reference, ReferenceAdapter) else None,
        work=work,
    )
