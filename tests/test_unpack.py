"""A recording is read in the service's sandbox too."""

import subprocess
import sys
from pathlib import Path

import pytest
import refusal

VISIT = Path(__file__).parent / "data" / "visit.flac"


@pytest.mark.skipif(not refusal.possible(), reason=refusal.WHY)
def test_a_recording_is_read_where_limits_and_priorities_may_not_be_changed():
    script = f"{refusal.SCRIPT}\nimport ambientd.unpack as unpack\nunpack.main()"
    read = subprocess.run(
        [sys.executable, "-c", script], input=VISIT.read_bytes(), capture_output=True, check=False
    )

    assert read.returncode == 0
    assert read.stdout.startswith(b'{"seconds": 39.5')
    assert read.stdout.endswith(b"\0\0\0\0{}\n")
