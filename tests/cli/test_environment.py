"""What is changed in the command's environment follows from data, and the operator's own values win."""

import importlib.metadata
import os
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from diagnose import environment, playbook
from diagnose.cli import _options, env
from diagnose.interpreter import interpreter, torch_version

BOOK = playbook.load()
OBSERVE, POLICY = BOOK.environments["observe"], BOOK.environments["policy"]
FILL = {"spool": "/S", "attempt": "1"}


def plan(command, environ, *policies, **more):
    return environment.plan(command.split(), environ, policies, FILL, **more)


def actions(done):
    return {change.name: change.action for change in done.changes}


def test_torchrun_writes_a_log_for_each_rank():
    after = plan("torchrun --nproc-per-node 2 train.py", {}, OBSERVE).environ
    assert after["PET_TEE"] == "3" and after["PET_LOG_DIR"] == "/S/elastic"
    after = plan("python3 -m torch.distributed.run train.py --log-dir x", {}, OBSERVE).environ
    assert "PET_TEE" in after


def test_other_launchers_are_left_alone():
    assert "PET_TEE" not in plan("python train.py", {}, OBSERVE).environ
    assert "PET_TEE" not in plan("python run.py torch.distributed.run", {}, OBSERVE).environ


def test_the_operators_own_log_flags_and_variables_win():
    for command in ("torchrun --log-dir mine t.py", "torchrun --tee=1 t.py", "torchrun -r 3 t.py"):
        assert not {"PET_TEE", "PET_LOG_DIR"} & set(plan(command, {}, OBSERVE).environ)
    mine = plan("torchrun t.py", {"PET_LOG_DIR": "/mine"}, OBSERVE)
    assert mine.environ["PET_LOG_DIR"] == "/mine" and "PET_TEE" not in mine.environ


def test_a_value_of_the_operator_is_kept_and_reported():
    done = plan("python t.py", {"TORCH_DISTRIBUTED_DEBUG": "DETAIL"}, OBSERVE, POLICY)
    assert done.environ["TORCH_DISTRIBUTED_DEBUG"] == "DETAIL"
    (change,) = [c for c in done.changes if c.name == "TORCH_DISTRIBUTED_DEBUG"]
    assert (change.action, change.value) == ("kept", "DETAIL")


def test_the_same_setting_under_another_name_counts_as_the_operators():
    for theirs in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        for torch in ("", "2.6.0", "2.13.0"):
            done = plan("python t.py", {theirs: "x"}, POLICY, torch=torch)
            ours = {name for name in done.environ if name.endswith("ALLOC_CONF")}
            assert ours == {theirs} and actions(done)[theirs] == "kept"


def test_what_is_written_before_the_command_is_the_operators_too():
    words = "nice -n 5 env -u NCCL_NET_PLUGIN NCCL_IB_DISABLE=0 NCCL_NET=Socket torchrun t.py"
    done = plan(words, {"NCCL_NET": "IB", "NCCL_NET_PLUGIN": "x"}, POLICY)
    assert actions(done).items() >= {"NCCL_IB_DISABLE": "kept", "NCCL_NET": "kept"}.items()
    assert (done.environ["NCCL_IB_DISABLE"], done.environ["NCCL_NET"]) == ("0", "Socket")
    assert done.left["NCCL_NET_PLUGIN"] == "the command itself takes it out"
    assert "CUDA_DEVICE_MAX_CONNECTIONS" in plan("env -i torchrun t.py --tp-size 2", {}, POLICY).left


def test_leaked_settings_for_several_nodes_are_unset_on_one_node_only(tmp_path):
    leaked = {"NCCL_IB_TC": "106", "LD_LIBRARY_PATH": "/opt/hpcx/ucx/lib:/usr/lib"}
    (script := tmp_path / "go.sh").write_text('torchrun \\\n  --nnodes "$NODES" t.py\n')
    one = plan("torchrun --nnodes 1 t.py", leaked, POLICY)
    assert "NCCL_IB_TC" not in one.environ and one.environ["NCCL_IB_DISABLE"] == "1"
    assert one.environ["LD_LIBRARY_PATH"] == "/usr/lib"
    for command, extra in (("torchrun --nnodes=2 t.py", {}), ("torchrun --nnodes 1:4 t.py", {}),
                           ("python t.py", {"SLURM_NNODES": "2"}), ("srun t.sh", {}),
                           ("mpirun -np 16 python t.py", {}), ("env PET_NNODES=2 torchrun t.py", {}),
                           ("deepspeed --num_nodes 2 t.py", {}), (f"bash {script}", {}),
                           ("python t.py", {"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"})):  # fmt: skip
        many = plan(command, {**leaked, **extra}, POLICY)
        assert many.environ["NCCL_IB_TC"] == "106" and "NCCL_IB_DISABLE" not in many.environ
        assert many.environ["LD_LIBRARY_PATH"] == leaked["LD_LIBRARY_PATH"]


def test_every_variable_has_a_reason():
    for policy in (OBSERVE, POLICY):
        assert all(len(variable.why) > 10 for variable in policy.variable.values())
        assert not any(variable.value == "DETAIL" for variable in policy.variable.values())
        assert all(len(variable.since) > 5 and variable.source for variable in policy.variable.values())


def test_every_row_of_the_guide_is_there():
    """The table of the operators' guide, and what it says of one node."""
    rows = {*POLICY.variable, *OBSERVE.variable, *POLICY.elsewhere, *OBSERVE.elsewhere}
    rows |= {variable.older for variable in (*POLICY.variable.values(), *OBSERVE.variable.values())}
    assert rows >= {
        *("TRITON_DEFAULT_NUM_STAGES", "TORCHINDUCTOR_MAX_AUTOTUNE_GEMM", "TORCH_NCCL_ENABLE_MONITORING"),
        *("TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC", "TORCH_DISTRIBUTED_DEBUG", "TORCH_NCCL_AVOID_RECORD_STREAMS"),
        *("FSDP_USE_ORIG_PARAMS", "TORCHELASTIC_ERROR_FILE", "CUDA_DEVICE_MAX_CONNECTIONS"),
        *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "TORCH_FR_BUFFER_SIZE", "NCCL_NET", "NCCL_IB_TC"),
        *("NCCL_CROSS_NIC", "NCCL_NET_GDR_LEVEL", "NCCL_TUNER_CONFIG_PATH", "NCCL_IB_ADAPTIVE_ROUTING"),
        *("NCCL_IB_FIFO_TC", "NCCL_IB_QPS_PER_CONNECTION", "NCCL_NVLS_CHUNKSIZE", "NCCL_P2P_NET_CHUNKSIZE"),
        *("NCCL_NET_PLUGIN", "NCCL_IB_DISABLE", "LD_LIBRARY_PATH"),
    }
    assert "TORCH_NCCL_ENABLE_MONITORING" not in {*POLICY.variable, *OBSERVE.variable}  # never off throughout


def test_a_variable_has_the_name_that_the_jobs_torch_knows():
    known = ("2.9.1+cu128", "2.6.0", "")
    new, old, unknown = (plan("python t.py", {}, OBSERVE, POLICY, torch=t) for t in known)
    # Torch 2.9 passes over the allocator's new name.
    assert {"TORCH_FR_BUFFER_SIZE", "PYTORCH_CUDA_ALLOC_CONF"} <= set(new.environ)
    assert "PYTORCH_ALLOC_CONF" in plan("python t.py", {}, POLICY, torch="2.13.0").environ
    for done in (old, unknown):  # newer versions still read the older name
        assert {"TORCH_NCCL_TRACE_BUFFER_SIZE", "PYTORCH_CUDA_ALLOC_CONF"} <= set(done.environ)
        assert "TORCH_FR_BUFFER_SIZE" not in done.environ
    name = "TORCH_NCCL_AVOID_RECORD_STREAMS"
    assert name in old.environ and name not in new.environ and "2.8" in new.left[name]
    left = plan("torchrun t.py", {}, OBSERVE, torch="2.3").left
    assert left["TORCH_NCCL_DEBUG_INFO_PIPE_FILE"] == "unknown before torch 2.4"


@pytest.mark.parametrize(
    ("command", "mode", "is_fsdp", "is_tensor_parallel"),
    [
        ("python t.py", "", False, False),
        ("python t.py", "fsdp2", True, False),
        ("python t.py", "ddp+tensor_parallel", False, True),
        ("python t.py --fsdp full_shard", "", True, False),
        ("python t.py --use-torch-fsdp2", "", True, False),
        ("python t.py --tensor-model-parallel-size 4", "", False, True),
        ("python t.py --tp-size=1", "", False, False),
        ("python t.py --fsdp full_shard", "ddp", False, False),
    ],
)
def test_some_settings_are_for_one_way_of_sharing_the_model(command, mode, is_fsdp, is_tensor_parallel):
    after = plan(command, {}, POLICY, mode=mode).environ
    assert ("TORCHINDUCTOR_MAX_AUTOTUNE_GEMM" in after) == is_fsdp
    assert ("CUDA_DEVICE_MAX_CONNECTIONS" in after) == is_tensor_parallel


def test_the_options_name_what_there_is():
    assert list(_options.POLICIES) == list(environment.POLICIES) and _options.MODES == environment.MODES


def test_the_library_form_settles_a_programs_own_environment(monkeypatch):
    mine = {"NCCL_IB_TC": "106", "TORCH_DISTRIBUTED_DEBUG": "OFF"}
    changes = environment.apply(["python", "t.py"], mode="fsdp2", environ=mine)
    assert "NCCL_IB_TC" not in mine and mine["TORCHINDUCTOR_MAX_AUTOTUNE_GEMM"] == "0"
    assert mine["TORCH_DISTRIBUTED_DEBUG"] == "OFF" and "kept" in {change.action for change in changes}
    assert not any("SPOOL" in value or "{" in value for value in mine.values())
    monkeypatch.setitem(sys.modules, "torch", environment)
    with pytest.raises(RuntimeError, match="torch has been imported"):
        environment.apply()


def test_the_torch_of_a_command_is_found_without_importing_it(tmp_path):
    here = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    version = importlib.metadata.version("torch")
    for words in (["torchrun", "t.py"], ["env", "A=b", "python", "t.py"], [sys.executable, "-m", "x"]):
        assert torch_version(interpreter(words, environ), environ) == version
    assert interpreter(["sh", "train.sh"], environ) is interpreter(["no-such"], environ) is None
    old = tmp_path / "torch-2.4.1.dist-info"  # what PYTHONPATH names is imported first
    old.mkdir()
    assert torch_version(Path(sys.executable), {"PYTHONPATH": str(tmp_path)}) == "2.4.1"
    script = tmp_path / "launch"
    script.write_text('#!/bin/sh\n\'\'\'exec\' "/v/bin/python3.11" "$0" "$@"\n')
    script.chmod(0o755)
    assert interpreter([str(script)], environ) == Path("/v/bin/python3.11")


def shown(*words, **environ):
    result = CliRunner().invoke(env.command, list(words), env=environ, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_env_tells_what_would_be_done_and_hides_secrets():
    given = {"NCCL_IB_TC": "106", "NCCL_NET": "x?token=abcdef", "TORCH_DISTRIBUTED_DEBUG": "DETAIL"}
    words = ("--", "python", "t.py", "--password", "hunter2")
    text = shown(*words, **given)
    assert "unset NCCL_IB_TC  (was 106)" in text and "kept  TORCH_DISTRIBUTED_DEBUG=DETAIL  (yours)" in text
    assert "abcdef" not in text and "hunter2" not in text
    found = msgspec.json.decode(shown("--format", "json", *words, **given))
    assert found["schema"] == "diagnose/env/1" and "hunter2" not in str(found) and "abcdef" not in str(found)
    told = {"name", "action", "value", "before", "why", "scope", "since", "source"}
    assert all(told <= change.keys() for change in found["changes"])


def test_env_explains_each_change_and_what_is_left_alone():
    text = shown("--explain", "--env", "policy", "--", "torchrun", "t.py")
    assert "never DETAIL" in text and "only for FSDP" in text
    assert "TORCH_NCCL_ENABLE_MONITORING: 0 only while compiling is not to be had" in text
    assert shown("--env", "none", "--", "torchrun", "t.py").endswith("nothing to change\n")
