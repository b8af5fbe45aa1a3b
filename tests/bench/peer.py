"""Runs in the environment of the peers, not in ours: faster-whisper on files, results as JSON on standard output.

python peer.py MODEL_FOLDER BEAM FILE.npy ...
"""

# ruff: noqa: T201 -- what it prints is what it is for
import json
import sys
import time

import numpy as np
from faster_whisper import WhisperModel


def main() -> None:
    """One JSON line per file: text, CPU seconds, and each word with the second at which it ends."""
    folder, beam, *files = sys.argv[1:]
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)
    for file in files:
        began = time.process_time()
        # Word times cost a pass of their own, so only the first reading asks for them.
        segments, _ = model.transcribe(
            np.load(file), language="en", beam_size=int(beam), vad_filter=True, word_timestamps=beam == "1"
        )
        found = list(segments)
        spent = time.process_time() - began
        words = [(word.word.strip(), word.end) for segment in found for word in segment.words or []]
        text = " ".join(segment.text.strip() for segment in found)
        print(json.dumps({"text": text, "cpu": spent, "words": words}), flush=True)


if __name__ == "__main__":
    main()
