"""What an image of ours is built by makes a Python that has us: its commands, run here."""

import subprocess
import sys

import pytest

UV = "RUN /.uv/uv pip install --python $(command -v python) --compile-bytecode "


@pytest.mark.slow
def test_the_commands_make_a_python_that_has_us(plane, tmp_path):
    """The image's own `uv pip install` lines, by pip in a clean venv."""
    words = [sys.executable, "-P", "-m", "diagnose", "modal", "launch", "--pip", "idna==3.10", "--", "true"]
    subprocess.run(words, cwd=tmp_path, env=plane.environ(), check=True, timeout=120)
    told = plane.ask("tell")
    [function] = told["functions"].values()
    image = told["images"][function["image"]]
    [(path, digest)] = image["files"].items()
    wheel = tmp_path / path.rpartition("/")[2]
    wheel.write_bytes((plane.folder / "plane/blocks" / digest).read_bytes())
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    for line in image["commands"]:
        if line.startswith(UV):
            words = line.removeprefix(UV).replace(path, str(wheel)).split()
            subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True, timeout=300)
    more = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True, "env": {"PATH": "/bin"}}
    told = subprocess.run([tmp_path / "venv/bin/diagnose", "explain", "compile_skew"], **more)
    assert "cache" in told.stdout
    where = "from diagnose.surfaces.modal import body; import probes.agent; print(body.__file__)"
    assert "site-packages" in subprocess.run([python, "-c", where], **more).stdout
