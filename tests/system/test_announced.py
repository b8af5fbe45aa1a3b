"""The announcement by mDNS: in a network of its own, which comes, changes and goes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCENE = """
import asyncio, subprocess
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from ambientd.announce import KIND, Presence, announced
from ambientd.security.addresses import lan_addresses

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def presence():
    return Presence("room-3", tuple(map(str, lan_addresses())), 8443)

async def found():
    asker = AsyncZeroconf()
    try:
        told = AsyncServiceInfo(KIND, f"room-3.{KIND}")
        if not await told.async_request(asker.zeroconf, 3000):
            return None
        return told.parsed_addresses(), told.port, told.server, dict(told.properties)
    finally:
        await asker.async_close()

async def until(address):
    for _ in range(10):
        try:
            there = await found()
        except OSError:
            there = None
        if there and there[0] == [address]:
            print(there)
            return
        await asyncio.sleep(0.3)
    raise SystemExit(f"not found at {address}: {there}")

async def main():
    async with announced(presence, every=0.3):
        await asyncio.sleep(1)
        ip("link", "set", "lo", "up")
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
        ip("link", "set", "v1", "up")
        ip("addr", "add", "10.9.9.1/24", "dev", "v0")
        ip("link", "set", "v0", "up")
        await until("10.9.9.1")
        ip("addr", "add", "10.8.8.7/24", "dev", "v0")
        ip("addr", "del", "10.9.9.1/24", "dev", "v0")
        await until("10.8.8.7")
        ip("link", "del", "v0")
        await asyncio.sleep(1)
    print("closed")

asyncio.run(main())
"""


def test_the_box_is_found_whenever_there_is_a_network() -> None:
    """No network at first, then one, then another address, then none again; and only what may be said is said."""
    alone = ("unshare", "--net")
    try:
        able = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("no right to make a network of its own: run as root")
    if shutil.which("ip") is None:
        pytest.skip("no program ip: install Debian's package iproute2")
    done = subprocess.run(
        [*alone, sys.executable, "-c", SCENE],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, last = done.stdout.splitlines()
    assert last == "closed"
    for line in (first, second):
        assert "8443, 'room-3.local.', {b'version': b'" in line
        assert line.endswith("b'path': b'/'})")
