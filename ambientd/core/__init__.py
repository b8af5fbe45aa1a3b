"""The rules, pure: numpy and the standard library; no asyncio, thread, clock, file, socket or log."""
