"""What goes wrong on a GPU alone, tried without one: tensors that are in two places, weights that are nowhere
until they are called, a narrow precision, models that do not fit before they are quantised."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import pytest
import torch
from base_trials import SHORT, changed, drawn
from PIL import Image
from tiny_bases import SIDE, TINY, write_flux_reference, write_reference
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from castmark.bases import family_of, open_base
from castmark.bases.facts import BaseFacts
from castmark.bases.fast import place
from castmark.bases.speed import SpeedSettings
from castmark.bench.random_bases import FLUX_SCHNELL, SANA_SPRINT, SD_TURBO, SDXL_TURBO, RandomBase
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark_adapters.learn import learn
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.mixed import MixedLoras
from castmark_adapters.running import running_device
from castmark_adapters.subject import Subject

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_family = pytest.mark.parametrize("name", TINY)


def pretend(pipeline: Any) -> None:
    """Every weight becomes one of the same shape, in bfloat16, on a GPU that is not there."""
    for part in pipeline.components.values():
        for module in part.modules() if isinstance(part, nn.Module) else ():
            for name, weight in module.named_parameters(recurse=False):
                fake = torch.empty(weight.shape, dtype=torch.bfloat16, device="cuda")
                module._parameters[name] = nn.Parameter(fake, requires_grad=False)
            for name, buffer in module.named_buffers(recurse=False):
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda")


def there(value: torch.Tensor) -> torch.Tensor:
    """The same on the GPU that is not there."""
    dtype = torch.bfloat16 if value.is_floating_point() else value.dtype
    return torch.empty(value.shape, dtype=dtype, device="cuda")


@every_family
def test_all_that_learning_computes_is_in_one_place(name: str) -> None:
    """torch's fake tensors know devices and shapes, and complain of two devices as a GPU would."""
    pipeline = TINY[name]()
    facts = BaseFacts(
        folder=Path("none"), family=type(pipeline).__name__, name=name, licence=None, sizes=((SIDE, SIDE),)
    )
    path = family_of(facts)(pipeline, facts).path(2)
    real = family_of(facts)(pipeline, facts).encode_texts(["a red mug", "a blue mug"])
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        pretend(pipeline)
        family = family_of(facts)(pipeline, facts)
        assert (family.device.type, family.dtype) == ("cuda", torch.bfloat16)
        words = [
            {
                key: torch.empty(
                    value.shape,
                    dtype=family.dtype if value.is_floating_point() else value.dtype,
                    device="cuda",
                )
                for key, value in text.items()
            }
            for text in real
        ]
        clean = family.encode_images(torch.empty(2, 3, SIDE, SIDE)).float()
        x_t = path.noised(clean, torch.randn(clean.shape).to(clean), path.drawing)
        found = path.x0(family.predict(x_t, path.drawing, words, {}).float(), x_t, path.drawing)
        assert (found.device.type, found.shape) == ("cuda", clean.shape)
        assert path.signal(path.drawing).to(found).device.type == "cuda"


@every_family
def test_it_draws_and_learns_in_bfloat16(name: str, folder_of: Callable[[str], Path], mira: Subject) -> None:
    base = open_base(folder_of(name), settings=SpeedSettings(dtype="bfloat16"))
    assert base.environment["dtype"] == "bfloat16"
    plain = [draft.pixels for draft in drawn(base, 1, 2)]
    learned = learn(mira, base.host, SHORT)
    with LoraAdapter.of(learned).worn(base.host):
        drawn(base, 1)
    with LoraAdapter(changed(base).to_bytes(), title="a LoRA", base=base.digest).worn(base.host):
        assert not np.array_equal(drawn(base, 1)[0].pixels, plain[0])
    assert all(np.array_equal(a, b.pixels) for a, b in zip(plain, drawn(base, 1, 2), strict=True))


def offload_layers(base: Any) -> None:
    """As diffusers does layer by layer: weights are on no device until they are called."""
    for part in base.pipeline.components.values():
        if isinstance(part, nn.Module):
            accelerate.cpu_offload(part, torch.device("cpu"), offload_buffers=bool(part._parameters))
    base.plan = replace(base.plan, offload="layers")


@pytest.mark.parametrize("name", ["sd-turbo", "flux-schnell", "flux2-klein"])
def test_what_is_worn_goes_where_weights_run_and_not_where_they_wait(
    name: str, folder_of: Callable[[str], Path], mira: Subject
) -> None:
    """Layer by layer weights are on no device until called; part by part in main memory."""
    base = open_base(folder_of(name))
    loras = [
        LoraAdapter(changed(base, seed=seed).to_bytes(), title="a LoRA", base=base.digest) for seed in (0, 1)
    ]
    plain = drawn(base, 1)[0].pixels
    with loras[0].worn(base.host):
        wanted = drawn(base, 1)[0].pixels
    offload_layers(base)
    denoiser = base.model.denoiser
    assert next(denoiser.parameters()).device.type == "meta"
    assert running_device(denoiser).type == "cpu"
    assert np.array_equal(drawn(base, 1)[0].pixels, plain)
    with loras[0].worn(base.host):
        assert np.array_equal(drawn(base, 1)[0].pixels, wanted)
    with MixedLoras(loras).worn(base.host):
        both = drawn(base, 1, 2)
    assert np.abs(both[0].pixels.astype(int) - wanted).max() <= 2
    learned = learn(mira, base.host, SHORT)
    with LoraAdapter.of(learned).worn(base.host):
        drawn(base, 1)
    assert np.array_equal(drawn(base, 1)[0].pixels, plain)


@pytest.mark.parametrize("name", ["sd-turbo", "flux-schnell"])
def test_references_are_shown_to_a_base_that_is_offloaded(
    name: str, folder_of: Callable[[str], Path], mira: Subject, tmp_path: Path
) -> None:
    base = open_base(folder_of(name))
    write = write_flux_reference if name == "flux-schnell" else write_reference
    folder = write(tmp_path / "reference", base.pipeline)

    def shown() -> np.ndarray:
        reference = base.open_reference(folder)
        assert reference is not None
        with reference.of(mira).worn(base):
            return drawn(base, 1)[0].pixels

    wanted, plain = shown(), drawn(base, 1)[0].pixels
    assert not np.array_equal(wanted, plain)
    offload_layers(base)
    assert np.array_equal(shown(), wanted)
    assert np.array_equal(drawn(base, 1)[0].pixels, plain)


@every_family
def test_a_start_image_goes_where_weights_run(name: str, folder_of: Callable[[str], Path]) -> None:
    base = open_base(folder_of(name))
    start = StartImage(sha256="0" * 64, strength=0.5, path="/nowhere")
    shots = [base.resolve(Shot("a red mug", seed=1, start=start))]
    images = [Image.new("RGB", (SIDE, SIDE), "red")]
    wanted = base.draw_from(shots, images)[0].pixels
    offload_layers(base)
    assert np.array_equal(base.draw_from(shots, images)[0].pixels, wanted)


def test_a_gpu_decodes_a_batch_one_picture_at_a_time(folder_of: Callable[[str], Path]) -> None:
    base = open_base(folder_of("sd-turbo"))
    assert not base.pipeline.vae.use_slicing, "on a CPU all at once"
    place(base.model, base.pipeline, replace(base.plan, decodes_alone=True), "cpu")
    decoded: list[int] = []
    decoder = base.pipeline.vae.decoder
    decoder.register_forward_pre_hook(lambda _, given: decoded.append(len(given[0])))
    drawn(base, 1, 2, 3)
    assert decoded == [1, 1, 1]


def test_weights_are_quantised_before_the_whole_goes_to_the_device(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that fits only in 8 bits must not be there in 16 first."""
    base = open_base(folder_of("sdxl-turbo"))
    done: list[str] = []

    def quantize_(model: nn.Module, how: object, filter_fn: Callable[..., bool], device: str) -> None:
        assert model is base.model.denoiser and device == "cpu"
        taken = [name for name, module in model.named_modules() if filter_fn(module, name)]
        done.append(f"{type(how).__name__} {len(taken) > 10}")

    fake: Any = types.ModuleType("torchao.quantization")
    fake.Int8WeightOnlyConfig = type("Int8", (), {})
    fake.Float8DynamicActivationFloat8WeightConfig = type("Float8", (), {})
    fake.quantize_ = quantize_
    monkeypatch.setitem(sys.modules, "torchao", types.ModuleType("torchao"))
    monkeypatch.setitem(sys.modules, "torchao.quantization", fake)
    monkeypatch.setattr(base.pipeline, "to", lambda device: done.append(f"to {device}"))
    for kind in ("int8", "fp8"):
        done.clear()
        place(base.model, base.pipeline, replace(base.plan, quantised=kind), "cpu")
        assert done == [f"{'Int8' if kind == 'int8' else 'Float8'} True", "to cpu"]


@pytest.mark.parametrize(
    "base", [SD_TURBO, SDXL_TURBO, FLUX_SCHNELL, SANA_SPRINT], ids=lambda base: base.name
)
def test_true_configurations_are_made_on_the_device_itself(base: RandomBase) -> None:
    """On a device without memory: schedulers, which count with numpy, must not be made there."""
    pipeline = base.pipeline(small=False, device="meta", dtype=torch.bfloat16)
    family = family_of(base.facts(False))(pipeline, base.facts(False))
    assert family.denoiser.get_parameter(next(iter(dict(family.denoiser.named_parameters())))).is_meta
    pipeline.scheduler.set_timesteps(base.steps, **family.image_steps(base.steps))
    assert len(pipeline.scheduler.timesteps) >= base.steps
