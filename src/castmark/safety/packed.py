"""Small arrays inside a JSON record: shape, and base64 of little-endian float32."""

from __future__ import annotations

import base64

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor


class Packed(BaseModel):
    """A float32 array as text; damaged ones are refused when the record is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, values: Tensor) -> Packed:
        """The array of a tensor."""
        body = values.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
        return cls(shape=tuple(values.shape), data=base64.b64encode(body).decode())

    def tensor(self) -> Tensor:
        """The array as a float32 tensor."""
        body = bytearray(base64.b64decode(self.data, validate=True))
        return torch.frombuffer(body, dtype=torch.float32).reshape(self.shape)

    @model_validator(mode="after")
    def _whole(self) -> Packed:
        if not bool(torch.isfinite(self.tensor()).all()):
            raise ValueError("holds numbers that are not finite")
        return self
