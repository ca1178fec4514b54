"""The loopback plane serves the real client and the real container runtime."""

import json
import os
import signal
from pathlib import Path

HERE = Path(__file__).parent
LAUNCH = """
import json, modal, sys
from tests.modal import jobs
app = modal.App("plain")
volume = modal.Volume.from_name("data", create_if_missing=True)
image = modal.Image.debian_slim().add_local_dir(%r, "/opt/plane")
job = app.function(image=image, volumes={"/data": volume}, timeout=600, include_source=False)(jobs.%s)
with app.run(detach=True):
    call = job.spawn(json.loads(sys.argv[1]))
print(json.dumps({"app": app.app_id, "call": call.object_id}))
"""
GET = "import json, modal; print(json.dumps(modal.FunctionCall.from_id(%r).get(timeout=5)))"
LAUNCHED = {
    *("AppClientDisconnect", "AppCreate", "AppPublish", "EnvironmentGetOrCreate", "FunctionCreate"),
    *("FunctionMap", "FunctionPrecreate", "ImageGetOrCreate", "MountBatchedCheckExistence"),
    *("AppHeartbeat", "MountGetOrCreate", "MountPutFile", "VolumeGetOrCreate"),
}
CONTAINED = {
    "ContainerHello",
    "ContainerHeartbeat",
    "FunctionGetInputs",
    "FunctionPutOutputs",
    "VolumeCommit",
}


def launch(plane, job, **spec):
    done = plane.python(LAUNCH % (str(HERE / "plane"), job), json.dumps(spec))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_result_comes_back_from_the_real_runtime(plane):
    told = launch(plane, "answer", number=3)
    assert plane.ask("tell")["apps"][told["app"]]["state"] == 8
    started = plane.ask("start", call=told["call"])
    assert plane.ask("wait", task=started["task"])["code"] == 0
    got = plane.python(GET % told["call"])
    assert json.loads(got.stdout) == {"spec": {"number": 3}, "task": started["task"]}, got.stderr
    found = plane.ask("tell")
    print("served:", ", ".join(sorted(found["served"])))
    assert set(found["served"]) == LAUNCHED | CONTAINED | {"FunctionGetOutputs"}, "the client asks otherwise"
    assert not found["refused"], found["refused"]


def test_what_a_container_wrote_is_there_after_its_sigkill(plane, wait):
    size = (8 << 20) + 3
    told = launch(plane, "writes", volume="data", size=size, path="/a/b.bin", seconds=60)
    started = plane.ask("start", call=told["call"])
    wait(lambda: plane.ask("tell")["volumes"].get("data") == {"a/b.bin": size}, "what it took back is there")
    os.kill(started["pid"], signal.SIGKILL)
    assert plane.ask("wait", task=started["task"])["code"] == -signal.SIGKILL
    assert plane.call(told["call"])["status"] == 0
    read = plane.python(
        "import modal\nvolume = modal.Volume.from_name('data')\n"
        "print([(e.path, e.size) for e in volume.iterdir('/', recursive=True)], end=' ')\n"
        "print(sum(len(part) for part in volume.read_file('/a/b.bin')))"
    )
    assert read.stdout.strip() == f"[('a/b.bin', {size})] {size}", read.stderr
