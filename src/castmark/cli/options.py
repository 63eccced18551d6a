"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
LibraryFolder = Annotated[
    Path | None,
    typer.Option("--library", help="Folder of subject packs. [default: subjects/ in $CASTMARK_HOME]"),
]
BaseName = Annotated[
    str | None, typer.Option("--base", help="Base: a diffusers folder or hub id. [default: the embedded one]")
]
ReferenceName = Annotated[
    str | None,
    typer.Option("--reference", help="IP-Adapter for the base: a folder, a file, or a hub's file."),
]
Policy = Annotated[
    str | None, typer.Option("--policy", help="Policy: a shipped name or a file. [default: general-audience]")
]
KeyFolder = Annotated[
    Path | None, typer.Option("--key", help="Folder of the signing key. [default: keys/ in $CASTMARK_HOME]")
]
Device = Annotated[str | None, typer.Option("--device", help="Torch device: cpu, cuda, mps.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads for drawing.")]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, max=100, help="Denoising steps. [default: the base's]")
]
Watermark = Annotated[
    bool,
    typer.Option(
        "--watermark/--no-watermark",
        help="Draw an invisible watermark, and register every manifest so that stripped copies lead to it.",
    ),
]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help="Judge: an open_clip folder, or NAME:WEIGHTS. [default: the embedded one]"),
]
IDENTITY_ENCODER = (
    "an open_clip folder, NAME:WEIGHTS, or a folder with image_encoder/. [default: the embedded one]"
)
IdentityName = Annotated[
    str | None, typer.Option("--identity", help=f"Encoder of the identity score: {IDENTITY_ENCODER}")
]
Dtype = Annotated[
    Literal["float32", "float16", "bfloat16"] | None,
    typer.Option("--dtype", help="Precision of the base. [default: what suits the machine]"),
]
Offload = Annotated[
    Literal["auto", "no", "parts", "layers"],
    typer.Option("--offload", help="What of the base waits in main memory; 'auto': as much as has to."),
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compile the base. [default: on a GPU, where it pays]"),
]
Quantise = Annotated[
    Literal["none", "int8", "fp8"],
    typer.Option("--quantise", help="Weights of the base's denoiser in 8 bits (torchao)."),
]
DraftDecoder = Annotated[
    str | None, typer.Option("--draft-decoder", help="Folder of an AutoencoderTiny: quicker, softer drafts.")
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Draw as plain diffusers does, to the last bit; slower.")
]
Disclose = Annotated[bool, typer.Option("--disclose-prompt", help="Put the prompt's text into the manifest.")]


def library_folder(folder: Path | None) -> Path:
    """The folder given, or the user's own."""
    if folder is not None:
        return folder
    from castmark_provenance.home import home_folder

    return home_folder() / "subjects"


def first_problem(error: Any) -> str:
    """The first problem of a pydantic error, in one line."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['input']!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
