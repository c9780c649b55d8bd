"""Runs the examples, each in a process and a folder of its own, and keeps what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What an example printed and drew.

    Parameters
    ----------
    command : str
        As a user would write it.
    printed : str
        Its standard output.
    seconds : float
        How long it took.
    pictures : tuple of Path
        Its pictures.
    """

    command: str
    printed: str
    seconds: float
    pictures: tuple[Path, ...]


def run(script: Path, full: bool, kept: Path) -> Run:
    """Run an example, unless this very script was run in this mode before."""
    arguments = [] if full else ["--quick"]
    digest = hashlib.sha256(script.read_bytes() + repr(arguments).encode()).hexdigest()
    place = kept / script.stem
    record = place / "run.json"
    if not record.exists() or json.loads(record.read_text())["digest"] != digest:
        printed, seconds = _fresh(script, arguments, place)
        record.write_text(json.dumps({"digest": digest, "printed": printed, "seconds": seconds}))
    said = json.loads(record.read_text())
    command = " ".join(["python", f"examples/{script.name}", *arguments])
    return Run(command, said["printed"], said["seconds"], tuple(sorted(place.glob("*.png"))))


def _fresh(script: Path, arguments: list[str], place: Path) -> tuple[str, float]:
    root = script.parent.parent
    paths = [str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")]
    search = os.pathsep.join(filter(None, paths))
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": search}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            raise RuntimeError(f"{script.name} ended with {done.returncode}:\n{said}")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for picture in sorted(Path(folder).glob("*.png")):
            shutil.copy(picture, place)
    return done.stdout, time.perf_counter() - start
