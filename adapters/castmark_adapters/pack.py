"""Subject packs: a folder with ``subject.json``, the reference images and, once learned, the LoRA.

    subject.json          the card
    reference_1.png ...   as given, byte for byte
    lora.safetensors      only safetensors; a pickle is never read

Every file is bound to the card by its sha256, checked on load. A library is a folder of packs, by subject
name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from castmark_adapters.container import safetensors_header
from castmark_adapters.errors import PackError, SubjectError
from castmark_adapters.subject import Subject, check_references, sha256

CARD = "subject.json"
_REMEDY = "fetch the pack again, or make the subject anew from its images"


def save(subject: Subject, folder: str | Path) -> Path:
    """Write the pack: complete beside its place first, then moved there. Returns the folder.

    A pack already there is replaced, other files in it included.

    Raises:
        SubjectError: a file the card names is not at hand.
        PackError: the folder is there and is no pack, or cannot be written.
    """
    folder = Path(folder)
    names = _names(subject)
    files = {name: subject.file(name) for name in names}
    files[CARD] = (subject.model_dump_json(indent=2) + "\n").encode()
    if folder.exists() and not (folder / CARD).is_file():
        raise PackError(f"{folder}: exists and is not a subject pack; choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise PackError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        fresh.chmod(0o755)
        for name, data in files.items():
            with (fresh / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _swap(fresh, folder)
    except OSError as error:
        raise PackError(
            f"{folder}: cannot be written ({error.strerror}); free some space and try again"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def load(folder: str | Path) -> Subject:
    """Read a pack and check every file against the card.

    Raises:
        PackError: no pack there, a malformed card, a missing file, one whose digest does not match, or a
            reference that is no usable image.
    """
    folder = Path(folder)
    path = folder / CARD
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(
            f"{path}: no readable subject card ({error}); check the folder, or {_REMEDY}"
        ) from error
    try:
        subject = Subject.model_validate_json(text)
        names = _names(subject)
    except (ValidationError, SubjectError) as error:
        raise PackError(f"{path}: not a valid subject card: {_first_line(error)}; {_REMEDY}") from error
    expected = {reference.name: reference.sha256 for reference in subject.references}
    expected |= {r.mask: r.mask_sha256 for r in subject.references if r.mask and r.mask_sha256}
    if subject.lora is not None:
        expected[subject.lora.name] = subject.lora.sha256
    files: dict[str, bytes] = {}
    for name in names:
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise PackError(f"{folder / name}: cannot be read ({error.strerror}); {_REMEDY}") from error
        if sha256(files[name]) != expected[name]:
            raise PackError(f"{folder / name}: does not match the digest on the card; {_REMEDY}")
    if subject.lora is not None:  # the digest says that it is the card's, not that the card means well
        safetensors_header(files[subject.lora.name], str(folder / subject.lora.name))
    found = subject.holding(files)
    try:
        check_references(found)
    except SubjectError as error:
        raise PackError(f"{folder}: {error}; {_REMEDY}") from error
    return found


def listed(library: str | Path) -> list[str]:
    """Names of the subjects in a library folder, sorted; none if the folder does not exist yet."""
    root = Path(library)
    if not root.is_dir():
        return []
    return sorted(path.parent.name for path in root.glob(f"*/{CARD}") if not path.parent.name.startswith("."))


def get(library: str | Path, name: str) -> Subject:
    """A subject of a library, by name.

    Raises:
        SubjectError: it holds no subject of that name.
        PackError: its pack is damaged.
    """
    known = listed(library)
    if name not in known:
        there = ", ".join(known) or "none yet"
        raise SubjectError(
            f"no subject {name!r} in {library} (there: {there}); "
            f"make it with: castmark subject new {name} IMAGE..."
        )
    return load(Path(library) / name)


def put(library: str | Path, subject: Subject) -> Path:
    """Save a subject into a library under its name; see `save`."""
    return save(subject, Path(library) / subject.name)


def _names(subject: Subject) -> list[str]:
    """The card's file names, refused if they lead out of the pack or name one file twice."""
    names = [reference.name for reference in subject.references]
    names += [reference.mask for reference in subject.references if reference.mask]
    if subject.lora is not None:
        if not subject.lora.name.endswith(".safetensors"):
            raise SubjectError(
                f"LoRA file {subject.lora.name!r} is not safetensors; only safetensors is read"
            )
        names.append(subject.lora.name)
    for name in names:
        if Path(name).name != name or name.startswith(".") or "\\" in name or name == CARD:
            raise SubjectError(f"file name {name!r} is not a plain name inside the pack")
    if len(set(names)) != len(names):
        raise SubjectError("the card names one file twice")
    return names


def _swap(fresh: Path, folder: Path) -> None:
    """Move ``fresh`` to ``folder``; an old pack there is kept until the new one is in place."""
    if not folder.exists():
        fresh.replace(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.replace(old)
    try:
        fresh.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "card"
        return f"{place}: {first['msg']}"
    return str(error)
