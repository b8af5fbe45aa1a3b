"""The languages a multilingual Whisper knows, by their codes."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = frozenset(
    code
    for line in (
        "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr",
        "bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn",
        "yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su",
    )
    for code in line.split()
)
"""The languages of every multilingual Whisper.  Source: ``g_lang`` in whisper.cpp.  Its hundredth, ``yue``,
is left out: only large-v3 has that token; the smaller models take its number for the order to translate."""
