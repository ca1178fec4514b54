"""What the commands say without credentials, without an answer, and of what Modal would not take."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnose.cli import main
from diagnose.cli.modal import launch
from diagnose.surfaces.modal import launching

UV = "--python $(command -v python) --compile-bytecode"
VOLUMES = [
    ("data", "/data", "ro"),
    ("ckpt", "/checkpoints", ""),
    ("cache", "/cache", ""),
    ("local", "/local", ""),
]
TWO = ("--gpu", "H200:8", "--nodes", "2")
ROW = ("--gpu", "H200:8", "--memory", "512GiB:640GiB", "--cpu", "64", "--volume", "data:/data:ro")


def diagnose(folder, environ, *words):
    return subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "modal", *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def alone(tmp_path):
    """No credentials, no server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "DIAGNOSE_"))}
    return {**kept, "MODAL_CONFIG_PATH": str(tmp_path / "none.toml")}


@pytest.fixture
def dry(tmp_path, monkeypatch, capsys):
    """`launch --dry-run`, in this process: (code, what it printed, what it said of errors)."""
    monkeypatch.chdir(tmp_path)

    def launch(*words):
        command = () if "--" in words else ("--", "true")
        monkeypatch.setattr(sys, "argv", ["diagnose", "modal", "launch", "--dry-run", *words, *command])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return launch


def test_what_launch_is_told_goes_to_the_container(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--mode", "fsdp2", "--env", "observe", "--lane", "benchmark", "--stall-after", "30", "true"]
    told = launching.asked(["true"], launch.make_context("launch", words).params).spec
    assert (told["mode"], told["env"], told["lane"]) == ("fsdp2", "observe", "benchmark")
    assert told["stall_after_s"] == 30 and told["command"] == ["true"]


def test_a_dry_run_says_what_would_be_asked_and_what_it_costs(tmp_path, alone):
    words = (
        "--code",
        str(tmp_path),
        "--secret",
        "hf",
        "--timeout",
        "8h",
        "--cache-volume",
        "compiled",
        "--cache-gate",
        "--dry-run",
        "--",
        "torchrun",
        "train.py",
    )
    done = diagnose(tmp_path, alone, "launch", *ROW, *words)
    assert done.returncode == 0, done.stderr
    rows = {line[:10].strip(): line[10:] for line in done.stdout.splitlines() if line[:10].strip()}
    assert rows["app"] == "diagnose-train" and rows["gpu"] == "H200:8" and rows["secrets"] == "hf"
    assert rows["cost"].startswith("$43.") and "prices of 20" in rows["cost"]
    assert "data at /data (read-only)" in done.stdout and "compiled at /compile-cache\n" in done.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--gpu", "H900"), "H900: no GPU of Modal's"),
        (("--gpu", "A10:5"), "at most 4"),
        (("--gpu", "H200:x"), "must be a number"),
        (("--timeout", "0"), "takes 1 s to 86400 s"),
        (("--timeout", "2w"), "no time"),
        (("--memory", "2048:1024"), "above the limit"),
        (("--volume", "a:/x", "--volume", "a:/y"), "given twice"),
        (("--volume", "a:/proc"), "nothing can be mounted"),
        (("--volume", "a:x/../y"), "no volume"),
        (("--volume", "diagnose:/x"), "mounted already"),
        (("--secret", "a b"), "no name"),
        (("--startup-timeout", "0"), "startup timeout 0 s"),
        (("--memory", "64"), "write GiB where GiB are meant"),
        (("--python", "3.10"), "needs 3.11 or a later one"),
        (("--pip", "--pre"), "no package"),
        (("--nodes", "2"), "write --gpu H100:8"),
        (("--gpu", "H200:4", "--nodes", "2"), "write --gpu H200:8"),
        (("--gpu", "H200:8", "--nodes", "33"), "at most 32"),
        (("--rdma",), "ask for --nodes 2"),
        (("--memory", "9999T"), "no machine has that"),
        (("--cpu", "9e9"), "no machine has that"),
        (("--region", "us east"), "no name of a region"),
        ((*TWO, "--", "torchrun", "--standalone"), "--standalone is of one node"),
        ((*TWO, "--", "torchrun", "--nnodes", "4"), "write --nodes 4"),
        (("--", "torchrun", "--nnodes=1:3"), "write --nodes 3"),
    ],
)
def test_what_modal_would_not_take_is_refused_here(dry, words, told):
    code, _, error = dry(*words)
    assert code == 2 and told in error
    assert error.count("\n") == 1 and error.startswith("Error: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--timeout", "300"), "a collective fails after 600 s; at least 660 s outlast both"),
        (("--timeout", "2h", "--stall-after", "8000"), "a stall is called after 8000 s"),
        (("--gpu", "T4", "--", "torchrun", "--nproc-per-node=4"), "starts 4 ranks in each container"),
        ((*TWO, "--", "torchrun", "train.py"), "starts 1 rank in each container, which has 8"),
        (("--", "train.py"), "python train.py runs it"),
    ],
)
def test_what_is_hardly_meant_is_said(dry, words, told):
    code, page, _ = dry(*words)
    assert code == 0 and told in page.replace("\n", " ")


@pytest.mark.parametrize("option", ["--cpu", "--push-every", "--stall-after"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_no_number_is_no_setting(dry, option, number):
    code, _, error = dry(option, number)
    assert code == 2 and ("finite" in error or "range" in error)


def test_a_secret_in_what_goes_into_the_image_or_the_command_is_not_shown(dry):
    token = "ghp_" + "abcdefghijklmnopqrstuvwx"
    code, page, _ = dry("--pip", f"git+https://me:{token}@github.com/x/y", "--", "env", f"X={token}", "true")
    assert code == 0 and token not in page and page.count("<redacted>") == 2


def test_a_timeout_that_outlasts_the_watchdogs_needs_no_word(dry):
    assert "tells of itself" not in dry("--timeout", "11m")[1]


def test_the_price_is_of_all_nodes(dry):
    one, two = (dry("--gpu", "H200:8", "--nodes", str(num))[1] for num in (1, 2))
    hour, both = (float(re.search(r"\$([0-9.]+) an hour", page)[1]) for page in (one, two))
    assert both == pytest.approx(2 * hour, abs=0.02) and "2 containers of H200:8" in two


def test_without_credentials_one_line_says_what_to_do(tmp_path, alone):
    done = diagnose(tmp_path, alone, "launch", "--", "true")
    assert done.returncode == 2
    assert "modal token new" in done.stderr and done.stderr.count("\n") == 1
    assert not list((tmp_path / "runs").iterdir()), "nothing of it is anywhere"


def test_a_run_of_this_machine_is_none_of_modals(tmp_path, alone):
    run = tmp_path / "runs/r"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text(
        '{"schema":"diagnose/manifest/1","run":"r","state":"ok","transitions":[]}'
    )
    done = diagnose(tmp_path, alone, "collect", "r")
    assert done.returncode == 2 and "no run on Modal" in done.stderr


def manifest(run):
    return json.loads((run / "manifest.json").read_bytes())


def test_an_image_that_cannot_be_built_is_a_run_that_ended(plane, tmp_path):
    done = diagnose(tmp_path, plane.environ(), "launch", "--pip", "FAIL THE BUILD", "--", "true")
    assert done.returncode == 2 and "not launched" in done.stderr
    [run] = (tmp_path / "runs").iterdir()
    assert manifest(run)["state"] == "error"
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "show", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert [cause["failure"] for cause in json.loads(shown.stdout)["causes"]] == ["platform_init_failure"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_launcher_that_is_ended_early_leaves_a_run_that_ends(plane, tmp_path, number):
    """At whatever moment: the manifest is whole, and what Modal had no call of is not waited for."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "diagnose", "modal", "launch", "--", "true"],
        cwd=tmp_path, env=plane.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/manifest.json")) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(120)
    [run] = (tmp_path / "runs").iterdir()
    done = diagnose(tmp_path, plane.environ(), "collect")
    assert manifest(run)["state"] in ("lost", "error", "detached"), done.stderr
    assert (manifest(run)["state"] == "detached") == bool(manifest(run)["function_call_id"])


def test_what_is_asked_of_modal_is_what_was_asked_of_us(plane, tmp_path):
    (tmp_path / "train.py").write_text("print('hello')\n")
    make = "import modal\nfor name in %r: modal.Volume.from_name(name, create_if_missing=True).hydrate()"
    assert plane.python(make % [name for name, _, _ in VOLUMES]).returncode == 0
    words = ("--root", "my runs", "--rdma", "--nodes", "2", "--cloud", "aws", "--env", "none")
    words += tuple(word for one in VOLUMES[1:] for word in ("--volume", ":".join(filter(None, one))))
    words += ("--code", str(tmp_path), "--secret", "hf", "--timeout", "2h", "--startup-timeout", "20m")
    words += ("--image", "nvidia/cuda:12.8.1-devel-ubuntu22.04", "--python", "3.12", "--region", "us-east")
    done = diagnose(tmp_path, plane.environ(), "launch", *ROW, *words, "--", "python", "train.py")
    assert done.returncode == 0, done.stderr
    [run] = (tmp_path / "my runs").iterdir()
    rows = {line[:11].strip(): line[11:] for line in done.stdout.splitlines()}
    assert rows["run"].split()[0] == run.name and rows["call"] == manifest(run)["function_call_id"]
    assert rows["app"] == manifest(run)["app_id"] and rows["next"].startswith("diagnose modal collect")
    told = plane.ask("tell")
    assert told["apps"][rows["app"]] == {"name": "diagnose-train", "state": 8}
    [asked] = [one for one in told["functions"].values() if one["app"] == rows["app"]]
    assert asked["module"] == "diagnose.surfaces.modal.body" and asked["name"] == "job"
    assert asked["gpu"] == "H200:8" and asked["memory"] == [512 * 1024, 640 * 1024]
    assert (asked["timeout"], asked["startup_timeout"]) == (7200, 1200)
    assert asked["mounts"] == {
        "/diagnose": ["diagnose", False],
        **{path: [name, mode == "ro"] for name, path, mode in VOLUMES},
    }
    assert (asked["nodes"], asked["rdma"], asked["cloud"]) == (2, True, "aws")
    assert asked["options"] == {"efa_enabled": "True"}
    wanted = manifest(run)["asked"]
    assert wanted["memory"] == asked["memory"] and len(wanted["mounts"]) == 4
    assert asked["single_use"] and asked["retries"] == 0 and asked["regions"] == ["us-east"]
    assert asked["num_secrets"] == 1
    image = told["images"][asked["image"]]
    [path] = image["files"]
    assert image["commands"][0] == "FROM nvidia/cuda:12.8.1-devel-ubuntu22.04"
    assert image["commands"][-1].endswith(f"pip install {UV} --no-deps {path}"), "we come last"
    assert re.fullmatch(r"/opt/diagnose/gpu_diagnose-[\w.]+-py3-none-any\.whl", path)
    assert told["served"]["MountPutFile"] <= 2, "one wheel and one program, in all launches"
    # The two commands that were printed work as they are; `runs` has it too.
    value = pickle.dumps({"status": "ok", "exit_code": 0, "pushed": "whole"}).hex()
    plane.ask("finish", call=rows["call"], status=1, data=value)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    more = {"cwd": tmp_path, "env": plane.environ(PATH=path), "capture_output": True, "text": True}
    for line in (rows["next"], done.stdout.splitlines()[-1].strip()):
        shown = subprocess.run(["sh", "-c", line], timeout=120, **more)
        assert shown.returncode in (0, 3), f"{line}\n{shown.stderr}"
    assert manifest(run)["state"] == "ok"
    listed = subprocess.run(["diagnose", "runs", "--root", "my runs"], timeout=120, **more)
    assert run.name in listed.stdout and "ok" in listed.stdout


def test_a_volume_that_is_not_there_is_named(plane, tmp_path):
    done = diagnose(tmp_path, plane.environ(), "launch", "--volume", "nowhere:/x", "--", "true")
    assert done.returncode == 2 and "nowhere" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_call_that_its_launcher_could_not_note_is_found_by_its_container(plane, tmp_path, wait):
    environ, before = plane.environ(), set(plane.ask("tell")["calls"])
    plane.ask("hold", seconds=60)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "diagnose", "modal", "launch", "--", "true"],
        cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait(lambda: set(plane.ask("tell")["calls"]) - before)
    process.kill()
    process.wait()
    plane.ask("hold", seconds=0)
    [call] = set(plane.ask("tell")["calls"]) - before
    [run] = (tmp_path / "runs").iterdir()
    assert manifest(run)["function_call_id"] is None
    diagnose(tmp_path, environ, "collect")
    assert manifest(run)["state"] == "lost", "nobody knows of it yet"
    plane.ask("wait", task=plane.ask("start", call=call)["task"])
    done = diagnose(tmp_path, environ, "collect")
    assert done.returncode == 0, done.stderr
    assert (manifest(run)["state"], manifest(run)["function_call_id"]) == ("ok", call)


CALL = "from diagnose.cli import group\ngroup.main(%r, standalone_mode=False)\n"


@pytest.mark.parametrize(
    "words",
    [
        ["modal", "--help"],
        ["modal", "launch", "--dry-run", "--", "true"],
        ["modal", "preflight", "--dry-run"],
        ["runs"],
    ],
)
def test_modals_client_is_imported_only_where_modal_is_asked(tmp_path, alone, words):
    program = "import sys\ntry:\n    " + (CALL % words).replace("\n", "\n    ")
    program += (
        "pass\nexcept SystemExit: pass\nassert 'modal' not in sys.modules and 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_where_the_client_is_not_installed_one_line_says_how(tmp_path, alone):
    program = "import sys\nsys.modules['modal'] = None\nfrom diagnose.cli import main\nmain()"
    words = ["modal", "launch", "--", "true"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "Error: Modal's client is not installed: pip install 'gpu-diagnose[modal]'\n"
    assert not list(tmp_path.glob("runs/*")), "nothing of it is anywhere"
