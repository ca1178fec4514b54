"""Archives that nobody of ours wrote: refused in one line, and nothing is written."""

import os
import tarfile

import msgspec
import pytest
import zstandard

from diagnose.caching import archive, seed
from diagnose.caching.manifest import File, Manifest, Provenance, Refused, decode
from tests.caching.conftest import HERE, content, described

GRAPH = ("inductor/fxgraph/gr/f/t", b"graph" * 100)


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def sparse(name):
    info = tarfile.TarInfo(name)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": "9",
    }
    return info, b"0\n"


LINK = "inductor/fxgraph/gr/f/l"
HOSTILE = {
    "a path upwards": ([("inductor/../../outside", b"1")], None, "leads out of the cache"),
    "a path from the root": ([("/tmp/outside", b"1")], None, "no part of a cache"),
    "another folder": ([("elsewhere/x", b"1")], None, "no part of a cache"),
    "a control character": ([("inductor/a\nb", b"1")], None, "no part of a cache"),
    "our own note": ([GRAPH, ("inductor/.diagnose-good.json", b"{}")], None, "no part of a cache"),
    "a second manifest": ([GRAPH, ("manifest.json", b"{}")], [described(*GRAPH)], "knows nothing of"),
    "nothing": ([], [], "it is empty"),
    "nothing that counts": ([("inductor/fv/c.py", b"1")], None, "it is empty"),
    "a symbolic link": ([GRAPH, special(LINK, tarfile.SYMTYPE, "/etc/passwd")], None, "a symbolic link"),
    "a link that is then written through": (
        [GRAPH, special("inductor/d", tarfile.SYMTYPE, "/tmp"), ("inductor/d/x", b"1")],
        None,
        "a symbolic link",
    ),
    "a hard link": ([GRAPH, special(LINK, tarfile.LNKTYPE, GRAPH[0])], None, "a hard link"),
    "a device": ([GRAPH, special(LINK, tarfile.CHRTYPE)], None, "a device or pipe"),
    "a pipe": ([GRAPH, special(LINK, tarfile.FIFOTYPE)], None, "a device or pipe"),
    "a sparse file": ([GRAPH, sparse(LINK)], None, "a folder or special file"),
    "a folder": ([GRAPH, special("inductor/d", tarfile.DIRTYPE)], None, "a folder or special file"),
    "a file that nobody told of": (
        [GRAPH, ("inductor/fv/c.py", b"1")], [described(*GRAPH)], "knows nothing of",
    ),
    "a file twice": ([GRAPH, GRAPH], [described(*GRAPH)], "knows nothing of"),
    "twice in the manifest": ([GRAPH], [described(*GRAPH)] * 2, "a file twice"),
    "a file as a folder": (
        [("inductor/a", b"1"), ("inductor/a/b", b"1")], None, "a file and a folder at once",
    ),
    "less than told": ([], [described(*GRAPH)], "it was cut off"),
    "another content": ([(GRAPH[0], b"Graph" * 100)], [described(*GRAPH)], "another content"),
    "another size": ([(GRAPH[0], b"graph")], [described(*GRAPH)], "another size"),
    "a negative size": ([GRAPH], [File(GRAPH[0], -1, "0" * 64)], "no size or sum"),
    "a bomb by its manifest": ([], [File(GRAPH[0], 1 << 50, "0" * 64)], "at most"),
}  # fmt: skip


def refusal(path, cold, limits, **more):
    found = seed.seed(cold, [path], HERE, limits, **more)
    assert not found.puts and not found.manifest
    [(_, reason)] = found.refused
    left = {p.name for p in cold.inductor.parent.iterdir()} - {".inductor.seed-lock"}
    assert not left, "something was written"
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plain_cache_is_refused(name, pack, cold, limits):
    members, files, reason = HOSTILE[name]
    assert reason in refusal(pack(members, files), cold, limits)


def test_a_manifest_of_no_time_is_refused():
    for created in (1e300, -1.0, 1e11):
        with pytest.raises(Refused, match="of no time"):
            decode(msgspec.json.encode(Manifest([described(*GRAPH)], HERE, created=created)))


def test_too_many_files_or_bytes_are_refused_before_they_are_read(pack, cold, limits):
    zeros = (GRAPH[0], bytes(32 << 20))
    path = pack([zeros], [File(GRAPH[0], 32 << 20, "0" * 64)])
    small = msgspec.structs.replace(limits, max_bytes=1 << 20)
    assert path.stat().st_size < 1 << 20
    assert "at most 1048576" in refusal(path, cold, small)
    few = msgspec.structs.replace(limits, max_files=1)
    assert "at most 1 are" in refusal(pack([GRAPH, ("inductor/fv/c.py", b"1")]), cold, few)


def test_a_header_that_would_fill_the_memory_is_refused(pack, cold, limits):
    header = tarfile.TarInfo(GRAPH[0])
    header.pax_headers = {"comment": "y" * (2 << 20)}
    assert "a header of 2097" in refusal(pack([(header, GRAPH[1])], [described(*GRAPH)]), cold, limits)


def test_more_than_the_manifest_says_is_refused_while_it_is_read(pack, limits):
    path = pack([GRAPH, ("inductor/more", os.urandom(8 << 20))], [described(*GRAPH)])
    with path.open("rb") as file:
        with pytest.raises(Refused):
            archive.check(file, limits)
        assert file.tell() < path.stat().st_size


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_archive_is_refused(part, good, cold, limits):
    whole = good.read_bytes()
    good.write_bytes(whole[: int(len(whole) * part)])
    refusal(good, cold, limits)


def test_no_flipped_byte_is_taken_for_a_cache(good, cold, limits, tmp_path):
    whole = bytearray(good.read_bytes())
    taken = 0
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        whole[at] ^= 0x20
        good.write_bytes(bytes(whole))
        try:
            with good.open("rb") as file:
                archive.check(file, limits)
            taken += 1  # a byte of no meaning, as in a time stamp of the tar: all sums are right
        except Refused:
            pass
        whole[at] ^= 0x20
    assert taken < 10


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", zstandard.compress(b""), zstandard.compress(b"x" * 5000), b"\x28\xb5\x2f\xfd"],
)
def test_other_files_are_no_archives(data, tmp_path, cold, limits):
    path = tmp_path / "x.tar.zst"
    path.write_bytes(data)
    refusal(path, cold, limits)


def test_a_frame_that_asks_for_much_memory_is_refused(tmp_path, cold, limits):
    path = tmp_path / "x.tar.zst"
    huge = zstandard.ZstdCompressionParameters(window_log=30)
    packed = zstandard.ZstdCompressor(compression_params=huge).compressobj()
    path.write_bytes(packed.compress(bytes(1 << 20)) + packed.flush())
    assert "memory" in refusal(path, cold, limits)


def test_what_is_no_file_is_not_waited_for(tmp_path, cold, limits):
    os.mkfifo(tmp_path / "x.tar.zst")
    assert "no regular file" in refusal(tmp_path / "x.tar.zst", cold, limits)
    assert "No such file" in refusal(tmp_path / "none.tar.zst", cold, limits)


OTHERS = {
    "image": Provenance(**{**msgspec.to_builtins(HERE), "image": "im-2"}),
    "num_gpus": Provenance(**{**msgspec.to_builtins(HERE), "num_gpus": 1}),
    "gpu": Provenance(**{**msgspec.to_builtins(HERE), "gpu": "NVIDIA B200"}),
    "torch": Provenance(**{**msgspec.to_builtins(HERE), "torch": "2.12.1"}),
    "triton": Provenance(**{**msgspec.to_builtins(HERE), "triton": "3.5.0"}),
    "python": Provenance(**{**msgspec.to_builtins(HERE), "python": "3.12.7"}),
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_cache_of_something_else_is_refused_unless_that_is_allowed(field, pack, cold, limits):
    path = pack([GRAPH], provenance=OTHERS[field])
    reason = refusal(path, cold, limits)
    assert reason.startswith(f"made for something else: {field} ") and ";" not in reason
    assert seed.seed(cold, [path], HERE, limits, [field]).puts
    assert content(cold.inductor) == {"fxgraph/gr/f/t": GRAPH[1]}


def test_an_image_that_is_not_known_is_none_that_fits(pack, cold, limits):
    path = pack([GRAPH], provenance=msgspec.structs.replace(HERE, image=""))
    assert "image not known there, im-1 here" in refusal(path, cold, limits)


def test_libraries_for_the_cpu_need_its_instructions_and_graphs_do_not(pack, cold, limits):
    theirs = msgspec.structs.replace(HERE, cpu="x86_64 avx2 avx512f")
    library = ("inductor/7s/c.so", b"\x7fELF")
    assert "cpu x86_64 avx2 avx512f there" in refusal(pack([library], provenance=theirs), cold, limits)
    assert seed.seed(cold, [pack([GRAPH], provenance=theirs)], HERE, limits).puts
