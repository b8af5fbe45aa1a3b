"""``PYTHONPATH=tests python -m central``: the centre on a port, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from central.certificates import Tls
from central.server import USERS, running


async def serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    tls = Tls(options.tls) if options.tls else None
    async with running(options.file, port=options.port, delay=options.delay, tls=tls) as centre:
        email, password = next(iter(USERS.items()))
        print(f"centre ready url={centre.url} email={email} password={password}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m central", description=__doc__)
    parser.add_argument("file", type=Path, help="SQLite file, made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose (default)")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds each background step waits")
    parser.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="serve TLS; certificates are made in FOLDER"
    )
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
