"""What a visit carries, and what it takes from a container that may send anything."""

import gzip
import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from diagnose import attaching
from diagnose.attaching import Options
from diagnose.surfaces.modal import packing, visiting
from diagnose.surfaces.modal.outcome import Unreachable

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"


def test_the_same_sources_give_the_same_zipapp_and_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = packing.zipapp()
    [kept] = (tmp_path / "diagnose").iterdir()
    assert kept.read_bytes() == made == packing.zipped(list(packing.sources()))
    assert len(made) < 1 << 20
    names = zipfile.ZipFile(io.BytesIO(made)).namelist()
    assert {"__main__.py", "probes/attach.py", "structlog/__init__.py"} <= set(names)
    assert all(name.endswith(".py") for name in names)
    assert ("pynvml.py" in names) == (importlib.util.find_spec("pynvml") is not None)


def test_a_cache_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert packing.zipapp().startswith(b"PK")


def test_the_probes_run_from_the_zipapp_alone(tmp_path):
    """No package of ours is to be had: neither the checkout nor anything that was installed."""
    (tmp_path / "probes.pyz").write_bytes(packing.zipapp())
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", str(tmp_path / "probes.pyz"), "find", "4194303"],
        cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, timeout=60,
    )  # fmt: skip
    place, *rest = map(json.loads, done.stdout.splitlines())
    assert place["machine"] and place["python"] and rest[0]["pid"] == 4194303, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["probes.pyz"]


def tar(*files):
    """A compressed tar of (name, content, type)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data, kind in files:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def test_only_what_has_a_place_in_a_run_is_unpacked(tmp_path):
    plain = tarfile.REGTYPE
    run = tmp_path / "a" / "run"
    run.mkdir(parents=True)
    body = tar(
        ("attempts/1/logs/rank-00000.log", b"hello", plain),
        ("attempts/1/../../../../x", b"", plain),
        ("/attempts/1/logs/x", b"", plain),
        ("manifest.json", b"{}", plain),
        ("attempts/1/logs/link", b"", tarfile.SYMTYPE),
    )
    said = list(visiting.unpack(body, run))
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [
        "a/run/attempts/1/logs/rank-00000.log"
    ]
    assert len(said) == 4 and all(line.startswith("not brought: ") for line in said)


@pytest.mark.parametrize(("cut", "kept"), [(0, []), (1, []), (100, []), (-2000, ["a.log"]), (-20, ["a.log"])])
def test_what_is_cut_off_is_said_and_the_rest_is_kept(tmp_path, cut, kept):
    first, second = os.urandom(90_000), os.urandom(90_000)
    plain = tarfile.REGTYPE
    body = tar(("attempts/1/logs/a.log", first, plain), ("attempts/1/logs/b.log", second, plain))
    assert list(visiting.unpack(body[:cut], tmp_path))
    whole = [path for path in tmp_path.rglob("*.log") if path.read_bytes() in (first, second)]
    assert sorted(path.name for path in whole)[:1] == kept


def test_a_bomb_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(visiting, "MAX_UNPACKED", 1 << 20)
    bomb = gzip.compress(gzip.compress(bytes(8 << 20)))
    assert list(visiting.unpack(bomb, tmp_path)) == ["what was brought is no tar"]
    said = list(visiting.unpack(tar(("attempts/1/a/b", bytes(8 << 20), tarfile.REGTYPE)), tmp_path))
    assert "more than 1 MiB" in said[0]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 4 << 20


@pytest.mark.parametrize(
    ("number", "machine", "fits"),
    [(0x3E, "x86_64", True), (0xB7, "aarch64", True), (0x3E, "aarch64", False), (0xF3, "riscv64", False)],
)
def test_py_spy_goes_along_only_where_it_can_run(tmp_path, number, machine, fits):
    (tmp_path / "py-spy").write_bytes(ELF + number.to_bytes(2, "little"))
    visit = visiting.Visit("ta-1", None, tmp_path / "py-spy")
    visit.place = {"machine": machine}
    said = []
    assert bool(visit.fitting(said.append)) == fits
    assert fits or f"no py-spy for {machine}" in said[0]


def test_where_the_container_has_its_own_py_spy_none_is_carried(tmp_path):
    carried = []

    class Done:
        code, errors = 0, ""
        out = b'{"py_spy": "/usr/bin/py-spy", "code": 3, "errors": "x"}\n' + tar(
            ("attempts/1/a", b"", tarfile.REGTYPE)
        )

    def enter(container, words, given, limit_s):
        carried.append([name for name, _, _ in json.loads(given.partition(b"\n")[0])])
        return Done

    visit, said = visiting.Visit("ta-1", enter, None), []
    visit.place = {"py_spy": "/usr/bin/py-spy"}
    visit.look(tmp_path, {"ranks": []}, Options(False, False, 9.0), said.append)
    assert carried == [["probes.pyz", "job.json"]] and said == ["the look broke off: x"]


BROKEN = [b"", b"{}", b"[1]\n", b'"x"\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
CUT = [b'{}\n{"ranks": [{"ra', b"{}\n3\n", b'{}\n{"hidden": []}\n', b"{}\n" + b"[" * 100_000]
RANK = {"rank": 0, "pid": 9, "start_ticks": 1, "how": "spawn", "local_rank": None, "restart_count": 0}
FOUND = {"job": "a", "argv": "a", "world_size": 1, "missing": [], "started": 5.0, "ranks": [RANK]}
SHAPES = [
    *({"job": None}, {"argv": ["a"]}, {"world_size": "2"}, {"missing": [None]}, {"missing": 3}),
    *({"started": "now"}, {"started": 1e300}, {"ranks": []}, {"ranks": {"rank": 0}}, {"ranks": [7]}),
    *({"ranks": [{**RANK, "pid": []}]}, {"ranks": [{**RANK, "rank": -1}]}, {"ranks": [{"rank": 0}]}),
]
SHAPED = [b"{}\n" + json.dumps(FOUND | shape).encode() + b"\n" for shape in SHAPES]


@pytest.mark.parametrize("out", [*BROKEN, *CUT, *SHAPED], ids=range(10 + len(SHAPED)))
def test_whatever_is_answered_instead_is_one_line(out):
    done = type("Done", (), {"code": 0, "out": out, "errors": "a\nb \x1b[31m"})
    visit = visiting.Visit("ta-1", lambda *_: done, None)
    with pytest.raises(Unreachable) as told:
        visit.find([])
    assert "\n" not in str(told.value)


def test_what_a_container_says_of_a_job_is_shown_without_its_escapes():
    line = json.dumps(FOUND | {"job": "a\x1b[2J", "argv": "b\nc"}).encode()
    done = type("Done", (), {"code": 0, "out": b"{}\n" + line + b"\n", "errors": ""})
    [job] = visiting.Visit("ta-1", lambda *_: done, None).find([]).jobs
    assert (job["job"], job["argv"]) == ("a\\x1b[2J", "b c")


def test_a_search_that_was_cut_short_in_a_line_gives_the_lines_before_it():
    found = attaching.chosen(None, json.dumps(FOUND).encode() + b'\n{"ranks": [{"ra', "")
    [refused] = found.refused
    assert [job["job"] for job in found.jobs] == ["a"] and "did not end" in refused
