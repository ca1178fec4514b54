"""Certificates: what the dumps say is confirmed, and nothing else is; of real dumps and of written ones."""

import copy
import pickle
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from diagnose import bundle, pool, rechecking
from diagnose.audit import OK, OPEN, WRONG, audit
from diagnose.certificate import Link, said
from diagnose.cli import group
from diagnose.pipeline import diagnose_bundle
from diagnose.verdict import encode
from tests.incidents.handmade import Job

HERE = Path(__file__).parent
REAL = [HERE / "incidents" / name for name in ("lock_gil_1st", "gpu_error_2nd")]


def verdict(folder):
    return diagnose_bundle(str(folder), bundle.members(str(folder)))


def claims(folder, told=None):
    """Every claim of the verdict, by outcome."""
    found = rechecking.recheck(folder, told or verdict(folder))
    return [claim for _, mine in found for claim in mine]


def outcomes(folder, told=None):
    return {claim.outcome for claim in claims(folder, told)}


def links(folder):
    return [link for cause in verdict(folder).causes for link in cause.certificate]


def check(*args):
    done = CliRunner().invoke(group, ["postmortem", "--check", *map(str, args)])
    return done.exit_code, done.output


def late_in_tensor_parallel():
    """Ranks 4-7 wait for 5 in their group, 0-3 for 4 in another: 5 is the root."""
    job = Job(8)
    job.group("tp", range(4, 8), "1", "TP")
    job.group("dp", [0, 4], "2", "DP")
    job.group("left", range(4), "3", "TP")
    for _ in range(3):
        job.call("world")
        job.call("tp")
        job.call("left")
        job.call("dp")
    job.call("tp", ranks=[4, 6, 7], done=False)
    job.call("dp", ranks=[0], done=False)
    job.call("left", ranks=[1, 2, 3], done=False)
    return job


def opposite_order():
    job = Job(2)
    job.group("a", range(2), "1", "losses")
    job.group("b", range(2), "2", "norms")
    for key in ("a", "b"):
        job.call(key)
    job.call("a", ranks=[0], done=False, line=10)
    job.call("b", ranks=[1], done=False, line=20)
    return job


def other_type():
    job = Job(4)
    job.call("world")
    job.call("world", ranks=[0, 1, 3], done=False)
    job.call("world", ranks=[2], done=False, input_dtypes=["Double"], output_dtypes=["Double"])
    return job


def all_arrived():
    job = Job(4)
    job.call("world")
    job.call("world", done=False)
    return job


def no_send():
    job = Job(2)
    job.call("world")
    job.send("world", 0, 1)
    job.send("world", 0, 1, ranks=[1], done=False)
    return job


JOBS = [late_in_tensor_parallel, opposite_order, other_type, all_arrived, no_send]


@pytest.fixture(params=[*JOBS, *REAL], ids=[*(job.__name__ for job in JOBS), *(p.name for p in REAL)])
def folder(request, tmp_path):
    if isinstance(request.param, Path):
        shutil.copytree(request.param, tmp_path / "bundle")
        return tmp_path / "bundle"
    (tmp_path / "bundle").mkdir()
    request.param().write(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_every_claim_of_a_certificate_is_confirmed_by_the_dumps(folder):
    assert links(folder)
    assert outcomes(folder) == {OK}, [c for c in claims(folder) if c.outcome != OK]


def test_the_chain_begins_at_the_root_and_reaches_all_who_wait(tmp_path):
    late_in_tensor_parallel().write(tmp_path)
    first, free, *others = links(tmp_path)
    assert first.ranks("awaited") == [5] and first.ranks("waits") == [4, 6, 7]
    assert first.group is not None and first.group.ranks == [4, 5, 6, 7] and first.seq == 4
    assert {(front.launched, front.completed) for front in first.of("awaited")} == {(3, 3)}
    assert free.ranks("free") == [5]
    assert [(link.ranks("awaited"), link.ranks("waits")) for link in others] == [
        ([4], [0]),
        ([0], [1, 2, 3]),
    ]


def test_a_circle_has_both_edges_with_their_call_sites(tmp_path):
    opposite_order().write(tmp_path)
    found = [(x.ranks("awaited"), x.ranks("waits"), [f.site for f in x.of("waits")]) for x in links(tmp_path)]
    assert found == [([1], [0], ["/app/train.py:10 step"]), ([0], [1], ["/app/train.py:20 step"])]


def test_a_mismatch_says_who_called_what(tmp_path):
    other_type().write(tmp_path)
    (link,) = links(tmp_path)
    assert {tuple(f.ranks): f.call for f in link.of("calls")} == {
        (0, 1, 3): "all_reduce|[[256]]|Float",
        (2,): "all_reduce|[[256]]|Double",
    }


def numbers(value, path=()):
    """The way to every number in a JSON value."""
    if type(value) is int:
        yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from numbers(item, (*path, key))


def changed(link, path, by):
    """The link with one number changed, in words that fit."""
    value = copy.deepcopy(msgspec.to_builtins(link))
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] += by
    made = msgspec.convert(value, Link)
    return msgspec.structs.replace(made, text=said(made))


def accepted(certificate, ranks, dumps):
    """The changes of one number each that are not noticed."""
    found = []
    for i, link in enumerate(certificate):
        for path in numbers(msgspec.to_builtins(link)):
            for by in (1, -1):
                told = [*certificate[:i], changed(link, path, by), *certificate[i + 1 :]]
                if all(claim.outcome == OK for claim in audit(told, ranks, dumps)):
                    found.append((link.text, path, by))
    return found


def test_a_certificate_with_one_number_changed_is_not_confirmed(folder):
    told = verdict(folder)
    dumps = rechecking.dumps(folder, told)
    for cause in told.causes:
        assert not accepted(cause.certificate, cause.ranks, dumps)


def test_words_that_are_not_those_of_the_data_are_not_confirmed(tmp_path):
    late_in_tensor_parallel().write(tmp_path)
    told = verdict(tmp_path)
    first = msgspec.structs.replace(told.causes[0].certificate[0], text="rank 6 is awaited by everybody")
    found = audit([first, *told.causes[0].certificate[1:]], [5], rechecking.dumps(tmp_path, told))
    assert [claim.why for claim in found if claim.outcome == WRONG] == ["its words are not those of its data"]


@pytest.mark.parametrize("rank", [4, 5])
def test_a_saved_verdict_is_not_confirmed_by_dumps_that_were_changed_since(tmp_path, rank):
    late_in_tensor_parallel().write(tmp_path)
    (tmp_path / "verdict.json").write_bytes(encode(verdict(tmp_path)))
    assert check(tmp_path)[0] == 0
    path = tmp_path / f"nccl_trace_rank_{rank}"
    dump = pickle.loads(path.read_bytes())
    dump["entries"][-1]["collective_seq_id"] += 1
    path.write_bytes(pickle.dumps(dump, protocol=2))
    code, text = check(tmp_path)
    assert code == 1 and f"rank {rank} has launched to" in text


def test_a_dump_that_is_gone_or_cannot_be_read_confirms_nothing(tmp_path):
    late_in_tensor_parallel().write(tmp_path)
    told = verdict(tmp_path)
    (tmp_path / "nccl_trace_rank_5").write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
    assert WRONG in outcomes(tmp_path, told)
    (tmp_path / "nccl_trace_rank_5").unlink()
    assert WRONG in outcomes(tmp_path, told)


def test_a_reader_that_is_late_refutes_nothing(tmp_path, monkeypatch):
    late_in_tensor_parallel().write(tmp_path)
    told = verdict(tmp_path)
    monkeypatch.setattr(pool, "DEADLINE_S", -100.0)
    assert OPEN in outcomes(tmp_path, told) and WRONG not in outcomes(tmp_path, told)


def test_a_rank_without_a_dump_is_said_to_have_none_and_a_dump_of_it_refutes_that(tmp_path):
    job = late_in_tensor_parallel()
    job.write(tmp_path, without=[5])
    told = verdict(tmp_path)
    assert outcomes(tmp_path, told) == {OK}
    job.write(tmp_path)
    assert "there is one" in {claim.why for claim in claims(tmp_path, told)}


def test_two_scans_are_both_tested(tmp_path):
    for name in ("1790000100", "1790000104"):
        (tmp_path / "flight" / name).mkdir(parents=True)
        late_in_tensor_parallel().write(tmp_path / "flight" / name)
    told = verdict(tmp_path)
    assert all(f.before for cause in told.causes for x in cause.certificate for f in x.fronts)
    assert outcomes(tmp_path, told) == {OK}
    early = tmp_path / "flight" / "1790000100" / "nccl_trace_rank_5"
    dump = pickle.loads(early.read_bytes())
    dump["entries"][-1]["state"] = "scheduled"
    early.write_bytes(pickle.dumps(dump, protocol=2))
    assert WRONG in outcomes(tmp_path, told)


def test_ranks_that_got_on_between_two_scans_are_not_stuck_and_it_is_said_how_far(tmp_path):
    job = Job(4)
    for name, num in (("1790000100", 3), ("1790000104", 14)):
        (tmp_path / "flight" / name).mkdir(parents=True)
        for _ in range(num):
            job.call("world")
        job.write(tmp_path / "flight" / name)
    told = verdict(tmp_path)
    assert (told.symptom, told.causes) == ("slow", [])
    (context,) = told.context
    assert [c.text for c in context.evidence] == [
        "not stuck: ranks 0-3 completed 14 collectives between two dumps"
    ]


def test_dumps_long_apart_do_not_show_that_a_job_is_not_stuck(tmp_path):
    job = Job(4)
    for name in ("1790000100", "1790000900"):
        (tmp_path / "flight" / name).mkdir(parents=True)
        job.call("world")
        job.call("world", ranks=[0, 1, 3] if name.endswith("900") else None, done=False)
        job.write(tmp_path / "flight" / name)
    assert not verdict(tmp_path).context


def test_what_rests_on_no_dump_cannot_be_checked(tmp_path):
    shutil.copytree(HERE / "cases" / "attach_lock" / "bundle", tmp_path / "bundle")
    assert outcomes(tmp_path / "bundle") == {OPEN}
    assert check(tmp_path / "bundle")[0] == 3


def test_a_verdict_without_a_certificate_leaves_nothing_to_check(tmp_path):
    (tmp_path / "rank-00001.log").write_text("nothing of note\n")
    assert check(tmp_path) == (3, "nothing to check\n")


def test_a_saved_verdict_that_cannot_be_read_is_no_traceback(tmp_path):
    late_in_tensor_parallel().write(tmp_path)
    (tmp_path / "verdict.json").write_text('{"causes": [{"certificate": ["rank 3"]}]}')
    code, text = check(tmp_path)
    assert code == 3 and "cannot be checked" in text


def test_json_has_every_claim(tmp_path):
    late_in_tensor_parallel().write(tmp_path)
    code, text = check(tmp_path, "--format", "json")
    told = msgspec.json.decode(text)
    assert code == told["exit_code"] == 0 and told["schema"] == "diagnose/check/1"
    assert {claim["outcome"] for claim in told["claims"]} == {"ok"}
    assert {claim["failure"] for claim in told["claims"]} == {"collective_not_joined"}
