"""Runs in the environment of the peers: latency against load, from the figures of the streaming benchmark.

python plot_latency.py streaming.json latency.svg
"""

import json
import sys
from pathlib import Path
from statistics import median

import matplotlib as mpl
import matplotlib.pyplot as plt


def main() -> None:
    """Draws committed and shown latency, and CPU, for each level of load."""
    source, target = sys.argv[1:]
    levels = json.loads(Path(source).read_text())["data"]
    mpl.rcParams |= {"svg.hashsalt": "ambientd", "font.size": 9}
    figure, (delays, load) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    places = range(len(levels))
    for index, (point, shade) in enumerate((("p50", 0.9), ("p95", 0.45))):
        for kind, colour, shift in (("display", "tab:blue", -0.2), ("commit", "tab:orange", 0.2)):
            heights = [
                median(run[kind][index] for run in runs) if all(run[kind] for run in runs) else 0
                for runs in levels.values()
            ]
            delays.bar(
                [place + shift for place in places],
                heights,
                0.36,
                color=colour,
                alpha=shade,
                zorder=2 - index,
                label=f"{'shown' if kind == 'display' else 'committed'} {point}",
            )
    delays.set_ylabel("seconds after the word")
    delays.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    load.bar(
        places, [median(run["cores"] for run in runs) for runs in levels.values()], 0.5, color="tab:green"
    )
    load.set_ylabel("cores busy")
    for axes in (delays, load):
        axes.set_xticks(places, [label.replace(", ", "\n") for label in levels], fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
