"""Whisper's decoder one token at a time, over audio that was encoded before.

The binding has these three functions of whisper.cpp too, and none of them can be used: it passes tokens by value where
an array is meant, and gives one number for fifty thousand.  So they are called in the library it has loaded, through
:mod:`ctypes`, which lets go of the GIL meanwhile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ambientd.errors import DecodeFailed

LogProbabilities = npt.NDArray[np.float32]
"""float32[vocabulary], natural logarithm."""

MOST_TOKENS: Final = 448
"""Prompt and text together.  Source: Whisper, ``n_text_ctx``."""

_Tokens = ctypes.POINTER(ctypes.c_int32)


class Steps:
    """The decoder of one context; of the same thread as the context."""

    def __init__(self, module: str, context: object, *, size: int, threads: int) -> None:
        """``module``: file of the binding's extension.  ``context``: its object.  ``size``: of the vocabulary."""
        # A symbol is also looked for in what the module itself was linked with, wherever that lies.
        library = ctypes.CDLL(module)
        self._decode: Any = library.whisper_decode
        self._decode.argtypes = [ctypes.c_void_p, _Tokens, ctypes.c_int, ctypes.c_int, ctypes.c_int]
        self._logits: Any = library.whisper_get_logits
        self._logits.argtypes = [ctypes.c_void_p]
        self._logits.restype = ctypes.POINTER(ctypes.c_float)
        self._tokenize: Any = library.whisper_tokenize
        self._tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Tokens, ctypes.c_int]
        self._context = _pointer(context)
        self._size = size
        self._threads = threads

    def tokens(self, text: str) -> list[int]:
        """The tokens of ``text``, at most as many as there is room for."""
        room = (ctypes.c_int32 * MOST_TOKENS)()
        count = self._tokenize(self._context, text.encode(), room, MOST_TOKENS)
        return [] if count < 0 else list(room[:count])

    def take(self, tokens: Sequence[int], past: int) -> LogProbabilities:
        """How likely each token is to follow ``past`` tokens taken before and then these.

        What was taken behind ``past`` is forgotten: alternatives are compared by going back.

        Raises:
            DecodeFailed: whisper.cpp failed.
        """
        status = self._decode(
            self._context, (ctypes.c_int32 * len(tokens))(*tokens), len(tokens), past, self._threads
        )
        if status != 0:
            raise DecodeFailed(f"whisper.cpp gave status {status} to a step of the decoder")
        rows = np.ctypeslib.as_array(self._logits(self._context), shape=(len(tokens), self._size))
        last: LogProbabilities = rows[-1] - rows[-1].max()
        last -= np.log(np.exp(last).sum())
        return last


def _pointer(context: object) -> int:
    """The ``whisper_context *`` in the binding's object.

    Behind the head of a Python object pybind11 keeps the address of the C++ value, here a struct whose only member is
    the pointer.  Source: pybind11, ``detail/common.h``, ``instance``; pywhispercpp, ``whisper_context_wrapper``; both
    are pinned, and tests/engine/test_steps.py would not survive a change.
    """
    value = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    pointer = ctypes.c_void_p.from_address(value).value if value else None
    if not pointer:
        raise DecodeFailed("the binding's context is empty")
    return pointer
