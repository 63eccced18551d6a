"""A library of subjects: a folder of packs, by name. Whatever moves in, out or within it is checked whole.

Renaming and exporting refuse a damaged pack, and leave it where it can be looked at.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import ValidationError

from castmark_adapters import pack
from castmark_adapters.errors import PackError, SubjectError
from castmark_adapters.subject import Subject


def bring(library: str | Path, folder: str | Path, name: str | None = None) -> Subject:
    """Copy the pack in ``folder`` into the library, under its own name or another. Returns the subject.

    Raises:
        PackError: the pack is damaged, or not one.
        SubjectError: the name is taken, or no name.
    """
    subject = pack.load(folder)
    if name is not None:
        subject = _named(subject, name)
    _free(library, subject.name)
    pack.put(library, subject)
    return subject


def export(library: str | Path, name: str, folder: str | Path) -> Path:
    """Copy a subject's pack out, to ``folder``/NAME, complete and checked. Returns that folder.

    Raises:
        SubjectError: no such subject.
        PackError: its pack is damaged, or there is something in the way.
    """
    subject = pack.get(library, name)
    target = Path(folder) / name
    if target.exists():
        raise PackError(f"{target}: exists already; export to another folder, or remove it first")
    return pack.save(subject, target)


def rename(library: str | Path, old: str, new: str) -> Subject:
    """Give a subject another name; its references and its LoRA stay as they are.

    Raises:
        SubjectError: no such subject, or the new name is taken or no name.
        PackError: its pack is damaged.
    """
    subject = _named(pack.get(library, old), new)
    _free(library, new)
    pack.put(library, subject)
    shutil.rmtree(Path(library) / old)
    return subject


def remove(library: str | Path, name: str) -> None:
    """Delete a subject's pack, damaged or not, and what was left of learning it.

    Raises:
        SubjectError: no such subject.
        PackError: it cannot be deleted.
    """
    if name not in pack.listed(library):
        there = ", ".join(pack.listed(library)) or "none"
        raise SubjectError(f"no subject {name!r} in {library} (there: {there}); nothing was removed")
    try:
        shutil.rmtree(Path(library) / name)
    except OSError as error:
        raise PackError(f"{Path(library) / name}: cannot be removed ({error.strerror})") from error
    shutil.rmtree(work_folder(library, name), ignore_errors=True)


def work_folder(library: str | Path, name: str) -> Path:
    """Where learning a subject keeps its checkpoints."""
    return Path(library) / f".{name}.learning"


def _named(subject: Subject, name: str) -> Subject:
    try:
        card = Subject.model_validate({**subject.model_dump(), "name": name})
    except ValidationError as error:
        raise SubjectError(
            f"{name!r} is no name for a subject: use small letters, digits, - and _, 64 at most"
        ) from error
    return card.holding(subject.files)


def _free(library: str | Path, name: str) -> None:
    if (Path(library) / name).exists():
        raise SubjectError(f"there is a subject {name!r} in {library} already; choose another name")
