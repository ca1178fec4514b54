"""README's section on compile caches: its commands, in their order, on a cache of the test's own."""

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from diagnose import cli, manifest
from diagnose.caching import places
from tests.caching.conftest import HERE

TOP = Path(__file__).parents[2]
STARTS_A_JOB = ("run", "modal")


def lines() -> list[str]:
    text = (TOP / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Compile caches") :].split("\n## ")[0]
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)
        for line in block.splitlines()
    ]


def test_every_line_works_in_its_order(warm, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "provenance", lambda *_: HERE)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(warm.inductor))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "fsdp2-1"
    run.mkdir(parents=True)
    manifest.begin(run, "fsdp2-1", name="fsdp2")
    manifest.advance(run, "ok")
    names = []
    for line in lines():
        words = shlex.split(line.replace(" /checkpoints", f" {tmp_path}/checkpoints"))[1:]
        names.append(words[1] if words[0] == "cache" else words[0])
        if words[0] in STARTS_A_JOB:  # that its options are such is all that is seen here
            command = cli.group.get_command(None, words.pop(0))
            command = command.commands[words.pop(0)] if hasattr(command, "commands") else command
            assert command.make_context("x", words).params["cache_gate"]
            continue
        if words[1] == "seed":
            monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "job"))
        done = CliRunner().invoke(cli.group, words)
        # The warm one holds a link, as a hostile one may: it is warned of, and not carried.
        assert done.exit_code == (4 if words[1] == "status" else 0), f"{line}\n{done.output}"
    assert names == ["status", "capture", "seed", "verify", "gate", "run", "modal"]
    assert (tmp_path / "job" / "fxgraph").is_dir()
