"""NCCL, kernels and versions, on interpreters and libraries made for it."""

import socket
import subprocess
import sys

import pytest

from probes import stacks
from probes.checking import nccl_found
from probes.checks import gpu_direct
from tests.preflight.making import crossed, make, outcome, target

TORCH = {
    "torch/version.py": "__version__ = '2.9.0'\ncuda: str = '12.8'\n",
    "torch/__init__.py": """
import ctypes, os
from . import cuda
LOADED = [ctypes.CDLL(path) for path in os.environ.get("FAKE_NCCL", "").split(":") if path]
""",
    "torch/cuda/__init__.py": """
from . import nccl
def get_device_capability(n): return (9, 0)
def device_count(): return 2
""",
    "torch/cuda/nccl.py": "def version(): return (2, 27, 5)\n",
    "nvidia_nccl_cu12-2.27.5.dist-info/METADATA": "Name: nvidia-nccl-cu12\nVersion: 2.27.5\n",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stand-in for a torch with CUDA, and NCCLs of two versions that say no more than that."""
    top = tmp_path_factory.mktemp("site")
    for name, text in TORCH.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    source = "int ncclGetVersion(int *version) { *version = VERSION; return 0; }"
    (top / "nccl.c").write_text(source)
    for version in ("22705", "22105", "22707"):
        (top / version).mkdir()
        words = ["gcc", "-shared", "-fPIC", f"-DVERSION={version}", "-o", f"{top}/{version}/libnccl.so.2"]
        subprocess.run([*words, str(top / "nccl.c")], check=True)
    return top


@pytest.fixture
def on(made, monkeypatch):
    monkeypatch.setattr(nccl_found, "_found", {})

    def chosen(*versions, **more):
        libraries = ":".join(f"{made}/{version}/libnccl.so.2" for version in versions)
        return target(PYTHONPATH=made, FAKE_NCCL=libraries, **more)

    return chosen


@pytest.mark.parametrize(
    ("versions", "libraries", "known"),
    [
        (["22705"], "pass", "pass"),
        (["22105"], "fail", "pass"),
        (["22705", "22705", "22105"], "fail", "pass"),
        (["22707"], "pass", "warn"),
        ([], "pass", "pass"),
    ],
)
def test_the_nccl_that_is_really_loaded_is_asked(on, versions, libraries, known):
    assert outcome("nccl_libraries", on(*versions)) == libraries
    assert outcome("nccl_version", on(*versions)) == known


def test_ras_is_off_or_its_port_is_taken(on):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert outcome("ras_service", on("22707", NCCL_RAS_ADDR=address)) == "warn"
    free = make("ras_service", on("22707", NCCL_RAS_ADDR=address, NCCL_RAS_ENABLE="0"))
    assert free.outcome == "pass" and any("switched off" in text for text in crossed(free))


def test_a_torch_without_cuda_and_an_interpreter_that_fails_are_skipped(on, monkeypatch):
    told = nccl_found.parse({"cuda": None})
    assert "without CUDA" in told.why_not
    monkeypatch.setattr(nccl_found, "_found", {})
    assert outcome("nccl_version", target(python="/bin/false")) == "skip"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"fp8": 1.0, "flash_attention": 3.0}, "pass"), ({"flash_attention": 4.0}, "pass")],
)
def test_kernels_are_held_against_what_torch_says_of_the_gpus(on, settings, expected):
    result = make("kernels_fit", on(settings=settings))
    assert result.outcome == expected
    assert [part.values["capability"] for part in result.subjects] == [90, 90]


def test_versions_of_this_python_are_read(tmp_path, monkeypatch):
    values = make("python_version", target()).subjects[0].values
    assert values["python"] == sys.version_info[0] * 100 + sys.version_info[1]
    old = tmp_path / "py-spy"
    old.write_text("#!/bin/sh\necho py-spy 0.3.14\n")
    old.chmod(0o755)
    monkeypatch.setattr(stacks, "find_py_spy", lambda: str(old))
    assert make("python_version", target()).subjects[0].values["py_spy"] == 314


def test_the_way_from_card_to_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_direct, "MODULES", (str(tmp_path),))
    assert outcome("gpu_direct") == "pass"
    assert outcome("gpu_direct", target(NCCL_NET_GDR_LEVEL="LOC")) == "warn"
    monkeypatch.setattr(gpu_direct, "MODULES", (str(tmp_path / "none"),))
    assert outcome("gpu_direct") == "warn"
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07\n")
    monkeypatch.setattr(gpu_direct, "DRIVER", str(driver))
    monkeypatch.setattr(gpu_direct.os, "uname", lambda: type("U", (), {"release": "6.8.0"}))
    assert outcome("gpu_direct") == "pass"
    assert outcome("gpu_direct", target(NCCL_DMABUF_ENABLE="0")) == "warn"
