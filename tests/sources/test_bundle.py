"""A bundle gives the same files whether it is a folder or an archive, and nothing from outside it."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnose import bundle
from diagnose.bundle import BundleError, members, several
from diagnose.coverage import gather
from diagnose.pipeline import parse

FILES = {
    "attempts/1/logs/rank-00000.log": b"hello\n",
    "attempts/1/logs/rank-00001.log": b"Traceback (most recent call last):\nValueError: x\n",
    "manifest.json": b"{}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "run"
    for name, data in FILES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    return top


def read(path: Path) -> dict[str, bytes]:
    return {member.where: member.read() for member in members(str(path))}


def reasons(path: Path) -> dict[str, str]:
    """where -> reason of every member that cannot be read."""
    events, _, _ = parse(members(str(path)))
    return {e.where: str(e.data["reason"]) for e in events if e.kind == "source.unreadable"}


def tar_of(folder: Path, path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for name in reversed(FILES):
            archive.add(folder / name, arcname=name)
    return path


def test_a_folder_gives_its_files_in_order(folder: Path) -> None:
    assert read(folder) == FILES
    assert list(read(folder)) == sorted(FILES, key=lambda n: ("/" in n, n))


def test_every_kind_of_archive_gives_the_same(folder: Path, tmp_path: Path) -> None:
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")):
        path = tar_of(folder, tmp_path / name, mode)
        assert read(path) == {f"{name}!{where}": data for where, data in FILES.items()}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for where in FILES:
            archive.write(folder / where, where)
    assert read(tmp_path / "a.zip") == {f"a.zip!{where}": data for where, data in FILES.items()}


def test_members_can_be_read_after_the_last_was_given(folder: Path, tmp_path: Path) -> None:
    for path in (tar_of(folder, tmp_path / "a.tar.gz", "w:gz"), tar_of(folder, tmp_path / "a.tar", "w")):
        found = list(members(str(path)))
        assert [m.read() for m in found] == [m.read() for m in found] == [FILES[n] for n in sorted(FILES)]


def test_an_archive_in_a_folder_is_opened(folder: Path) -> None:
    tar_of(folder, folder / "old.tar.gz", "w:gz")
    assert read(folder)["old.tar.gz!manifest.json"] == b"{}"


def test_a_single_file_has_its_own_name(folder: Path) -> None:
    assert read(folder / "manifest.json") == {"manifest.json": b"{}"}


def test_our_own_words_about_a_run_are_no_evidence(folder: Path) -> None:
    for name in ("verdict.json", "record.json"):
        (folder / name).write_bytes(b"{}")
    assert read(folder) == FILES


def test_a_link_out_of_the_bundle_is_not_followed_and_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.log").write_bytes(b"Traceback (most recent call last):\n")
    (folder / "out.log").symlink_to(tmp_path / "secret.log")
    (folder / "gone.log").symlink_to("nowhere")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "inside.log").symlink_to("attempts/1/logs/rank-00000.log")
    (folder / "loop").symlink_to("loop")
    told = reasons(folder)
    assert {"out.log", "gone.log", "outside", "loop"} <= set(told)
    assert not any("inside" in where or "secret" in where for where in told)


def test_a_pipe_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.log")
    assert reasons(folder)["pipe.log"] == "no regular file"


def test_links_and_devices_in_an_archive_are_said_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("link.log", tarfile.SYMTYPE), ("null.log", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert set(reasons(path)) == {"a.tar!link.log", "a.tar!null.log"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_said(folder: Path) -> None:
    (folder / "attempts").chmod(0)
    try:
        assert "attempts/" in reasons(folder)
    finally:
        (folder / "attempts").chmod(0o755)


def test_a_cut_archive_gives_what_is_left(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").write_bytes(os.urandom(200_000))
    whole = tar_of(folder, tmp_path / "a.tar.gz", "w:gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "cut.tar.gz" in reasons(cut)
    assert any(where.endswith("manifest.json") for where in {m.where for m in members(str(cut))})


def test_a_huge_header_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 << 30
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    assert "a header of" in reasons(path)["a.tar.gz"]


def test_names_that_cannot_be_written_are_made_so(folder: Path) -> None:
    Path(os.fsdecode(bytes(folder) + b"/bad\xff\nname.log")).write_bytes(b"x")
    assert "bad??name.log" in read(folder)


def test_what_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        list(members(str(tmp_path / "none")))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="neither"):
        list(members(str(tmp_path / "pipe")))


def test_too_many_files_are_left_out_with_a_word(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    *_, last = members(str(folder))
    with pytest.raises(OSError, match="more than 2 files"):
        last.read()


@settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(data=st.data(), mode=st.sampled_from(["w", "w:gz", "zip"]))
def test_damaged_archives_are_answered(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, mode: str
) -> None:
    path = tmp_path_factory.mktemp("bundle") / ("a.zip" if mode == "zip" else "a.tar.gz")
    if mode == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("rank0.log", b"Traceback (most recent call last):\n" * 50)
    else:
        with tarfile.open(path, mode) as archive:
            info = tarfile.TarInfo("rank0.log")
            info.size = 500
            archive.addfile(info, io.BytesIO(b"x" * 500))
    raw = bytearray(path.read_bytes())[: data.draw(st.integers(1, path.stat().st_size))]
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    parse(members(str(path)))


def test_a_compressed_file_is_read_as_it_was(tmp_path: Path) -> None:
    data = b"hello\n" * 5000
    compressed = {
        "rank0.log.gz": gzip.compress(data), "rank1.log.zst": zstandard.compress(data),
        "rank2.log.xz": lzma.compress(data), "rank3.log.bz2": bz2.compress(data),
    }  # fmt: skip
    for name, packed in compressed.items():
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name) == {f"{name}!{name.rpartition('.')[0]}": data}
    assert set(read(tmp_path)) == {f"{name}!{name.rpartition('.')[0]}" for name in compressed}


def test_a_tar_in_zstd_gives_its_members(folder: Path, tmp_path: Path) -> None:
    plain = tar_of(folder, tmp_path / "a.tar", "w").read_bytes()
    (tmp_path / "b.tar.zst").write_bytes(zstandard.compress(plain))
    assert read(tmp_path / "b.tar.zst") == {f"b.tar.zst!{where}": data for where, data in FILES.items()}


def test_a_compressed_log_that_is_cut_gives_what_came_before(tmp_path: Path) -> None:
    trace = FILES["attempts/1/logs/rank-00001.log"]
    noise = b"".join(b"%d %s\n" % (n, os.urandom(30).hex().encode()) for n in range(40_000))
    packed = gzip.compress(trace + noise)
    (tmp_path / "rank0.log.gz").write_bytes(packed[: len(packed) // 2])
    events, _, _ = parse(members(str(tmp_path)))
    assert [e.kind for e in events] == ["exception.raised", "source.unreadable"]


def test_several_places_are_told_apart_as_they_were_typed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one.log").write_bytes(b"hello\n")
    archived = tar_of(folder, tmp_path / "a.tar.gz", "w:gz")
    given = [f"{folder}/", str(tmp_path / "one.log"), str(archived)]
    found = {member.where: member.read() for member in several(given)}
    assert found == {
        **{f"{folder}/{where}": data for where, data in FILES.items()},
        f"{tmp_path}/one.log": b"hello\n",
        **{f"{archived}!{where}": data for where, data in FILES.items()},
    }


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_kept_while_it_is_needed(folder: Path, tmp_path: Path, packed: bool) -> None:
    data = tar_of(folder, tmp_path / "a.tgz", "w:gz").read_bytes() if packed else b"hello\n"
    found = list(bundle.piped(io.BytesIO(data)))
    expected = {f"-!{where}": data for where, data in FILES.items()} if packed else {"-": data}
    assert {m.where: m.read() for m in found} == {m.where: m.read() for m in found} == expected


def test_a_file_is_known_by_its_lines_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "job-77.txt").write_bytes(b"all is well\n" * 20_000 + FILES["attempts/1/logs/rank-00001.log"])
    (tmp_path / "notes.txt").write_bytes(b"all is well\n" * 20_000)
    (tmp_path / "paste.txt").write_bytes(b"here: Out of memory: Killed process 7 (python)\n")
    (tmp_path / "train.py").write_bytes(b"# free(): invalid pointer\n")
    events, recognised, unrecognised = parse(members(str(tmp_path)))
    assert (recognised, unrecognised) == (["job-77.txt", "paste.txt"], ["notes.txt", "train.py"])
    assert [e.kind for e in events] == ["exception.raised", "log.read", "kernel.oom_killed"]
    assert gather(events[2:]).read == frozenset()


def test_a_console_of_several_ranks_is_no_ranks_log_whatever_its_name(tmp_path: Path) -> None:
    lines = b"[rank4]: hello\n[rank5]: RuntimeError: Timed out waiting 5ms for recv operation to complete\n"
    (tmp_path / "node_rank_0.log").write_bytes(lines)
    events, _, _ = parse(members(str(tmp_path)))
    assert [(e.source, e.rank) for e in events] == [("launcher_log", 5), ("launcher_log", None)]
