"""The control socket: the same application, for the daemon's user and group, whatever a crash left behind."""

import logging
import os
import socket
import stat
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ambientd.control import open_control
from ambientd.errors import OperatorError


@asynccontextmanager
async def served(path: Path):
    async def who(request: web.Request) -> web.Response:
        return web.json_response({"remote": request.remote or "local"})

    app = web.Application()
    app.router.add_get("/who", who)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        async with open_control(runner, path):
            yield
    finally:
        await runner.cleanup()


async def ask(path: Path) -> dict[str, str]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get("http://localhost/who") as answer,
    ):
        return await answer.json()


async def test_the_application_answers_on_it_to_user_and_group_alone_and_it_goes_with_the_daemon(tmp_path):
    path = tmp_path / "control.sock"
    before = os.umask(0o027)
    try:
        async with served(path):
            assert await ask(path) == {"remote": "local"}
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)
    assert not path.exists()


async def test_the_socket_of_a_crashed_daemon_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with served(path):
        assert await ask(path) == {"remote": "local"}


async def test_a_second_daemon_does_not_take_the_first_ones_socket(tmp_path):
    path = tmp_path / "control.sock"
    async with served(path):
        with pytest.raises(OperatorError, match="another daemon answers"):
            async with served(path):
                pass
        assert await ask(path) == {"remote": "local"}


async def test_a_file_of_that_name_is_left_alone(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(OperatorError, match="something else"):
        async with served(path):
            pass
    assert path.read_text() == "precious"


async def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OperatorError, match="No such file or directory") as told:
        async with served(tmp_path / "missing" / "control.sock"):
            pass
    assert "server.control_socket" in told.value.hint


async def test_too_long_a_path_is_told_and_the_daemon_goes_on_without(tmp_path, caplog):
    path = tmp_path / ("x" * 120) / "control.sock"
    with caplog.at_level(logging.WARNING):
        async with served(path):
            pass
    assert "its path is too long" in caplog.text


async def test_a_socket_made_in_its_place_meanwhile_stays(tmp_path):
    path = tmp_path / "control.sock"
    async with served(path):
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
    other.close()
    assert path.is_socket()
