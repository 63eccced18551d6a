"""A teacher that is not done yet, or its student, where that goes on by itself (a prior tells it all), small
enough to be kept beside the code, with what it learns from, autoencoder and subject encoder, and what
recognises subjects for it.

castmark train pack --minutes 0 --work .training/teacher --out models/base      # WORK/carried.safetensors.xz
castmark train unpack --minutes 0 --work .training/teacher --out models/base    # back from there

Training that takes days of cores goes over several machines. What a run has learned is packed, kept, and
unpacked where the next one begins; the optimiser's state is not kept, and finds itself again within a hundred
steps. Every row of a matrix is rounded to some tens of levels of a scale of its own, which then take five to
seven bits each; what is small stays in float16.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import safetensors.torch
from diffusers import AutoencoderTiny
from torch import Tensor, int8
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from castmark.bases.loaded import RECOGNITION
from castmark.bases.recognition import Recognition
from castmark.errors import InputError
from castmark.training.autoencoder import new_autoencoder
from castmark.training.common import TrainSettings, load_checkpoint, save_checkpoint, write_card
from castmark.training.denoiser import reference_folder
from castmark.training.subject_encoder import CONFIG
from castmark.training.told import told_columns
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.reference import ENCODER
from castmark_adapters.subject import sha256
from castmark_adapters.weights import read_safetensors
from castmark_world import DEFAULT

STUDENT, CHECKPOINT, PACKED = "student.pt", "teacher.pt", "carried.safetensors.xz"
SCALE = ".scale"
SMALL = 1024
"""Numbers below which a tensor is not worth rounding."""
LEVELS, OF_TEACHER = 127, 27
"""Levels either side of nought; fewer of the teacher and of what recognises, which learn on."""
ENDS = ("unet.conv_in.", "unet.conv_out.")
"""What every number of a picture goes through: as many levels as of the others."""


def pack(settings: TrainSettings) -> None:
    """Write the teacher in ``work``, or the student that is of it and goes on by itself, and what it learns
    from, which lies around ``out``, to one file in ``work``, with its scope of the world, its steps and
    minutes, and cards.

    Raises:
        InputError: there is no teacher.
        AdapterError, OSError: what it learns from is missing.
    """
    state = load_checkpoint(settings.work / (STUDENT if _has_student(settings.work) else CHECKPOINT))
    if state is None:
        raise InputError(f"{settings.work}: no {CHECKPOINT}; run `castmark train teacher` first")
    vae, encoder = _eyes(settings)
    ends = {name: value for name, value in state["model"].items() if name.startswith(ENDS)}
    parts = {
        "teacher": rounded(state["model"], OF_TEACHER) | rounded(ends),
        "vae": rounded(AutoencoderTiny.from_pretrained(vae).state_dict()),
        "encoder": rounded(SubjectEncoder.load(encoder).model.state_dict()),
    }
    if (settings.out / RECOGNITION).is_dir():
        recognises = Recognition.load(settings.out / RECOGNITION).state_dict()
        parts["recognition"] = rounded(recognises, OF_TEACHER)
    about = {"scope": DEFAULT.name, "step": str(state["step"]), "minutes": str(state["minutes"])}
    for name, folder in _folders(settings).items():
        card = folder / "card.json"
        about[name] = card.read_text(encoding="utf-8") if card.is_file() else "{}"
    held = {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}
    packed = settings.work / PACKED
    packed.write_bytes(lzma.compress(safetensors.torch.save(held, about)))


def unpack(settings: TrainSettings) -> None:
    """Write the teacher or student of the file in ``work`` as a checkpoint that `castmark train teacher` and
    `castmark train student` go on from, and what it learns from around ``out``.

    Raises:
        InputError: there is no such file, it is of another scope of the world, or one of what it holds is
            there already.
    """
    path, target = settings.work / PACKED, settings.work / CHECKPOINT
    vae, encoder = _eyes(settings)
    if not path.is_file():
        raise InputError(f"{path} is not there; put the file that `castmark train pack` wrote there")
    for there in (target, settings.work / STUDENT, *_folders(settings).values()):
        if there.exists():
            raise InputError(f"{there} is there already; move it away first")
    tensors, about = read_safetensors(lzma.decompress(path.read_bytes()), str(path))
    if about["scope"] != DEFAULT.name:
        raise InputError(
            f"{path}: learned in the scope {about['scope']!r}, and this is {DEFAULT.name!r}; change DEFAULT "
            "in castmark_world/scopes.py"
        )
    held = restored(tensors)
    autoencoder, sees = new_autoencoder(), CLIPVisionModelWithProjection(CLIPVisionConfig(**CONFIG))
    autoencoder.load_state_dict(_part(held, "vae"))
    sees.load_state_dict(_part(held, "encoder"))
    autoencoder.half().save_pretrained(vae)
    sees.half().save_pretrained(encoder)
    if recognises := _part(held, "recognition"):
        made = Recognition(told_columns())
        made.load_state_dict(recognises)
        made.save(settings.out / RECOGNITION)
    for name, folder in _folders(settings).items():
        if folder.is_dir():
            write_card(folder, json.loads(about[name]))
    ran = {"step": int(about["step"]), "minutes": float(about["minutes"])}
    save_checkpoint(target, {"model": _part(held, "teacher"), **ran})


def _eyes(settings: TrainSettings) -> tuple[Path, Path]:
    """Folders of the autoencoder and of the subject encoder."""
    return settings.out / "vae", reference_folder(settings.out) / ENCODER


def _has_student(work: Path) -> bool:
    """Whether the student in a work folder is that of the teacher there, as it is now."""
    mark, teacher = work / "student.origin", work / CHECKPOINT
    if not (DEFAULT.decided and mark.is_file() and teacher.is_file()):
        return False
    return mark.read_text() == sha256(teacher.read_bytes())


def _folders(settings: TrainSettings) -> dict[str, Path]:
    """Folders of what is packed, by name."""
    vae, encoder = _eyes(settings)
    return {"vae": vae, "encoder": encoder, "recognition": settings.out / RECOGNITION}


def _part(held: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): v for name, v in held.items() if name.startswith(f"{part}.")}


def rounded(weights: dict[str, Tensor], levels: int = LEVELS) -> dict[str, Tensor]:
    """Large tensors as Int8 and a scale "n" for their rows (``NAME.scale``), small ones as Float16."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.dim() < 2 or value.numel() < SMALL or not value.is_floating_point():
            found[name] = (value.half() if value.is_floating_point() else value).contiguous()
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / levels
        found[name] = (rows / scale[:, None]).round().to(int8).reshape(value.shape).contiguous()
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
