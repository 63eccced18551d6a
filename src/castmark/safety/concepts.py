"""How much an embedding looks like a category: prompts against anchors, on several views or text chunks.

With tau the frozen logit scale, e a unit embedding, v its views (or a text's chunks), K prompts t and J
anchors a:

    s = max_v [ LSE_k(tau e_v . t_k) - ln K - LSE_j(tau e_v . a_j) + ln J ]

the log odds of prompts over anchors, each side averaged so that the number of texts does not matter.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from castmark.safety.encoder import Encoder
from castmark.safety.policy import Policy


class Concepts:
    """The judged categories and escalation triggers of a policy, embedded once."""

    def __init__(self, encoder: Encoder, policy: Policy) -> None:
        self.tau = encoder.tau
        self._texts = {
            name: (encoder.texts(category.prompts), encoder.texts(category.anchors))
            for name, category in (policy.judged | policy.escalate).items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, in the policy's order, then the triggers."""
        return tuple(self._texts)

    def scores(self, embeddings: Float[Tensor, "b v d"]) -> dict[str, Float[Tensor, " b"]]:
        """Score of each category for ``b`` pictures (or texts) of ``v`` views (or chunks) each."""
        return {
            name: score(embeddings, prompts, anchors, self.tau)
            for name, (prompts, anchors) in self._texts.items()
        }


def score(
    embeddings: Float[Tensor, "b v d"],
    prompts: Float[Tensor, "k d"],
    anchors: Float[Tensor, "j d"],
    tau: float,
) -> Float[Tensor, " b"]:
    """The formula above."""
    found = torch.logsumexp(tau * embeddings @ prompts.T, dim=-1) - math.log(len(prompts))
    plain = torch.logsumexp(tau * embeddings @ anchors.T, dim=-1) - math.log(len(anchors))
    return (found - plain).amax(-1)
