"""Small arrays inside a JSON record: shape, and base64 of little-endian float32."""

from __future__ import annotations

import base64
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor


class Packed(BaseModel):
    """An array as text, of float32 or float16; damaged ones are refused when the record is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    data: str
    kind: Literal["f4", "f2"] = "f4"

    @classmethod
    def of(cls, values: Tensor, kind: Literal["f4", "f2"] = "f4") -> Packed:
        """The array of a tensor, in float32 or float16."""
        body = values.detach().cpu().float().contiguous().numpy().astype(f"<{kind}").tobytes()
        return cls(shape=tuple(values.shape), data=base64.b64encode(body).decode(), kind=kind)

    def tensor(self) -> Tensor:
        """The array as a float32 tensor."""
        body = bytearray(base64.b64decode(self.data, validate=True))
        dtype = torch.float32 if self.kind == "f4" else torch.float16
        return torch.frombuffer(body, dtype=dtype).reshape(self.shape).float()

    @model_validator(mode="after")
    def _whole(self) -> Packed:
        if not bool(torch.isfinite(self.tensor()).all()):
            raise ValueError("holds numbers that are not finite")
        return self
