"""What a long log's middle takes is given back, and never before everybody has read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probes.collecting.release import Release

SIZE = 24 << 20
READS = """
import os, sys
os.read(os.open(sys.argv[1], os.O_RDONLY), 9 << 20)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file of 24 MiB, on a file system that can make holes."""
    path = tmp_path / "launcher.log"
    path.write_bytes(b"x" * SIZE)
    probe = tmp_path / "probe"
    probe.write_bytes(b"x" * SIZE)
    if not Release().until(str(probe), SIZE):
        pytest.skip("this file system makes no holes")
    return path


def test_what_lies_before_the_end_that_is_wanted_takes_no_room_and_the_end_is_as_it_was(log: Path) -> None:
    release = Release()
    assert release.until(str(log), 16 << 20) == 16 << 20
    now = log.stat()
    assert now.st_size == SIZE and now.st_blocks * 512 <= 8 << 20
    assert log.read_bytes()[16 << 20 :] == b"x" * (8 << 20)
    assert release.until(str(log), 17 << 20) == 0, "not for so little"


def test_what_a_reader_has_still_to_read_stays(log: Path) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READS, log], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with reader:
        assert reader.stdout and reader.stdout.readline()
        assert Release().until(str(log), SIZE, [reader.pid]) == 9 << 20
        assert log.read_bytes()[9 << 20 :] == b"x" * (SIZE - (9 << 20))


def test_where_no_reader_is_seen_nothing_is_given_back(log: Path) -> None:
    assert Release().until(str(log), SIZE, []) == 0
    assert Release().until(str(log), SIZE, [os.getpid()]) == 0
    assert log.read_bytes() == b"x" * SIZE
