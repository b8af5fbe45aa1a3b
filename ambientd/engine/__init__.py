"""The speech engine: weights, voice detection, whisper.cpp and the lanes it runs on."""

import os

# Nothing leaves the building: from 1.29 on onnxruntime by itself keeps an id and a file of what it did, and sends them
# to its maker.  It looks at this once, as it is imported, so it is said here, before any module of this room; its own
# disable_telemetry_events() comes too late for the first report.
# Source: https://github.com/microsoft/onnxruntime/pull/27379
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
