"""What is chosen for which machine and why; a compiled base changes subjects without compiling again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from tiny_bases import write_reference

from castmark.bases import find_base, open_base
from castmark.bases.base import Base
from castmark.bases.sizing import Form, Weights
from castmark.bases.speed import GIB, Hardware, SpeedPlan, SpeedSettings, decide, needed
from castmark.cli.opening import open_to_learn
from castmark.errors import BaseError
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark.studio.studio import Studio
from castmark_adapters import slots
from castmark_adapters.errors import HostError
from castmark_adapters.learn import LearnEvent, LearnSettings, learn
from castmark_adapters.lora import LoraAdapter, LoraWeights, attention_targets, convolution_targets
from castmark_adapters.optimizer import make_optimizer
from castmark_adapters.slots import LoraSlots
from castmark_adapters.subject import Subject

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
H100 = Hardware(
    device="cuda", name="H100", memory=80 * GIB, free=78 * GIB, capability=(9, 0), triton=True, torchao=True
)
CPU = Hardware(device="cpu", name="a CPU", memory=16 * GIB, free=8 * GIB)
SDXL = Weights(denoiser=2_600_000_000, others=(900_000_000,), repeated_blocks=False)
FLUX = Weights(denoiser=11_900_000_000, others=(4_800_000_000, 300_000_000), repeated_blocks=True)


def chosen(hardware: Hardware, weights: Weights, **settings: object) -> SpeedPlan:
    return decide(hardware, weights, SpeedSettings(**settings))  # type: ignore[arg-type]


def test_a_cpu_draws_plainly_and_records_nothing_more() -> None:
    plan = chosen(CPU, SDXL)
    assert (plan.dtype, plan.compiled, plan.offload, plan.lora_slots) == ("float32", "no", "no", 0)
    assert plan.record() == {}


def test_a_unet_is_compiled_whole_and_captured_by_batch_size() -> None:
    plan = chosen(H100, SDXL, largest_batch=8)
    assert (plan.dtype, plan.channels_last, plan.compiled, plan.cuda_graphs) == (
        "bfloat16",
        True,
        "whole",
        True,
    )
    assert plan.buckets == (1, 2, 4, 8)
    assert plan.lora_slots == 8
    kept = {"precision", "memory format", "compiled", "cuda graphs", "lora slots", "decoding"}
    assert set(plan.record()) == kept
    assert "compiled: whole denoiser (its blocks differ, or are few)" in plan.explain()


def test_a_transformer_compiles_its_repeated_blocks() -> None:
    plan = chosen(H100, FLUX)
    assert (plan.compiled, plan.cuda_graphs, plan.channels_last) == ("blocks", False, False)


@pytest.mark.parametrize(
    ("free", "offload"), [(78, "no"), (40, "no"), (34, "parts"), (27, "parts"), (24, "layers")]
)
def test_memory_decides_what_stays_on_the_gpu(free: int, offload: str) -> None:
    plan = chosen(replace(H100, free=free * GIB), FLUX)
    assert plan.offload == offload
    if offload != "no":
        assert plan.compiled == "no"
        assert "second" in plan.record()["offload"], "it says what it costs"


def test_int8_makes_room() -> None:
    assert needed(FLUX, "bfloat16", "int8") < needed(FLUX, "bfloat16") - 10 * GIB
    assert chosen(replace(H100, free=27 * GIB), FLUX, quantise="int8").offload == "no"


def test_what_cannot_be_had_is_said() -> None:
    old = replace(H100, capability=(7, 5), name="T4")
    assert chosen(old, SDXL).dtype == "float16"
    with pytest.raises(BaseError, match="fp8 needs a GPU of compute capability"):
        chosen(old, SDXL, quantise="fp8")
    with pytest.raises(BaseError, match="need torchao"):
        chosen(replace(H100, torchao=False), SDXL, quantise="int8")
    assert chosen(replace(H100, triton=False), SDXL).record()["compiled"] == "no: triton is not installed"
    assert chosen(H100, SDXL, compile="off").record()["compiled"] == "no: switched off"


def test_what_is_asked_for_overrides_what_is_chosen_and_is_recorded() -> None:
    plan = chosen(H100, SDXL, dtype="float32", compile="off", offload="parts")
    assert (plan.dtype, plan.compiled, plan.offload) == ("float32", "no", "parts")
    record = plan.record()
    assert record["precision"] == "float32: asked for"
    assert record["compiled"] == "no: switched off"
    assert record["offload"].startswith("parts: asked for; copying costs")
    small = replace(H100, free=20 * GIB)
    assert chosen(small, FLUX, offload="no").record()["offload"] == "no: asked for"
    on_cpu = chosen(replace(CPU, compiler=True), SDXL, compile="on")
    assert (on_cpu.compiled, on_cpu.cuda_graphs, on_cpu.lora_slots) == ("whole", False, 8)
    assert chosen(H100, SDXL, largest_batch=6).buckets == (1, 2, 4, 6)
    assert chosen(H100, FLUX).fixed_shapes
    assert not chosen(H100, replace(FLUX, lengths_vary=True)).fixed_shapes


@pytest.mark.parametrize(
    ("hardware", "asked", "complaint"),
    [
        (CPU, {"dtype": "float16"}, "float16 is for GPUs"),
        (replace(H100, capability=(7, 5)), {"dtype": "bfloat16"}, "bfloat16 needs a GPU of compute"),
        (CPU, {"offload": "layers"}, r"offloading \(layers\) is for GPUs"),
        (CPU, {"compile": "on"}, "there is no C\\+\\+ compiler"),
        (replace(H100, triton=False), {"compile": "on"}, "triton is not installed"),
        (H100, {"compile": "on", "offload": "parts"}, "it is offloaded"),
        (replace(H100, free=6 * GIB), {"quantise": "int8"}, "quantised weights cannot go layer by layer"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(
    hardware: Hardware, asked: dict[str, object], complaint: str
) -> None:
    with pytest.raises(BaseError, match=complaint):
        chosen(hardware, FLUX, **asked)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"compile": "on"}, "a compiled base"),
        ({"quantise": "int8"}, "a base in 8 bits"),
        ({"draft_decoder": "tiny"}, "a draft decoder"),
    ],
)
def test_what_changes_pixels_is_refused_where_they_are_to_be_exact(
    asked: dict[str, object], what: str, folder_of: Callable[[str], Path]
) -> None:
    with pytest.raises(BaseError, match=f"{what} does not draw exactly as plain diffusers"):
        open_base(folder_of("sd-turbo"), settings=SpeedSettings(**asked))  # type: ignore[arg-type]


def test_an_exact_plan_leaves_the_gpu_as_plain_diffusers_has_it() -> None:
    plan = decide(H100, SDXL, SpeedSettings(), exact=True)
    assert (plan.compiled, plan.channels_last, plan.decodes_alone, plan.lora_slots) == ("no", False, False, 0)
    assert set(plan.record()) == {"precision", "compiled"}
    quick = chosen(H100, SDXL)
    assert (quick.channels_last, quick.decodes_alone) == (True, True)
    assert not chosen(CPU, SDXL).decodes_alone


def test_a_base_is_learned_on_in_8_bits_and_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def open_drawing_base(*_: object, **more: object) -> None:
        given.update(more)

    monkeypatch.setattr("castmark.studio.opening.open_drawing_base", open_drawing_base)
    open_to_learn("base", "cuda", None, None, "auto", "int8")
    plan = decide(H100, FLUX, given["speed"], exact=given["exact"])
    assert (plan.quantised, plan.compiled) == ("int8", "no")


def test_the_plan_is_made_for_the_batches_that_the_studio_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_drawing_base(*_: object, speed: SpeedSettings, **more: object) -> None:
        raise BaseError(f"{speed.largest_batch} {speed.compile}")

    monkeypatch.setattr("castmark.studio.opening.open_drawing_base", open_drawing_base)
    monkeypatch.setattr("castmark.studio.opening.open_key", lambda key: key)
    for asked in (None, SpeedSettings(compile="off")):
        with pytest.raises(BaseError, match="5 " + (asked or SpeedSettings()).compile):
            Studio.open(batch_size=5, speed=asked, watermark=False)


def test_a_compiled_base_draws_in_the_batches_it_is_compiled_for(
    base_of: Callable[[str], Base], mira: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base: Any = base_of("sd-turbo")
    shots = [base.resolve(Shot("a mug", seed=seed)) for seed in range(7)]
    whole = base.draw(shots)
    taken: list[int] = []
    run = base.model.run

    def counted(words: Sequence[object], *more: Any, **others: Any) -> torch.Tensor:
        taken.append(len(words))
        return run(words, *more, **others)

    monkeypatch.setattr(base.model, "run", counted)
    monkeypatch.setattr(base, "plan", replace(base.plan, compiled="whole", buckets=(1, 2, 4)))
    parts = base.draw(shots)
    assert taken == [4, 2, 1]
    assert [draft.resolved for draft in parts] == shots
    assert [draft.settings["batch"] for draft in parts] == [4] * 4 + [2] * 2 + [1]
    assert [draft.settings["batch_index"] for draft in parts] == [0, 1, 2, 3, 0, 1, 0]
    for one, other in zip(whole, parts, strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2
    reference = base.open_reference(write_reference(tmp_path / "reference", base.pipeline))
    for adapter, expected in ((reference.of_each([mira] * 3), [3]), (reference.of(mira), [2, 1])):
        taken.clear()
        with adapter.worn(base):
            base.draw(shots[:3])
        assert taken == expected, "what each image wears is not parted"
    start = StartImage(sha256="0" * 64, strength=0.5, path="/nowhere")
    begun = [base.resolve(Shot("a mug", seed=seed, start=start)) for seed in range(3)]
    images = [Image.new("RGB", base.default_size, colour) for colour in ("red", "green", "blue")]
    assert [draft.settings["batch"] for draft in base.draw_from(begun, images)] == [2, 2, 1]


def test_how_a_lora_is_learned_follows_the_machine() -> None:
    plans = [
        chosen(CPU, FLUX),
        chosen(H100, FLUX),
        chosen(replace(H100, bitsandbytes=True), replace(SDXL, denoiser=900_000_000)),
    ]
    found = [(plan.optimizer, plan.gradient_checkpointing) for plan in plans]
    assert found == [("adamw", False), ("adamw", True), ("adamw8bit", False)]


def test_copies_in_other_precisions_count_once(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folder_of("sd-turbo"), tmp_path / "base")
    form = Form(denoiser="unet", repeated_blocks=False)
    before = Weights.of(find_base(folder), form)
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert Weights.of(find_base(folder), form) == before


def test_parameters_are_counted_without_reading_them(folder_of: Callable[[str], Path]) -> None:
    facts = find_base(folder_of("flux-schnell"))
    form = Form(denoiser="transformer", repeated_blocks=True)
    weights = Weights.of(facts, form)
    pipeline = open_base(folder_of("flux-schnell")).pipeline
    assert weights == Weights.loaded(pipeline, form)
    assert weights.denoiser == sum(parameter.numel() for parameter in pipeline.transformer.parameters())


def test_slots_wear_what_layers_in_front_wear_and_are_learned_over(
    folder_of: Callable[[str], Path], mira: Subject
) -> None:
    base = open_base(folder_of("sd-turbo"))
    shot = base.resolve(Shot("a red thing", seed=1))
    plain = base.draw([shot])[0].pixels
    settings = LearnSettings(steps=2, batch=2, rank=2, views=1, others=1, drawing_steps=2)
    adapter = LoraAdapter.of(learn(mira, base, settings), scale=20.0)
    with adapter.worn(base):
        wanted = base.draw([shot])[0].pixels
    assert not np.array_equal(wanted, plain)
    targets = attention_targets(base.model)
    base.slots = LoraSlots(base.model, 4)
    assert attention_targets(base.model) == targets
    assert np.array_equal(base.draw([shot])[0].pixels, plain), "empty slots change nothing"
    with adapter.worn(base):
        assert np.abs(base.draw([shot])[0].pixels.astype(int) - wanted).max() <= 1
    assert np.array_equal(base.draw([shot])[0].pixels, plain)
    again = LoraAdapter.of(learn(mira, base, settings))
    assert again.weights.layers.keys() == adapter.weights.layers.keys()


def test_slots_grow_for_what_does_not_fit_and_then_it_fits(
    folder_of: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A larger rank, and convolutions, which a LoRA learned by imitation changes too."""
    base = open_base(folder_of("sd-turbo"))
    shot = base.resolve(Shot("a red thing", seed=1))
    plain = base.draw([shot])[0].pixels
    generator = torch.Generator().manual_seed(1)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    targets = attention_targets(base.model)
    for name in (*targets, *convolution_targets(base.model.denoiser)):
        weight = base.model.denoiser.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        down = torch.randn(6, *weight.shape[1:], generator=generator) * 0.3
        up = torch.randn(weight.shape[0], 6, *[1] * (weight.ndim - 2), generator=generator)
        layers[name] = (down, up * 0.3)
    adapter = LoraAdapter(LoraWeights(6, layers).to_bytes(), title="a LoRA", base=base.digest)
    fits = {name: (down[:4], up[:, :4]) for name, (down, up) in layers.items() if name in targets}

    def full(*_: object) -> None:
        raise MemoryError

    with adapter.worn(base):
        wanted = base.draw([shot])[0].pixels
    assert not np.array_equal(wanted, plain)
    base.slots = LoraSlots(base.model, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "build_layers", full)
        with pytest.raises(MemoryError), adapter.worn(base):
            pass
    caplog.clear()
    small = LoraAdapter(LoraWeights(4, fits).to_bytes(), title="a LoRA", base=base.digest)
    with small.worn(base):
        assert not np.array_equal(base.draw([shot])[0].pixels, plain), "the smaller slots are still in place"
    for _ in range(2):
        with adapter.worn(base):
            assert np.abs(base.draw([shot])[0].pixels.astype(int) - wanted).max() <= 1
        assert np.array_equal(base.draw([shot])[0].pixels, plain)
    assert caplog.text.count("it is compiled once more") == 1
    assert base.slots.rank == 6
    assert set(convolution_targets(base.model.denoiser)) <= set(layers), "they are still found under slots"


def test_a_draft_decoder_decodes_these_latents_or_is_refused(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    sizes = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    for channels in (4, 16):
        AutoencoderTiny(**sizes, latent_channels=channels).save_pretrained(tmp_path / str(channels))
    fits = SpeedSettings(draft_decoder=str(tmp_path / "4"))
    base = open_base(folder_of("sd-turbo"), exact=False, settings=fits)
    draft = base.draw([base.resolve(Shot("a mug"))])[0]
    assert draft.settings["decoder"] == "4: asked for: drafts, softer than the base's own"
    with pytest.raises(BaseError, match="decodes 16 channels, and this base draws 4"):
        wide = SpeedSettings(draft_decoder=str(tmp_path / "16"))
        open_base(folder_of("sd-turbo"), exact=False, settings=wide)


def test_activations_computed_twice_give_the_same_lora(base_of: Callable[[str], Base], mira: Subject) -> None:
    host = base_of("flux-schnell").host
    once = LearnSettings(steps=2, batch=2, rank=2, views=1, others=1, drawing_steps=2)
    twice = replace(once, gradient_checkpointing=True)
    pair = [LoraAdapter.of(learn(mira, host, settings)) for settings in (once, twice)]
    for name, (_, up) in pair[0].weights.layers.items():
        assert torch.allclose(up, pair[1].weights.layers[name][1], atol=1e-5)
    assert not host.model.denoiser.gradient_checkpointing


def test_a_one_step_base_learns_at_its_only_step(base_of: Callable[[str], Base], mira: Subject) -> None:
    events: list[LearnEvent] = []
    settings = LearnSettings(steps=3, batch=8, rank=2, views=1, others=1, drawing_steps=1, clear_signal=0.99)
    learn(mira, base_of("z-image-turbo").host, settings, events.append)
    assert all(event.subject > 0 for event in events)


def test_an_8_bit_optimiser_needs_what_it_needs() -> None:
    with pytest.raises(HostError, match="needs bitsandbytes and a CUDA GPU"):
        make_optimizer("adamw8bit", [torch.nn.Parameter(torch.zeros(1))], 1e-3)


def test_warming_up_takes_every_batch_size(base_of: Callable[[str], object]) -> None:
    taken = base_of("sd-turbo").warm_up((1, 2))  # type: ignore[attr-defined]
    assert sorted(taken) == [1, 2]
    assert all(seconds > 0 for seconds in taken.values())
