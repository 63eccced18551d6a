"""How much of a text a base reads: its text model takes so many tokens, and what comes after is cut off."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

_MARK = "\ufffc"


def around_a_user(tokenizer: Any, *, thinking: bool) -> tuple[str, str]:
    """What a chat's template puts before and after the words of a user."""
    said = [{"role": "user", "content": _MARK}]
    whole: str = tokenizer.apply_chat_template(
        said, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    before, _, after = whole.partition(_MARK)
    return before, after


class Window:
    """The first tokens that a text model takes.

    Args:
        tokenizer: of transformers. One without a backend that says where tokens lie is not asked.
        limit: tokens, with those that begin and end a text.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._limit = limit
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._tokenizer: Any = None
        if backend is not None:
            # A copy, because another thread draws, and every call sets how the original cuts and pads.
            copy: Any = Tokenizer.from_str(backend.to_str())
            copy.no_truncation()
            copy.no_padding()
            self._tokenizer = copy

    def count(self, text: str) -> int:
        """Tokens of a text, with those that begin and end it."""
        return 0 if self._tokenizer is None else len(self._tokenizer.encode(text).ids)

    def unread(self, text: str, before: str = "", after: str = "", more: int = 0) -> str:
        """The end of ``text`` that is cut off, where it is read between these two, and ``more`` tokens than
        the limit; empty if nothing is.
        """
        if self._tokenizer is None:
            return ""
        found, limit = self._tokenizer.encode(before + text + after), self._limit + more
        if len(found.ids) <= limit:
            return ""
        added = sum(found.special_tokens_mask)
        own = [
            span for span, extra in zip(found.offsets, found.special_tokens_mask, strict=True) if not extra
        ]
        read = own[: max(0, limit - added)]
        end = read[-1][1] if read else 0
        return text[max(0, end - len(before)) :].strip()
