"""The plots of docs/benchmarks.md, drawn in the environment of the peers, where matplotlib is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench import peers
from bench.recordings import ROOT
from bench.report import RESULTS


def draw() -> None:
    """Draws what there are results for."""
    if (RESULTS / "streaming.json").is_file():
        target = ROOT / "docs" / "images" / "latency.svg"
        script = Path(__file__).with_name("plot_latency.py")
        subprocess.run([peers.PYTHON, script, RESULTS / "streaming.json", target], check=True)
