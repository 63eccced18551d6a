"""A teacher that is not done yet, small enough to be kept beside the code: weights in eight bits.

castmark train pack --minutes 0 --work .training/teacher --out data/next
castmark train unpack --minutes 0 --work .training/teacher --out data/next

Training that takes days of cores goes over several machines. What a run has learned is packed, kept, and
unpacked where the next one begins; the optimiser's state is not kept, and finds itself again within a hundred
steps. Every row of a matrix has a scale of its own; what is small stays in float16.
"""

from __future__ import annotations

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from castmark.errors import InputError
from castmark.training.common import TrainSettings, load_checkpoint, save_checkpoint
from castmark_world import DEFAULT

CHECKPOINT, PACKED = "teacher.pt", "teacher.safetensors"
SCALE = ".scale"
SMALL = 1024
"""Numbers below which a tensor is not worth rounding."""
LEVELS = 127


def pack(settings: TrainSettings) -> None:
    """Write the teacher in ``work`` to ``out``, with its scope of the world, its steps and minutes.

    Raises:
        InputError: there is no teacher.
    """
    state = load_checkpoint(settings.work / CHECKPOINT)
    if state is None:
        raise InputError(f"{settings.work}: no {CHECKPOINT}; run `castmark train teacher` first")
    settings.out.mkdir(parents=True, exist_ok=True)
    about = {"scope": DEFAULT.name, "step": str(state["step"]), "minutes": str(state["minutes"])}
    save_file(rounded(state["model"]), settings.out / PACKED, about)
    (settings.out / PACKED).chmod(0o644)  # safetensors writes it for its owner alone


def unpack(settings: TrainSettings) -> None:
    """Write the teacher in ``out`` to ``work``, as a checkpoint that `castmark train teacher` goes on from.

    Raises:
        InputError: there is none, it is of another scope of the world, or ``work`` has a teacher already.
    """
    path, target = settings.out / PACKED, settings.work / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{path} is not there; run `castmark train pack`")
    if target.exists():
        raise InputError(f"{target}: there is a teacher already; move it away first")
    with safe_open(path, "pt") as file:
        about, held = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about["scope"] != DEFAULT.name:
        raise InputError(
            f"{path}: learned in the scope {about['scope']!r}, and this is {DEFAULT.name!r}; change DEFAULT "
            "in castmark_world/scopes.py"
        )
    state = {"model": restored(held), "step": int(about["step"]), "minutes": float(about["minutes"])}
    save_checkpoint(target, state)


def rounded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Large tensors as Int8 and a scale "n" for their rows (``NAME.scale``), small ones as Float16."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.dim() < 2 or value.numel() < SMALL or not value.is_floating_point():
            found[name] = (value.half() if value.is_floating_point() else value).contiguous()
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / LEVELS
        found[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(value.shape).contiguous()
        found[name + SCALE] = scale
    return found


def restored(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights again, Float32."""
    found: dict[str, Tensor] = {}
    for name, value in held.items():
        if name.endswith(SCALE):
            continue
        if (scale := held.get(name + SCALE)) is not None:
            found[name] = value.float() * scale.reshape(-1, *[1] * (value.dim() - 1))
        else:
            found[name] = value.float() if value.is_floating_point() else value
    return found
