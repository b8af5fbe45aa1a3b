"""The words a model knows, from the head of its file."""

import struct
from pathlib import Path

import pytest

from ambientd.engine.ordinary import ordinary_words
from ambientd.errors import ModelError


def model(path: Path, tokens: list[bytes], *, magic: int = 0x67676D6C, count: int | None = None) -> Path:
    head = struct.pack("<12i", magic, *[0] * 11) + struct.pack("<2i", 2, 3) + bytes(24)
    body = b"".join(struct.pack("<i", len(token)) + token for token in tokens)
    path.write_bytes(head + struct.pack("<i", len(tokens) if count is None else count) + body + b"weights")
    return path


def test_words_are_the_tokens_that_begin_with_a_space_and_have_letters_only(tmp_path):
    path = model(
        tmp_path / "a.bin", [b" Crystal", b"prazole", b" a", b" 20", b" caf\xc3\xa9", b" it's", b"\xff"]
    )

    assert ordinary_words(path) == {"crystal", "a"}


@pytest.mark.parametrize("fault", [{"magic": 1}, {"count": 9}, {"count": -1}, {"count": 1 << 30}])
def test_what_is_no_model_is_told(tmp_path, fault):
    with pytest.raises(ModelError, match=r"a\.bin"):
        ordinary_words(model(tmp_path / "a.bin", [b" a"], **fault))
