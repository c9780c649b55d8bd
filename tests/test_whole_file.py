"""Files appear whole or not at all, also through links, in devices and in pipes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sparseopt as so
from sparseopt.interface.whole_file import whole_file, write_whole

NETWORK = Path(__file__).parents[1] / "examples" / "networks" / "digits_mlp.onnx"
UNIX = pytest.mark.skipif(os.name != "posix", reason="devices and pipes as Unix has them")


def test_nothing_is_left_of_what_raises(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")

    def fail() -> None:
        with whole_file(file) as made:
            Path(made).write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_new_file_has_the_permissions_of_new_files_and_an_old_one_its_own(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "new", "1")
    plain, new = ((tmp_path / name).stat().st_mode for name in ("plain", "new"))
    assert plain == new
    os.chmod(tmp_path / "new", 0o600)
    write_whole(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert (tmp_path / "new").read_text() == "2"


@UNIX
@pytest.mark.parametrize("there", [True, False])
def test_links_stay_links(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if there:
        (folder / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("elsewhere/real.txt")
    write_whole(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (folder / "real.txt").read_text() == "new"


@UNIX
def test_devices_and_pipes_are_sent_the_content(tmp_path: Path) -> None:
    write_whole("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "text")
    reader.join(10)
    assert read == ["text"]
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="it is a folder"):
        write_whole(tmp_path, "text")
    with pytest.raises(so.ProblemError, match="there is no folder"):
        write_whole(tmp_path / "no" / "file", "text")


def command(*words: str, to: str, unread: bool = False) -> tuple[int, str]:
    """Run the command line with standard output in a file; return the exit code and the error."""
    line = [sys.executable, "-m", "sparseopt", *words]
    if unread:
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open(to, os.O_WRONLY)
    try:
        ended = subprocess.run(line, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    return ended.returncode, ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [("doctor",), ("analyze", str(NETWORK), "--json")])
def test_a_full_disk_is_one_sentence(words: tuple[str, ...]) -> None:
    code, error = command(*words, to="/dev/full")
    assert code == 2
    assert error == "error: cannot write standard output: No space left on device\n"


@UNIX
@pytest.mark.parametrize(
    "words",
    [("doctor",), ("analyze", str(NETWORK)), ("prune", str(NETWORK), "-o", "-")],
)
def test_a_reader_that_has_gone_ends_a_command_without_a_word(words: tuple[str, ...]) -> None:
    assert command(*words, to="", unread=True) == (141, "")
