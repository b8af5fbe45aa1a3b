"""The speech engine: weights, voice detection, whisper.cpp and the lanes it runs on."""
