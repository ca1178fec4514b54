"""What is changed in the command's environment follows from data, and the operator's own values win."""

from diagnose import environment, playbook

BOOK = playbook.load()
OBSERVE, POLICY = BOOK.environments["observe"], BOOK.environments["policy"]
FILL = {"spool": "/S", "attempt": "1"}


def plan(command, environ, *policies):
    return environment.plan(command.split(), environ, policies, FILL)


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
    done = plan("python t.py", {"PYTORCH_ALLOC_CONF": "x"}, POLICY)
    assert "PYTORCH_CUDA_ALLOC_CONF" not in done.environ


def test_leaked_settings_for_several_nodes_are_unset_on_one_node_only():
    leaked = {"NCCL_IB_TC": "106", "LD_LIBRARY_PATH": "/opt/hpcx/ucx/lib:/usr/lib"}
    one = plan("torchrun --nnodes 1 t.py", leaked, POLICY)
    assert "NCCL_IB_TC" not in one.environ and one.environ["NCCL_IB_DISABLE"] == "1"
    assert one.environ["LD_LIBRARY_PATH"] == "/usr/lib"
    for command, extra in (("torchrun --nnodes=2 t.py", {}), ("torchrun --nnodes 1:4 t.py", {}),
                           ("python t.py", {"SLURM_NNODES": "2"}),
                           ("python t.py", {"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"})):  # fmt: skip
        many = plan(command, {**leaked, **extra}, POLICY)
        assert many.environ["NCCL_IB_TC"] == "106" and "NCCL_IB_DISABLE" not in many.environ
        assert many.environ["LD_LIBRARY_PATH"] == leaked["LD_LIBRARY_PATH"]


def test_every_variable_has_a_reason():
    for policy in (OBSERVE, POLICY):
        assert all(len(variable.why) > 10 for variable in policy.variable.values())
        assert not any(variable.value == "DETAIL" for variable in policy.variable.values())
