"""Paths as another process means them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probes import procfs

IN_ROOT = "import os, sys; os.chroot(sys.argv[1]); os.chdir('/'); print('up', flush=True); sys.stdin.read()"


def test_links_are_followed_as_the_process_would(tmp_path: Path) -> None:
    real = tmp_path / "data" / "dump_0"
    real.parent.mkdir()
    real.write_text("mine")
    (tmp_path / "up").symlink_to("data/../data")
    (tmp_path / "whole").symlink_to(tmp_path / "up")
    seen = procfs.seen_by(os.getpid(), str(tmp_path / "whole" / "dump_0"))
    assert seen == f"/proc/{os.getpid()}/root{real}"
    assert Path(seen).read_text() == "mine"


def test_a_descriptor_that_is_closed_meanwhile_hides_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: ["1048575", *real(path)])
    assert (procfs.fd_links(os.getpid()) or {}).keys() >= {0, 1, 2}


@pytest.mark.skipif(os.geteuid() != 0, reason="another root needs root")
def test_no_link_leads_out_of_the_root_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostname").write_text("inside")
    (tmp_path / "absolute").symlink_to("/etc/hostname")
    (tmp_path / "above").symlink_to("../../../../../../../../etc/hostname")
    (tmp_path / "circle").symlink_to("circle")
    argv = [sys.executable, "-c", IN_ROOT, tmp_path]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"up\n"
        for name in ("absolute", "above"):
            assert procfs.head(procfs.seen_by(process.pid, f"/{name}"), 99) == b"inside"
        assert procfs.head(procfs.seen_by(process.pid, "/circle"), 99) is None
        process.communicate(b"")
