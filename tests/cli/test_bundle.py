"""The support bundle: no secret in it, nothing else lost, small, and the same verdict from it."""

import json
import os
import pickle
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from diagnose import cleaning, manifest, playbook, reader, ticket
from diagnose.cli import bundle
from tests.hook.test_redact import READABLE, SECRETS

CASES = Path(__file__).parent.parent / "cases"
BOOK = playbook.load()
ORDINARY = [text for text in READABLE if "0123456789" not in text]  # which one secret is, too
RANDOM = "qT4vB9xLw2ZcR7mKp1NsY8dG3hJ6fUaE"  # of no maker, behind no telling name

# A program that says every secret it knows in each way it can, and fails over some of them.
PROGRAM = """\
import json, os, time
texts = json.loads(open("secrets.json").read())
for text in texts:
    print("step 1:", text, "done", flush=True)
time.sleep(1.5)
raise RuntimeError("cannot log in: " + " ; ".join(text for text in texts if "\\n" not in text))
"""


def packed(run, *words, expected=0):
    """{path: content} of the archive, and what was printed."""
    out = run.parent / "out.tar.gz"
    result = CliRunner().invoke(bundle.command, [str(run), "-o", str(out), *words], catch_exceptions=False)
    assert result.exit_code == expected, result.output
    with tarfile.open(out) as archive:
        names = archive.getnames()
        found = {n.partition("/")[2]: archive.extractfile(n).read() for n in names}
    assert next(iter(found)) == ticket.README and all(n.startswith(f"{run.name}/") for n in names)
    return found, result.output


def of_case(name, top, **fields):
    """A case as a run directory."""
    run = top / name
    shutil.copytree(CASES / name / "bundle", run)
    manifest.begin(run, id=name, name=name, command="torchrun train.py", **fields)
    manifest.advance(run, "running")
    manifest.advance(run, "error", "exit code 1")
    return run


def test_no_planted_secret_survives_in_record_events_verdict_or_bundle(place):
    texts = [text for text, _ in SECRETS.values()] + [f"the answer was {RANDOM} today", *ORDINARY]
    secrets = [secret for _, secret in SECRETS.values()] + [RANDOM]
    assert len(SECRETS) >= 20
    (place.path / "secrets.json").write_text(json.dumps(texts))
    place.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "HF_TOKEN": RANDOM[::-1]}
    place.environ |= {"NCCL_NET": f"x?token={RANDOM[::-1]}", "TORCH_DISTRIBUTED_DEBUG": "DETAIL"}
    argv = ["--password", "two words of mine", f"--wandb-api-key={RANDOM}", f"https://me:{RANDOM}@host/x"]
    ended = place.run("run", "--root", "runs", "--env", "policy", "--", *place.program(PROGRAM), *argv)
    assert ended.returncode == 1, ended.stderr
    secrets += [RANDOM[::-1], "two words of mine"]
    ours = {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file() and "logs" not in p.parts}
    assert {"record.json", "verdict.json", "manifest.json"} < {path.name for path in ours}
    assert any(b"cannot log in" in data for path, data in ours.items() if "events" in path.parts)
    found, told = packed(place.folder)
    for name, data in {**ours, **found}.items():
        left = [secret for secret in secrets if secret.encode() in data]
        assert not left, f"{name}: {left}"
    (log,) = [data.decode() for name, data in found.items() if name.endswith("launcher.log")]
    assert all(f"step 1: {text} done" in log for text in ORDINARY)
    assert "the same from the bundle alone" in told
    listed = msgspec.json.decode(found[ticket.REDACTED])
    (of_log,) = [one for one in listed if one["file"].endswith("launcher.log")]
    assert sum(one["num"] for one in of_log["hidden"]) >= len(SECRETS) and of_log["hidden"][0]["line"] == 1


@pytest.mark.parametrize("name", ["user_lock_deadlock"])
def test_the_verdict_from_the_unpacked_bundle_is_the_same(name, tmp_path):
    run = of_case(name, tmp_path)
    found, told = packed(run)
    again = tmp_path / "again"
    for path, data in found.items():
        (again / path).parent.mkdir(parents=True, exist_ok=True)
        (again / path).write_bytes(data)
    first, second = (reader.judge(folder, "x", BOOK) for folder in (run, again))
    assert [(c.failure, c.ranks, c.evidence) for c in first.causes] == [
        (c.failure, c.ranks, c.evidence) for c in second.causes
    ]
    assert first.causes and first.symptom == second.symptom and "the same from the bundle alone" in told
    inside = reader.judge(tmp_path / "out.tar.gz", "x", BOOK)  # not unpacked either
    assert [c.failure for c in inside.causes] == [c.failure for c in first.causes] and not inside.unrecognised
    readme = found[ticket.README].decode()
    assert first.causes[0].evidence[0].where in readme and first.causes[0].failure in readme


def test_a_long_log_is_cut_to_what_matters_and_its_lines_keep_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning, "WHOLE", 1000)
    log = tmp_path / "rank.log"
    log.write_text("".join(f"line {n} of a long log\n" for n in range(1, 20_001)))
    out = BytesIO()
    done = cleaning.clean(log, out, {9_000})
    lines = out.getvalue().decode().split("\n")
    assert lines[8_999] == "line 9000 of a long log" and lines[0] and lines[19_999] and not lines[5_000]
    assert done.num_cut == sum(not line for line in lines[:20_000]) > 15_000


def test_a_key_block_over_many_lines_is_hidden_and_what_follows_is_not(tmp_path):
    log = tmp_path / "a.log"
    key = "[rank0]: -----BEGIN PRIVATE KEY-----\n[rank0]: abc\n[rank0]: def\n"
    log.write_text(f"x\n{key}[rank0]: -----END PRIVATE KEY-----\ny z\n{key}[rank0]: step 1, cut off\n")
    out = BytesIO()
    done = cleaning.clean(log, out, ())
    lines = out.getvalue().decode().split("\n")
    assert lines[0] == "x" and lines[5] == "y z" and lines[9] == "[rank0]: step 1, cut off"
    assert b"abc" not in out.getvalue() and [one.line for one in done.hidden] == [2, 3, 4, 5, 7, 8, 9]


def test_a_pickled_dump_is_rewritten_without_being_loaded(tmp_path):
    text = f"url https://me:{RANDOM}@host/x"
    path, out = tmp_path / "rank-00000.pickle", BytesIO()
    path.write_bytes(pickle.dumps({"entries": [text, "all_reduce", text], "n": 3}, protocol=2))
    assert cleaning.clean(path, out, ()).hidden == [cleaning.Hidden(0, 1)]  # the second one is a reference
    shown = "url https://<redacted>@host/x"
    assert pickle.loads(out.getvalue()) == {"entries": [shown, "all_reduce", shown], "n": 3}
    for bad in (b"\x80\x02(garbage", pickle.dumps(text, protocol=5)):
        path.write_bytes(bad)
        with pytest.raises(cleaning.Refused):
            cleaning.clean(path, BytesIO(), ())


def test_what_finds_no_room_or_cannot_be_looked_into_stays_behind_and_is_named(tmp_path):
    run = of_case("rank_exception", tmp_path)
    (run / "attempts/1/core").write_bytes(os.urandom(1000) + b"\0")
    (run / "attempts/1/huge.log").write_bytes(
        b"\n".join(os.urandom(40).hex().encode() for _ in range(20_000))
    )
    (run / "attempts/1/link.log").symlink_to("/etc/passwd")
    os.mkfifo(run / "attempts/1/pipe.log")
    found, told = packed(run, "--limit", "1")
    assert not {"attempts/1/core", "attempts/1/huge.log", "attempts/1/link.log", "attempts/1/pipe.log"} & set(
        found
    )
    readme = found[ticket.README].decode()
    assert "`attempts/1/core`: neither text" in readme and "`attempts/1/huge.log`" in readme
    assert (tmp_path / "out.tar.gz").stat().st_size < 1 << 20 and "2 left out" in told


def test_for_modal_the_ids_of_the_run_come_first(tmp_path):
    asked = {"gpu": "H200:8", "timeout_s": 14400, "memory": [65536, 98304]}
    run = of_case("rank_exception", tmp_path, surface="modal", app_id="ap-AbCdEfGhIj0123456789xY",
                  function_call_id="fc-01KXYZABCDEFGHJKMNPQRSTV", asked=asked)  # fmt: skip
    line = {
        "v": 1,
        "time": 1795424041.2,
        "event": "container.started",
        "source": "container",
        "region": "us-east-1",
    }
    line |= {
        "image_id": "im-AbCdEfGhIj0123456789xY",
        "cloud_provider": "CLOUD_PROVIDER_AWS",
        "input_id": "in-01KX",
    }
    (run / "attempts/1/events/container-000001.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    (run / "platform/events").mkdir(parents=True)
    ended = {
        "v": 1,
        "time": 1795424099.0,
        "event": "platform.timed_out",
        "source": "platform_log",
        "text": "too long",
    }
    (run / "platform/events/call-000001.jsonl").write_bytes(msgspec.json.encode(ended) + b"\n")
    readme = packed(run, "--for", "modal")[0][ticket.README].decode()
    ids = ("ap-AbCdEfGhIj0123456789xY", "fc-01KXYZABCDEFGHJKMNPQRSTV", "container 1", "us-east-1")
    ids += ("im-AbCdEfGhIj0123456789xY", "in-01KX", "H200:8", "14400", "too long", "## Ids and times")
    places = [readme.index(text) for text in ids]
    assert readme.splitlines()[2] == "## For Modal support" and places[-1] == max(places)


def test_what_is_no_run_or_not_modals_is_refused_in_one_line(tmp_path):
    run = of_case("rank_exception", tmp_path)
    for words, told in (([str(run), "--for", "modal"], "did not run on Modal"), ([str(tmp_path)], "no run"),
                        (["nothing-there"], "no such path")):  # fmt: skip
        result = CliRunner().invoke(bundle.command, words)
        assert result.exit_code and told in result.output and "Traceback" not in result.output


def test_a_place_is_quoted_as_it_is_counted(tmp_path):
    """A progress bar overwrites its line by carriage returns, which begin no new one."""
    (tmp_path / "a.log").write_bytes(b" 10%\r 20%\r done\r\n 1%\rTraceback (most recent call last):\r\nlast")
    told = [ticket.excerpt(tmp_path, f"a.log:{number}") for number in (1, 2, 3, 4)]
    assert told == ["done", "Traceback (most recent call last):", "last", ""]
