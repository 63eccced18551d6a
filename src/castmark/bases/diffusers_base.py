"""A diffusers pipeline of any known family as a base: drawing is the same for all of them.

Guidance is off, as distilled models want it; every image has its own CPU generator, so that a shot's noise
does not depend on its neighbours in the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from castmark.bases.facts import BaseFacts, digest_of
from castmark.bases.family import Family
from castmark.bases.fast import DTYPES, in_buckets, keep_shapes, make_fast, place, worn_apart
from castmark.bases.folding import FoldedDecoder, folds
from castmark.bases.sizes import nearest_size
from castmark.bases.sizing import Weights
from castmark.bases.speed import Hardware, SpeedSettings, decide
from castmark.bases.words import unknown_words
from castmark.errors import BaseError
from castmark.remembered import Remembered
from castmark.shot import ResolvedShot, Shot, bound_steps
from castmark.take import Draft
from castmark_adapters.host import ReferenceSource, Words, wearing
from castmark_adapters.learn import LearnSettings
from castmark_adapters.lora import LoraLayer
from castmark_adapters.mixed import MixedLora
from castmark_adapters.regions import Regions


@contextmanager
def _quiet() -> Generator[None]:
    """Loading draws bars and tells of config entries that diffusers itself wrote; our users need neither."""
    logs = (diffusers.utils.logging, transformers.utils.logging)
    levels = [log.get_verbosity() for log in logs]
    bars = [log.is_progress_bar_enabled() for log in logs]
    for log in logs:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, level, bar in zip(logs, levels, bars, strict=True):
            log.set_verbosity(level)
            if bar:
                log.enable_progress_bar()


def _load(facts: BaseFacts, family: type[Family], dtype: torch.dtype) -> DiffusionPipeline:
    """The folder's pipeline.

    Raises:
        BaseError: it cannot be read as one.
    """
    kind: type[DiffusionPipeline] = getattr(diffusers, facts.family)
    try:
        with _quiet():
            return kind.from_pretrained(
                facts.folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                **family.load_arguments(),
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseError(
            f"{facts.folder}: cannot be loaded as a {facts.family} ({error}); "
            "check that the folder is complete and holds safetensors"
        ) from error


class DiffusersBase:
    """A pipeline folder as a `castmark.bases.base.Base` and `castmark_adapters.host.Host`.

    Args:
        facts: what the folder says of itself.
        family: how to speak to its pipeline.
        device: torch's name of where it draws.
        exact: draw what plain diffusers draws, bit for bit: nothing is compiled, laid out anew, in 8 bits or
            decoded by another decoder. Otherwise a decoder whose end is linear is folded
            (`castmark.bases.folding`): of 8-bit values about one in twenty thousand differs, by one.
        settings: what is asked for speed's sake.
        pipeline: one that is loaded already, instead of the folder's.
    """

    def __init__(
        self,
        facts: BaseFacts,
        family: type[Family],
        device: str = "cpu",
        *,
        exact: bool = True,
        settings: SpeedSettings | None = None,
        pipeline: Any = None,
    ) -> None:
        """Load the pipeline.

        Raises:
            BaseError: the folder cannot be read as such a pipeline, the device is not there, or it cannot do
                what is asked.
        """
        self.facts = facts
        if pipeline is None:
            weights = Weights.of(facts, family.form())
        else:
            weights = Weights.loaded(pipeline, family.form())
        asked = settings or SpeedSettings()
        if asked.draft_decoder is not None and not family.draft_decoder:
            raise BaseError(f"{facts.name}: no draft decoder can decode its latents; leave it out")
        self.plan = decide(Hardware.of(device), weights, asked, exact=exact)
        self.device, self.dtype = device, DTYPES[self.plan.dtype]
        self.call_arguments: dict[str, Any] = {}
        self.regions: Regions | None = None
        self.pipeline: Any = _load(facts, family, self.dtype) if pipeline is None else pipeline
        self.model = family(self.pipeline, facts)
        place(self.model, self.pipeline, self.plan, device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.slots = make_fast(self.model, self.pipeline, self.plan)
        self._folded: FoldedDecoder | None = None
        plain = device == "cpu" and self.dtype == torch.float32 and family.plane_latents
        if not exact and plain and folds(self.pipeline.vae):
            self._folded = FoldedDecoder(self.pipeline.vae)
        self._words = Remembered(self._encoded, family.words_kept)

    @property
    def host(self) -> DiffusersBase:
        """Itself: adapters are worn on its pipeline."""
        return self

    @property
    def name(self) -> str:
        """Stated name, the hub's, or the folder's."""
        return self.facts.name

    @property
    def licence(self) -> str | None:
        """Stated licence, or None."""
        return self.facts.licence

    @property
    def non_commercial(self) -> bool:
        """Whether the licence's name says that commercial use is not allowed."""
        return self.facts.non_commercial

    @property
    def revision(self) -> str | None:
        """Commit of the hub's repository, if it came from one."""
        return self.facts.revision

    @property
    def files(self) -> Mapping[str, str]:
        """sha256 of every file that is loaded, by name."""
        return self._files

    @property
    def digest(self) -> str:
        """sha256 over the names and sha256 of every file that is loaded."""
        return self._digest

    @cached_property
    def _files(self) -> Mapping[str, str]:
        return self.facts.files(self.model.form().left_out)

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.files)

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.model.sizes[0]

    @property
    def default_steps(self) -> int:
        """Denoising steps when a shot names none."""
        return self.model.steps

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """Device, dtype, decoder, threads, versions: with these and the shot, the same pixels come again."""
        return {
            "device": self.device,
            "scheduler": type(self.pipeline.scheduler).__name__,
            "dtype": str(self.dtype).removeprefix("torch."),
            "decoder": "diffusers" if self._folded is None else "folded",
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "diffusers": diffusers.__version__,
            **self.plan.record(),
        }

    def warm_up(self, batches: Sequence[int] = ()) -> dict[int, float]:
        """Draw once, at the default size and steps, in each batch size (None given: those of the plan), so
        that compiling and capturing are done before they are waited for. Seconds each took.
        """
        width, height = self.default_size
        taken: dict[int, float] = {}
        if self.plan.compiled != "no":
            keep_shapes()
        for count in batches or self.plan.buckets:
            begun, seeds = time.perf_counter(), list(range(count))
            with self._no_gradients():
                words = self._words.all_of(["a warm-up"] * count)
                words = self.model.completed(words, seeds, worn=False)
                self.model.run(words, (width, height), self.default_steps, seeds, {}).cpu()
            taken[count] = time.perf_counter() - begun
        return taken

    def learn_settings(self, steps: int | None = None) -> LearnSettings:
        """How a LoRA is learned on this base and machine, in so many steps of training or the usual."""
        chosen = LearnSettings(
            drawing_steps=self.default_steps,
            optimizer=self.plan.optimizer,
            gradient_checkpointing=self.plan.gradient_checkpointing,
        )
        return chosen if steps is None else replace(chosen, steps=steps)

    @property
    def keeps_subjects(self) -> str:
        """What keeps a subject the same on this base, for whoever has none of it."""
        return f"{self.name} keeps no subject the same as it is: {self.model.keeps_subjects}"

    def open_reference(self, source: str | Path | None = None) -> ReferenceSource | None:
        """The reference adapter at ``source``, or the base's own way of being shown reference images.

        Raises:
            BaseError: there are none for this base, or none there.
            AdapterError: its files are damaged.
        """
        return self.model.native_references() if source is None else self.model.open_reference(source)

    def native_size(self, width: int, height: int) -> tuple[int, int]:
        """The size it draws whose aspect is nearest."""
        return nearest_size(self.model.sizes, width, height)

    def resolve(self, shot: Shot) -> ResolvedShot:
        """The shot with size and steps filled in.

        Raises:
            BaseError: a size that this base does not draw.
            InputError: a step count that no shot may ask for.
        """
        bound_steps(shot.steps)
        width, height = shot.width or self.default_size[0], shot.height or self.default_size[1]
        if (width, height) not in self.model.sizes:
            known = ", ".join(f"{w} x {h}" for w, h in self.model.sizes)
            raise BaseError(f"{self.name} cannot draw {width} x {height} px; it draws {known}")
        steps = shot.steps or self.default_steps
        return ResolvedShot(
            shot=shot, text=shot.text, seed=shot.seed, width=width, height=height, steps=steps
        )

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words of ``text`` that are not among those its folder states."""
        return () if self.facts.words is None else unknown_words(text, self.facts.words)

    def unread(self, text: str) -> str:
        """The end of ``text`` that is cut off before the base reads it."""
        return self.model.unread(text)

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """Draw a batch; see `castmark.bases.base.Base.draw`."""

        def drawn(some: slice, size: tuple[int, int], steps: int) -> Tensor:
            seeds, words = [shot.seed for shot in shots[some]], self._said(shots[some])
            if self._folded is None:
                return self.model.run(words, size, steps, seeds, self.call_arguments)
            latents = self.model.run(words, size, steps, seeds, self.call_arguments, output="latent")
            images = self._folded(latents / self.pipeline.vae.config.scaling_factor)
            return images.mul(0.5).add(0.5).clamp(0, 1)

        return self._drafts(shots, {}, drawn)

    def draw_from(self, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
        """One draft a shot, each from its image, which has the shot's size; all share their strength.

        ``steps`` denoising steps are taken, of a path of which they are about the strength.

        Raises:
            BaseError: they do not share size and steps, or drawing failed.
        """
        start = shots[0].shot.start
        assert start is not None
        return self._drafts(
            shots,
            {"strength": start.strength, "decoder": "diffusers"},
            lambda some, size, steps: self.model.run_from(
                images[some],
                start.strength,
                self._said(shots[some], begun=True),
                size,
                steps,
                [shot.seed for shot in shots[some]],
                self.call_arguments,
            ),
        )

    def _said(self, shots: Sequence[ResolvedShot], *, begun: bool = False) -> list[Words]:
        """The words of each shot, with what they leave open; of one in regions, of each region.

        Args:
            begun: whether an image is drawn from.
        """
        seeds = [shot.seed for shot in shots]

        def said(texts: Sequence[str]) -> Sequence[Words]:
            return self.model.completed(self._words.all_of(texts), seeds, worn=self._wears, begun=begun)

        if self.regions is None:
            return list(said([shot.text for shot in shots]))
        parts: list[Sequence[Words]] = []
        self.regions.lengths = None
        with self.model.one_scene():
            for region in self.regions.regions:
                with wearing(self, region.adapters):
                    parts.append(said([region.text] * len(shots)))
        self.regions.lengths = [part[0]["prompt_embeds"].shape[1] for part in parts]
        return [
            {name: torch.cat([w[name] for w in some], 1) for name in some[0]}
            for some in zip(*parts, strict=True)
        ]

    @property
    def _wears(self) -> bool:
        """Whether references are shown to it, or LoRAs worn."""
        if self.slots is not None and self.slots.worn:
            return True
        layers = () if self.slots is not None else self.model.denoiser.modules()
        return bool(self.call_arguments) or any(isinstance(part, LoraLayer | MixedLora) for part in layers)

    def _encoded(self, texts: Sequence[str]) -> list[Words]:
        """Every text by itself, so that its embedding, and with it the picture, does not depend on which
        other prompts happen to be in its batch.
        """
        return [self.model.encode_text(text) for text in texts]

    def _no_gradients(self) -> torch.no_grad | torch.inference_mode:
        """Weights that are moved in inference mode could not be learned over afterwards."""
        return torch.inference_mode() if self.plan.offload == "no" else torch.no_grad()

    def _drafts(
        self,
        shots: Sequence[ResolvedShot],
        more: Mapping[str, str | int | float],
        drawn: Callable[[slice, tuple[int, int], int], Tensor],
    ) -> list[Draft]:
        """Drafts of what ``drawn`` returns for some of the shots, size and steps: "b 3 h w" in [0, 1]."""
        if not shots:
            return []
        if len({(s.width, s.height, s.steps) for s in shots}) > 1:
            raise BaseError("one batch must share size and steps; split it first")
        if self.plan.compiled != "no":
            keep_shapes()
        size, steps = (shots[0].width, shots[0].height), shots[0].steps
        found: list[Draft] = []
        with self._no_gradients():
            for count in self._together(len(shots)):
                some = slice(len(found), len(found) + count)
                found += self._drawn(shots[some], more, partial(drawn, some, size, steps))
        return found

    def _together(self, count: int) -> list[int]:
        """How many of so many shots go into each call: all, but where other numbers than the plan's would be
        compiled for. What is worn by each image of a batch is worn by the whole of it.
        """
        if self.plan.compiled == "no" or worn_apart(self.call_arguments):
            return [count]
        return in_buckets(count, self.plan.buckets)

    def _drawn(
        self,
        shots: Sequence[ResolvedShot],
        more: Mapping[str, str | int | float],
        drawn: Callable[[], Tensor],
    ) -> list[Draft]:
        started = time.perf_counter()
        images = drawn()
        # A non-finite pixel must reach the caller as an error, not as whatever a cast makes of it.
        finite = images.isfinite().flatten(1).all(1).tolist()
        broken = [shot.seed for shot, whole in zip(shots, finite, strict=True) if not whole]
        if broken:
            narrow = "this precision may be too narrow for it, try float32"
            why = narrow if self.dtype == torch.float16 else "the weights may be damaged"
            raise BaseError(f"{self.name} drew non-finite pixels (seeds {broken}); {why}")
        # Bytes leave the device, not floats.
        pixels = (images.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        seconds = (time.perf_counter() - started) / len(shots)
        settings = {**self.environment, "batch": len(shots), **more}
        return [
            Draft(
                resolved=shot,
                pixels=np.ascontiguousarray(pixels[i]),
                settings={**settings, "batch_index": i},
                timings={"draw": seconds},
            )
            for i, shot in enumerate(shots)
        ]
