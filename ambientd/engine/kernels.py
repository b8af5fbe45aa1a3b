"""whisper.cpp's kernels for the processor at hand, where the engine was built for all of them.

The Debian package brings one binding and a dozen builds of the arithmetic, ``libggml-cpu-haswell.so`` and its like,
from plain x86-64 to AVX-512 with BF16.  Each has a function, compiled without any special instruction, that says how
well it suits this processor; ggml takes the best.  An engine built for one processor has its kernels inside and needs
none of it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

from ambientd.errors import EngineUnavailable

LIBRARY: Final = "libggml.so.0"
"""The registry of kernels; the binding has it open, and opening it again gives the same one."""

BUILDS: Final = "libggml-cpu-*.so"
"""Source: ggml, ``ggml_backend_load_best``."""


def load(directory: Path) -> None:
    """Load the best of the builds in ``directory``, the binding's own; nothing if there are none.

    The directory is always named: left to itself ggml also searches the working directory, where anybody may have put a
    library.  To be called once the binding is imported, and before a model is loaded; again does nothing.

    Raises:
        EngineUnavailable: none of them runs here.
    """
    if not any(directory.glob(BUILDS)):
        return
    ggml = ctypes.CDLL(str(directory / LIBRARY))
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path.restype = None
    ggml.ggml_backend_reg_count.argtypes = []
    ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
    if ggml.ggml_backend_reg_count() == 0:
        ggml.ggml_backend_load_all_from_path(bytes(directory))
    if ggml.ggml_backend_reg_count() == 0:
        raise EngineUnavailable(
            "none of the engine's kernels runs on this processor",
            hint="Install it again: apt install --reinstall ambientd.",
        )
