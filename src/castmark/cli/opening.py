"""How a studio is opened from the command line: the options of every command that draws, in one place.

@app.command()
@opens_a_studio
def shoot(prompt: str, opening: Opening) -> None: ...      # --base, --device, --quantise and so on

The options are the fields of `Opening`, and a command is handed one instead of a dozen arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from castmark.cli.options import (
    BaseName,
    Compile,
    Device,
    Disclose,
    DraftDecoder,
    Dtype,
    Exact,
    IdentityName,
    JudgeName,
    KeyFolder,
    Offload,
    Policy,
    Quantise,
    ReferenceName,
    Threads,
    Watermark,
)
from castmark.extras import require

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.bases.speed import SpeedSettings
    from castmark.studio.studio import Studio

PARAMETER = "opening"


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What the options say. The fields are the options, in the order of the help."""

    base: BaseName = None
    reference: ReferenceName = None
    policy: Policy = None
    judge: JudgeName = None
    identity: IdentityName = None
    key: KeyFolder = None
    device: Device = None
    threads: Threads = None
    dtype: Dtype = None
    compiled: Compile = None
    quantise: Quantise = "none"
    offload: Offload = "auto"
    draft_decoder: DraftDecoder = None
    exact: Exact = False
    disclose_prompt: Disclose = False
    watermark: Watermark = True

    def studio(
        self,
        *,
        steps: int | None = None,
        adaptive: Sequence[int] = (),
        batch_size: int | None = None,
        parameters: bool = False,
    ) -> Studio:
        """The studio, with the libraries kept quiet.

        Raises:
            CastmarkError, AdapterError, ProvenanceError: as `castmark.studio.studio.Studio.open`.
        """
        require("drawing", "engine")
        from castmark.cli.console import hush_libraries
        from castmark.studio.studio import BATCH_SIZE, Studio

        hush_libraries()
        size = batch_size or BATCH_SIZE
        return Studio.open(
            self.base,
            self.policy,
            self.key,
            steps=steps,
            adaptive=adaptive,
            batch_size=size,
            device=self.device,
            threads=self.threads,
            disclose_prompt=self.disclose_prompt,
            parameters=parameters,
            watermark=self.watermark,
            identity=self.identity,
            exact=self.exact,
            reference=self.reference,
            speed=self.speed(size),
            judge=self.judge,
        )

    def speed(self, largest_batch: int) -> SpeedSettings:
        """What is asked for speed's sake."""
        from castmark.bases.speed import SpeedSettings

        return SpeedSettings(
            compile="auto" if self.compiled is None else "on" if self.compiled else "off",
            dtype=self.dtype,
            offload=None if self.offload == "auto" else self.offload,
            quantise=self.quantise,
            draft_decoder=self.draft_decoder,
            largest_batch=largest_batch,
        )


def open_to_learn(
    base: str | None,
    device: str | None,
    threads: int | None,
    dtype: Dtype,
    offload: Offload,
    quantise: Quantise,
) -> Base:
    """The base of a command that learns: never compiled, because every step changes what is worn.

    Raises:
        BaseError: it cannot be loaded, or not so.
    """
    from castmark.studio.opening import open_drawing_base

    asked = Opening(dtype=dtype, offload=offload, quantise=quantise, compiled=False)
    return open_drawing_base(base, device, threads, exact=False, speed=asked.speed(1))


def opens_a_studio(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose parameter ``opening`` is given as the options of `Opening`."""
    hints = get_type_hints(Opening, include_extras=True)
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Opening)
    ]
    signature = inspect.signature(command, eval_str=True)
    before = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        if name != PARAMETER
    ]

    @wraps(command)
    def with_options(**given: Any) -> Any:
        opening = Opening(**{option.name: given.pop(option.name) for option in options})
        return command(**given, opening=opening)

    shown: Any = with_options
    shown.__signature__ = signature.replace(parameters=[*before, *options])
    shown.__annotations__ = {p.name: p.annotation for p in (*before, *options)} | {"return": None}
    return with_options
