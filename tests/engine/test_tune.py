"""Measuring the machine: what is tried, what is chosen, and that the result is kept and only believed at home."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import from_pcm16
from ambientd.engine import tune
from ambientd.engine.machine import Machine, free_memory
from ambientd.engine.tune import Trial, Tuning
from ambientd.errors import EngineUnavailable

HERE = Machine("A processor", 4, ("AVX2", "LLAMAFILE"))


def trial(lanes: int, threads: int, speed: float, *, quantisation: str = "q8_0") -> Trial:
    return Trial(quantisation, lanes, threads, speed, 1.0, 200 << 20)


@given(st.integers(1, 256))
def test_every_way_of_sharing_out_the_cores_is_tried_and_none_that_wants_more(cores):
    plans = tune.plans(cores)
    assert len(plans) == len(set(plans))
    assert (1, 1) in plans
    assert (cores, 1) in plans
    assert (1, cores) in plans
    assert all(lanes * threads <= cores for lanes, threads in plans)


class TestChoice:
    def test_most_speech_a_second_wins(self):
        trials = [trial(1, 1, 14), trial(4, 1, 50), trial(2, 2, 40), trial(1, 4, 30)]
        assert tune.choose(trials) == trials[1]

    def test_one_lane_that_is_hardly_faster_does_not_win(self):
        trials = [trial(1, 1, 14), trial(2, 1, 28), trial(1, 2, 29)]
        assert tune.choose(trials) == trials[1]

    def test_one_lane_that_is_much_faster_does(self):
        trials = [trial(1, 1, 14), trial(2, 1, 20), trial(1, 2, 29)]
        assert tune.choose(trials) == trials[2]

    def test_a_box_of_one_core_has_one_lane(self):
        assert tune.choose([trial(1, 1, 14)]).lanes == 1


class TestAdvice:
    def test_faster_weights_are_recommended_and_slower_ones_not(self):
        best = trial(2, 1, 28)
        assert "bf16" in tune.advice(HERE, best, [best, trial(2, 1, 34, quantisation="bf16")])[0]
        assert tune.advice(HERE, best, [best, trial(2, 1, 20, quantisation="q5_1")]) == []

    def test_a_processor_that_knows_bf16_is_told_to_try_it(self):
        machine = replace(HERE, kernels=("AVX512_BF16", "LLAMAFILE"))
        assert "--quantisation bf16" in tune.advice(machine, trial(2, 1, 28), [trial(2, 1, 28)])[0]

    def test_the_slow_build_is_named(self):
        assert "1.7 times" in tune.advice(replace(HERE, kernels=("AVX2",)), trial(2, 1, 28), [])[0]


TUNING = Tuning(HERE, "base", "q8_0", 2, 1, 0.07, (trial(2, 1, 28),), ("Do this.",), "2026-01-01T00:00:00Z")


def test_a_measurement_that_did_not_get_its_cores_is_disturbed():
    assert not TUNING.disturbed
    assert replace(TUNING, trials=(replace(TUNING.trials[0], share=0.5),)).disturbed


class TestKeeping:
    def test_what_is_kept_is_read_again(self, tmp_path):
        tune.save(TUNING, tmp_path)
        assert tune.load(tmp_path) == TUNING
        assert [path.name for path in tmp_path.iterdir()] == [tune.FILE]

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 9}', "\x00", "null"])
    def test_what_cannot_be_read_counts_as_nothing(self, tmp_path, text):
        (tmp_path / tune.FILE).write_text(text)
        assert tune.load(tmp_path) is None

    def test_without_a_result_there_is_none(self, tmp_path):
        assert tune.load(tmp_path) is None


def test_a_machine_without_memory_is_told_so(tmp_path, monkeypatch):
    weights = tmp_path / "base-q8_0.bin"
    weights.write_bytes(bytes(1000))
    monkeypatch.setattr(tune, "free_memory", lambda: 10)
    with pytest.raises(EngineUnavailable, match="to spare"):
        tune.tune("base", {"q8_0": weights}, "q8_0", np.zeros(16_000, np.float32), seconds=0.1)


def test_free_memory_is_some_and_less_than_all():
    assert 1 << 20 < free_memory() < 1 << 50


def test_a_lane_that_cannot_load_ends_the_measurement_instead_of_hanging(tmp_path):
    weights = tmp_path / "base-q8_0.bin"
    weights.write_bytes(b"no model")
    with pytest.raises(EngineUnavailable):
        tune.measure(weights, "q8_0", np.zeros(16_000, np.float32), (2, 1), seconds=0.1)


@pytest.mark.model
def test_the_machine_is_measured_on_speech(models: Path):
    from ambientd.audiofile import read_audio  # noqa: PLC0415

    audio = from_pcm16(b"".join(read_audio(tune.SAMPLE)))
    assert 10 < len(audio) / 16_000 < 15

    found = tune.measure(models / "base-q8_0.bin", "q8_0", audio, (2, 1), seconds=0.1)

    assert (found.lanes, found.threads) == (2, 1)
    assert found.speed > 0.1
    assert 0.05 < found.latency < 120
    assert 0.01 < found.share < 1.2
    assert 50 << 20 < found.memory < 600 << 20
