"""Make a case of a run directory: `python tests/capture.py RUN NAME [FAILURE RANK,RANK SYMPTOM]`.

Copies the evidence, and takes out what belongs to one machine: its name, its folders, its process owner.
"""

import json
import re
import shutil
import socket
import sys
from pathlib import Path

CASES = Path(__file__).parent / "cases"
SKIP = {"verdict.json", "record.json", "manifest.json"}


def neutral(text: str, here: str) -> str:
    """The text without this machine's names."""
    text = (
        text.replace(sys.prefix, "/srv/project/.venv")
        .replace(here, "/srv/project")
        .replace(str(Path.home()), "/home/user")
    )
    for group in re.findall(r"(?m):(/.+)$", Path("/proc/self/cgroup").read_text()):
        text = text.replace(group, "/job")
    text = re.sub(r"/tmp/[A-Za-z0-9_.-]+/job-\d+", "/srv/job", text)
    text = re.sub(r"/tmp/(?:[A-Za-z0-9_.-]+/)*dg-[A-Za-z0-9_]+", "/tmp/dg-0", text)
    text = re.sub(r"/tmp/(?!dg-0)[A-Za-z0-9_.-]+", "/tmp/work", text)
    return re.sub(rf"\b{re.escape(socket.gethostname())}\b", "node-0", text)


def capture(run: Path, case: Path, here: str) -> None:
    for path in sorted(run.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in SKIP:
            target = case / "bundle" / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(neutral(path.read_text(errors="replace"), here))


def main(args: list[str]) -> None:
    run, name, *told = args
    case = CASES / name
    shutil.rmtree(case / "bundle", ignore_errors=True)
    capture(Path(run), case, str(Path(__file__).parent.parent))
    failure, ranks, symptom = told if len(told) == 3 else ("", "", told[0] if told else "none")
    lines = [
        f'captured_from = "a real run of the drill {name}, torch 2.13.0 (CPU, gloo)"',
        f'symptom = "{symptom}"',
    ]
    if failure:
        listed = json.dumps([int(r) for r in ranks.split(",") if r])
        lines += ["", "[[causes]]", f'failure = "{failure}"', f"ranks = {listed}"]
    (case / "truth.toml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
