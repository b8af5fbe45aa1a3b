"""A CTranslate2 Whisper file becomes a ggml file without loss, and nothing else passes for one."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
import whisper_files as files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from whisper_files import STATE, GgmlFile, parse_ggml

from ambientd.engine import ctranslate2, ggml
from ambientd.engine.layout import Tensor
from ambientd.errors import ModelError

Kind = gguf.GGMLQuantizationType
F32, F16 = int(Kind.F32), int(Kind.F16)


@pytest.fixture(scope="module")
def variables() -> files.Arrays:
    return files.arrays()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, variables: files.Arrays) -> Path:
    directory = tmp_path_factory.mktemp("ct2")
    (directory / "model.bin").write_bytes(files.ct2_bytes(variables))
    (directory / "tokenizer.json").write_text(files.tokenizer_json(50257))
    return directory


def convert(source: Path, quantisation: str) -> bytes:
    target = io.BytesIO()
    ggml.convert(source / "model.bin", source / "tokenizer.json", target, quantisation)
    return target.getvalue()


@pytest.fixture(scope="module")
def f16(source: Path) -> bytes:
    return convert(source, "f16")


@pytest.fixture(scope="module")
def parsed(f16: bytes) -> GgmlFile:
    return parse_ggml(f16)


def test_the_header_says_what_the_model_is(parsed: GgmlFile) -> None:
    assert parsed.header == (0x67676D6C, 51865, 1500, STATE, 2, 1, 448, STATE, 2, 1, 80, 1)


def test_every_weight_arrives_bit_for_bit_in_f16(parsed: GgmlFile, variables: files.Arrays) -> None:
    pairs = {
        "decoder.token_embedding.weight": variables["decoder/embeddings/weight"],
        "encoder.positional_embedding": variables["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": variables["decoder/position_encodings/encodings"],
        "encoder.conv1.weight": variables["encoder/conv1/weight"],
        "encoder.conv2.weight": variables["encoder/conv2/weight"],
        "encoder.ln_post.weight": variables["encoder/layer_norm/gamma"],
        "decoder.ln.bias": variables["decoder/layer_norm/beta"],
        "encoder.blocks.0.attn_ln.weight": variables["encoder/layer_0/self_attention/layer_norm/gamma"],
        "encoder.blocks.0.attn.out.weight": variables["encoder/layer_0/self_attention/linear_1/weight"],
        "encoder.blocks.0.mlp_ln.bias": variables["encoder/layer_0/ffn/layer_norm/beta"],
        "encoder.blocks.0.mlp.0.weight": variables["encoder/layer_0/ffn/linear_0/weight"],
        "decoder.blocks.0.mlp.2.weight": variables["decoder/layer_0/ffn/linear_1/weight"],
        "decoder.blocks.0.cross_attn_ln.bias": variables["decoder/layer_0/attention/layer_norm/beta"],
        "decoder.blocks.0.cross_attn.query.weight": variables["decoder/layer_0/attention/linear_0/weight"],
        "decoder.blocks.0.cross_attn.out.bias": variables["decoder/layer_0/attention/linear_2/bias"],
    }
    for name, expected in pairs.items():
        np.testing.assert_array_equal(parsed.values(name), expected.astype(np.float32), err_msg=name)


def test_stacked_projections_are_split_into_query_key_and_value(
    parsed: GgmlFile, variables: files.Arrays
) -> None:
    stacks = {
        "encoder.blocks.0.attn": ("encoder/layer_0/self_attention/linear_0", ("query", "key", "value")),
        "decoder.blocks.0.attn": ("decoder/layer_0/self_attention/linear_0", ("query", "key", "value")),
        "decoder.blocks.0.cross_attn": ("decoder/layer_0/attention/linear_1", ("key", "value")),
    }
    for name, (origin, roles) in stacks.items():
        for part, role in enumerate(roles):
            rows = slice(part * STATE, (part + 1) * STATE)
            weight = variables[f"{origin}/weight"][rows].astype(np.float32)
            np.testing.assert_array_equal(parsed.values(f"{name}.{role}.weight"), weight)
            if role != "key":
                bias = variables[f"{origin}/bias"][rows].astype(np.float32)
                np.testing.assert_array_equal(parsed.values(f"{name}.{role}.bias"), bias)


def test_keys_have_no_bias(parsed: GgmlFile) -> None:
    assert not [name for name in parsed.tensors if name.endswith("key.bias")]


def test_the_biases_of_the_convolutions_are_columns(parsed: GgmlFile, variables: files.Arrays) -> None:
    for number in (1, 2):
        shape, kind, _ = parsed.tensors[f"encoder.conv{number}.bias"]
        assert (shape, kind) == ((STATE, 1), F32)
        expected = variables[f"encoder/conv{number}/bias"].astype(np.float32)
        np.testing.assert_array_equal(parsed.values(f"encoder.conv{number}.bias")[:, 0], expected)


@pytest.mark.parametrize("quantisation", ggml.WRITTEN)
def test_only_the_large_matrices_are_quantised(source: Path, quantisation: str, parsed: GgmlFile) -> None:
    made = parse_ggml(convert(source, quantisation))
    large = int(getattr(Kind, quantisation.upper()))
    assert made.header[-1] == {"f16": 1, "bf16": 24, "q4_0": 2002, "q8_0": 2007, "q5_1": 2009}[quantisation]
    assert made.tensors.keys() == parsed.tensors.keys()
    for name, (shape, kind, data) in made.tensors.items():
        if len(shape) == 1 or name.endswith("positional_embedding") or "conv" in name:
            assert (shape, kind, data) == parsed.tensors[name], name
            assert kind == (F16 if len(shape) == 3 else F32)
        else:
            assert kind == large, name


@pytest.mark.parametrize("quantisation", ggml.WRITTEN)
def test_what_is_written_passes_the_check(source: Path, tmp_path: Path, quantisation: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(convert(source, quantisation))
    header = ggml.check(path)
    assert header == ggml.read_header(path)
    assert (header.quantisation, header.multilingual, header.tokens) == (quantisation, True, 50257)


def test_an_english_model_has_one_token_less(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(files.ct2_bytes(files.arrays(files.ENGLISH)))
    (tmp_path / "tokenizer.json").write_text(files.tokenizer_json(50256))
    made = parse_ggml(convert(tmp_path, "q8_0"))
    assert made.header[1] == 51864
    assert made.tokens == files.raw_tokens(50256)


def test_tokens_become_raw_bytes_and_special_ones_are_left_out(parsed: GgmlFile) -> None:
    assert parsed.tokens == files.raw_tokens(50257)


def test_weights_in_float32_convert_too(tmp_path: Path, source: Path, f16: bytes) -> None:
    wide = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in files.arrays().items()
    }
    (tmp_path / "model.bin").write_bytes(files.ct2_bytes(wide))
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    assert convert(tmp_path, "f16") == f16


def test_the_mel_filters_are_those_whisper_was_trained_with() -> None:
    """Source of the numbers: the filter bank inside the published ggml files of Whisper base."""
    filters = ggml.mel_filters(80)
    assert (filters.shape, filters.dtype) == ((80, 201), np.float32)
    assert (filters >= 0).all()
    published = {
        (0, 1): 0.0248625949,
        (1, 2): 0.0228717718,
        (79, 196): 0.00179503602,
        (79, 199): 0.000448759005,
    }
    for place, value in published.items():
        assert filters[place] == pytest.approx(value, rel=1e-5)
    assert filters.max() == pytest.approx(0.025880683, rel=1e-6)
    assert filters[10, 12] == filters[79, 200] == 0


def steps(block: np.ndarray, quantisation: str) -> np.ndarray:
    """How far a number may move, by the definition of the form; scales are kept in float16."""
    largest = np.abs(block).max()
    if quantisation == "q8_0":  # 127 steps either way
        return largest / 127 * (0.5 + 127 * 2**-11) + 127 * 2**-24
    if quantisation == "q4_0":  # 8 steps one way and 7 the other
        return largest / 8 * (1 + 8 * 2**-11) + 8 * 2**-24
    if quantisation == "q5_1":  # 31 steps from the smallest number up
        spread = block.max() - block.min()
        return spread / 31 * (0.5 + 31 * 2**-11) + largest * 2**-11 + 32 * 2**-24
    bits = 8 if quantisation == "bf16" else 11
    return np.abs(block) * 2.0**-bits + 2**-24


@given(
    data=st.data(),
    quantisation=st.sampled_from(sorted(ggml.WRITTEN)),
    dtype=st.sampled_from([np.float16, np.float32]),
)
@settings(deadline=None)
def test_quantised_numbers_stay_within_half_a_step(
    data: st.DataObject, quantisation: str, dtype: type[np.floating]
) -> None:
    """Whatever the weights, no number moves further than its form allows."""
    width = 16 if dtype == np.float16 else 32
    numbers = st.floats(-100, 100, width=width, allow_subnormal=False)
    weights = data.draw(arrays_of.arrays(dtype, st.tuples(st.integers(1, 4), st.just(64)), elements=numbers))
    found = ctranslate2.Variable(weights.shape, weights.dtype, 0)
    opened = ctranslate2.Weights("weights", io.BytesIO(weights.tobytes()), {"w": found})
    kind = getattr(Kind, quantisation.upper())
    target = io.BytesIO()
    ggml._write(opened, Tensor("t", weights.shape, kind, "w"), target)
    described = 4 * 3 + 4 * 2 + 1
    back = gguf.dequantize(np.frombuffer(target.getvalue()[described:], np.uint8), kind).reshape(-1, 32)
    for block, moved in zip(weights.astype(np.float64).reshape(-1, 32), back, strict=True):
        assert (np.abs(block - moved) <= steps(block, quantisation)).all()


def test_memory_does_not_grow_with_the_model(source: Path, tmp_path: Path) -> None:
    """The embeddings alone are 25 MB here in float32; only pieces of them are ever in memory."""
    embeddings = np.zeros((51865, 128), np.float16)
    opened = ctranslate2.Weights(
        "weights",
        io.BytesIO(embeddings.tobytes()),
        {"w": ctranslate2.Variable(embeddings.shape, embeddings.dtype, 0)},
    )
    with (tmp_path / "out").open("wb") as target:
        tracemalloc.start()
        ggml._write(opened, Tensor("t", embeddings.shape, Kind.Q8_0, "w"), target)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < embeddings.size * 4 * 0.9


def test_progress_is_told_in_bytes_up_to_the_end(source: Path) -> None:
    told: list[tuple[str, int, int]] = []
    ggml.convert(
        source / "model.bin",
        source / "tokenizer.json",
        io.BytesIO(),
        "q8_0",
        lambda stage, done, total: told.append((stage, done, total)),
    )
    assert {stage for stage, _, _ in told} == {"convert"}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == told[-1][2]


def test_an_unknown_quantisation_is_refused(source: Path) -> None:
    with pytest.raises(ModelError, match="q3_7") as caught:
        convert(source, "q3_7")
    assert "q8_0" in caught.value.hint


def changed(source: Path, tmp_path: Path, change: dict[str, np.ndarray | None], **how: object) -> Path:
    """The source with some variables replaced, or left out where ``None``."""
    made = files.arrays() | change
    kept = {name: array for name, array in made.items() if array is not None}
    (tmp_path / "model.bin").write_bytes(files.ct2_bytes(kept, **how))
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "name", ["encoder/layer_0/self_attention/linear_0/bias", "decoder/layer_0/attention/linear_1/bias"]
)
def test_a_bias_on_the_keys_is_refused_since_it_would_be_lost(
    source: Path, tmp_path: Path, name: str
) -> None:
    bias = files.arrays()[name].copy()
    keys = slice(0, STATE) if "/attention/" in name else slice(STATE, 2 * STATE)
    bias[keys][5] = 0.5
    with pytest.raises(ModelError, match="keys"):
        convert(changed(source, tmp_path, {name: bias}), "f16")


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"encoder/conv2/bias": None}, {}),
        ({"encoder/num_heads": None}, {}),
        ({"encoder/num_heads": np.array(7, np.int16)}, {}),
        ({"encoder/conv1/weight": np.zeros((STATE, 40, 3), np.float16)}, {}),
        ({"encoder/layer_0/ffn/linear_0/weight": np.zeros((STATE, 4 * STATE), np.float16)}, {}),
        ({"encoder/layer_0/ffn/linear_0/weight": np.zeros((4 * STATE, STATE), np.int8)}, {}),
        (
            {"encoder/layer_0/self_attention/linear_0/weight": np.zeros((3 * STATE + 1, STATE), np.float16)},
            {},
        ),
        ({"decoder/embeddings/weight": np.zeros((1000, STATE), np.float16)}, {}),
        ({"decoder/embeddings/weight": np.zeros(51865, np.float16)}, {}),
        ({}, {"spec": "TransformerSpec"}),
        ({}, {"version": 5}),
    ],
)
def test_what_is_not_whisper_is_refused(
    source: Path, tmp_path: Path, change: dict[str, np.ndarray | None], how: dict[str, object]
) -> None:
    with pytest.raises(ModelError) as caught:
        convert(changed(source, tmp_path, change, **how), "q8_0")
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "[]", '{"model": {}}', '{"model": {"vocab": {"a": 0}}}', '{"model": {"vocab": 1}}']
)
def test_a_tokenizer_that_is_none_is_refused(source: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="tokenizer"):
        ggml.convert(source / "model.bin", path, io.BytesIO(), "f16")


@given(share=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_cut_short_anywhere_are_refused(source: Path, tmp_path: Path, share: float) -> None:
    whole = (source / "model.bin").read_bytes()
    aliases = 4 + 2 * 2 + len("decoder/projection/weight") + len("decoder/embeddings/weight") + 2
    cut = tmp_path / "cut.bin"
    cut.write_bytes(whole[: int((len(whole) - aliases) * share)])
    with pytest.raises(ModelError), ctranslate2.open_weights(cut):
        pass


@given(share=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_ggml_file_cut_short_anywhere_is_refused(f16: bytes, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(f16[: int(len(f16) * share)])
    with pytest.raises(ModelError):
        ggml.check(cut)


def test_a_ggml_file_with_something_behind_its_last_tensor_is_refused(f16: bytes, tmp_path: Path) -> None:
    path = tmp_path / "long.bin"
    path.write_bytes(f16 + b"\0")
    with pytest.raises(ModelError, match="does not end where"):
        ggml.check(path)


@given(place=st.integers(0, 11 * 4 + 3), byte=st.integers(0, 255))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_header_with_any_byte_changed_is_refused(f16: bytes, tmp_path: Path, place: int, byte: int) -> None:
    """Only the numbers of heads and the quantisation's version leave the same tensors behind."""
    wrong = bytearray(f16)
    wrong[place] = byte
    path = tmp_path / "wrong.bin"
    path.write_bytes(wrong)
    header = struct.unpack_from("<12i", wrong)
    right = struct.unpack_from("<12i", f16)
    harmless = {4, 8, 11}
    if all(header[n] == right[n] for n in range(12) if n not in harmless):
        return
    with pytest.raises(ModelError):
        ggml.check(path)


@given(data=st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_refused_with_a_hint(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage.bin"
    for content in (data, b"lmgg" + data):
        path.write_bytes(content)
        for read in (ggml.read_header, ggml.check):
            with pytest.raises(ModelError) as caught:
                read(path)
            assert caught.value.hint


def test_a_doubled_tensor_does_not_hide_a_missing_one(f16: bytes, tmp_path: Path) -> None:
    path = tmp_path / "doubled.bin"
    path.write_bytes(f16.replace(b"encoder.conv2.bias", b"encoder.conv1.bias"))
    with pytest.raises(ModelError, match="unknown, doubled"):
        ggml.check(path)


def test_an_absent_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.bin"):
        ggml.read_header(tmp_path / "absent.bin")


LOAD = """
import sys
import numpy as np
from pywhispercpp.model import Model
for path in sys.argv[1:]:
    model = Model(path, n_threads=1, context_params={"flash_attn": False}, redirect_whispercpp_logs_to=None)
    model.transcribe(np.zeros(16000, np.float32), language="en", audio_ctx=64, max_tokens=2, temperature_inc=0.0)
    print("decoded", path)
"""


def test_whisper_cpp_takes_every_quantisation(source: Path, tmp_path: Path) -> None:
    """The engine itself is the judge; in a process of its own, since it ends the process it does not like."""
    paths = []
    for quantisation in ggml.WRITTEN:
        path = tmp_path / f"{quantisation}.bin"
        path.write_bytes(convert(source, quantisation))
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("decoded")] == [
        f"decoded {p}" for p in paths
    ]
