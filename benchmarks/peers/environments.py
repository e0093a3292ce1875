"""An environment for each peer, made when it is first wanted, and again when what it needs has changed."""

from __future__ import annotations

import shutil
import subprocess
import sys

from .contestants import ENVIRONMENTS, HERE


class NotInstalledError(RuntimeError):
    """What a peer needs could not be had."""


def make(peer: str) -> None:
    """Install a peer into `.venv-peers/NAME`, unless it is there as its requirements say.

    Raises:
        NotInstalledError: Node is missing, or an installation failed.
    """
    wanted = HERE / "requirements" / ("bullmq.json" if peer == "bullmq" else f"{peer}.txt")
    place = ENVIRONMENTS / peer
    stamp = place / ".installed"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    print(f"Installing {peer} into {place.relative_to(ENVIRONMENTS.parent)} ...", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    if peer == "bullmq":
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise NotInstalledError("no node and npm on PATH")
        place.mkdir(parents=True)
        shutil.copy(wanted, place / "package.json")
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place)], peer)
    else:
        _run([sys.executable, "-m", "venv", str(place)], peer)
        pip = [str(place / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _run([*pip, "-r", str(wanted)], peer)
    stamp.write_text(wanted.read_text())


def _run(command: list[str], peer: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise NotInstalledError(f"{peer} could not be installed:\n{said}")
