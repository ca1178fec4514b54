"""Compile caches and fused kernels, on folders and interpreters made for it."""

import json
import os
import sys
import time

import pytest

from probes.checking import caches, kernels
from probes.checking.check import Target
from probes.checks import build_tools, compile_cache_gate, compile_caches, extension_abi, fused_kernels


def target(tmp_path, **rest):
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH")
    environ = {name: str(tmp_path / name.lower()) for name in names}
    return Target({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environ}, **rest)


def kernel(tmp_path, name, arch):
    folder = tmp_path / "triton_cache_dir" / name
    folder.mkdir(parents=True)
    about = {"target": {"backend": "cuda", "arch": arch, "warp_size": 32}, "name": name}
    (folder / f"{name}.json").write_text(json.dumps(about))
    (folder / f"{name}.cubin").write_bytes(b"\0" * 1000)


def test_a_lock_that_was_left_is_found_with_its_age(tmp_path):
    folder = tmp_path / "torch_extensions_dir" / "py311_cu128" / "fused"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    os.utime(folder / "lock", (time.time() - 4000,) * 2)
    (folder / "x.lock").touch()  # such files stay behind when nobody holds them
    found = {one.subject: one.values for one in compile_caches.measure(target(tmp_path))}
    assert 3990 < found["TORCH_EXTENSIONS_DIR"]["oldest_lock_s"] < 4100
    assert found["TRITON_CACHE_DIR"]["oldest_lock_s"] is None and found["TRITON_CACHE_DIR"]["can_write"]


def test_a_cache_that_does_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(caches, "LIMIT_S", 0.05)
    monkeypatch.setattr(caches, "walk", lambda path: time.sleep(9))
    assert not any(one.values["is_answered"] for one in compile_caches.measure(target(tmp_path)))


def test_kernels_tell_for_which_gpu_they_are(tmp_path):
    kernel(tmp_path, "a", 80)
    kernel(tmp_path, "b", 80)
    (tmp_path / "triton_cache_dir" / "bad.json").write_text('{"target": [')
    aim = target(tmp_path, gpu="H100", num_gpus=8, num_ranks=8, settings={"compile_cache_bytes": 10_000.0})
    [found] = compile_cache_gate.measure(aim)
    assert (found.values["num_kernels"], found.values["num_of_this_gpu"]) == (2, 0)
    assert found.values["made_for"] == "sm_80" and found.values["size_per_wanted"] < 0.3
    [found] = compile_cache_gate.measure(aim._replace(gpu="A100-80GB"))
    assert found.values["num_of_this_gpu"] == 2
    [found] = compile_cache_gate.measure(aim._replace(gpu=""))
    assert found.values["num_of_this_gpu"] is None


PACKAGES = {
    "flash_attn": "raise ImportError('flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E')",
    "apex": "__version__ = '0.1'",
    "xformers": "import time; time.sleep(60)",
    "bitsandbytes": "import os; os._exit(3)",
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Four packages: a wrong build, a good one, one that never comes back, one that dies."""
    top = tmp_path_factory.mktemp("packages")
    for name, text in PACKAGES.items():
        (top / name).mkdir()
        (top / name / "__init__.py").write_text(text)
    (top / "train.py").write_text(
        "import torch\n  from flash_attn import flash_attn_func\nx = 'import apex'\n"
    )
    aim = Target({"PYTHONPATH": str(top)}, ("torchrun", str(top / "train.py")), sys.executable)
    kernels.LIMIT_S, before = {"default": 5.0}, kernels.LIMIT_S
    yield aim, {one.subject: one.values for one in fused_kernels.measure(aim)}
    kernels.LIMIT_S = before
    kernels._tried.clear()


def test_each_package_is_imported_in_a_child(tried):
    _, found = tried
    assert found.keys() == PACKAGES.keys()
    assert "undefined symbol" in found["flash_attn"]["refusal"] and found["flash_attn"]["is_named"]
    assert (
        found["apex"]["refusal"] == "" and found["apex"]["version"] == "0.1" and not found["apex"]["is_named"]
    )
    assert not found["xformers"]["is_answered"]
    assert found["bitsandbytes"]["refusal"] == "its process ended with code 3"


def test_the_symbol_that_is_missing_is_named(tried):
    found = {one.subject: one.values["missing"] for one in extension_abi.measure(tried[0])}
    assert found == {"flash_attn": "_ZN3c105ErrorC2E", "apex": "", "bitsandbytes": ""}


def test_what_builds_at_run_time_needs_tools(tried, tmp_path):
    [found] = build_tools.measure(tried[0]._replace(environ={**tried[0].environ, "PATH": str(tmp_path)}))
    assert (found.values["has_compiler"], found.values["has_ninja"]) == (False, False)
    assert "apex" in str(found.values["compiles"])


def test_an_interpreter_that_is_not_there_is_a_skip():
    [found] = fused_kernels.measure(Target({}, python="/no/such/python"))
    assert found.skip and not found.values
