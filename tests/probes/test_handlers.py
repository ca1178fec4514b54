"""Lines inside exception handlers, read off the program's source while it sleeps there."""

import ast
import subprocess
import sys
import time
from pathlib import Path

from probes import handlers, stacks
from tests.probes.conftest import wait_for
from tests.waits import handed

PROGRAM = """
import time
def again():
    print("again", flush=True)
    time.sleep(60)
try:
    raise ValueError("bad batch")
except Exception:
    again()
"""


def test_a_sleeping_programs_handler_is_found_on_its_stack(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, "train.py"], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline()

        def marked() -> object:
            """What is caught, frame by frame; a reason where a busy machine was too slow for it."""
            threads = stacks.from_outside({0: process.pid}, 5.0)[0]
            found = [] if isinstance(threads, str) else [frame for one in threads for frame in one["frames"]]
            return [(frame["name"], frame.get("caught", "")) for frame in found] or threads

        wait_for(lambda: marked() == [("again", ""), ("<module>", "Exception")])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_innermost_handler_counts_and_else_and_finally_are_none() -> None:
    source = b"""try:
    a()
except OSError:
    try:
        b()
    except:
        c()
    d()
else:
    e()
finally:
    f()
"""
    found = handlers.spans(ast.parse(source))
    assert found == [(4, 8, "OSError"), (7, 7, "everything")]


def test_a_function_that_a_handler_defines_is_no_handler(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "try:\n    import fast\nexcept Exception:\n    def slow():\n        return 1\n    x = 2\n"
    )
    assert [handlers.caught(str(path), line, 1) for line in (5, 6)] == ["", "Exception"]


def test_a_source_that_cannot_be_read_in_time_costs_a_second_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(handlers, "caught", lambda *place: time.sleep(60))
    threads = [
        {"pid": 1, "thread_name": "MainThread", "frames": [{"name": "f", "filename": "/a.py", "line": 1}]}
    ]
    limits = handed(monkeypatch)
    handlers.marked({0: threads, 1: "refused"})
    assert limits == [1.0] and "caught" not in threads[0]["frames"][0]


def test_a_source_that_does_not_parse_or_is_gone_names_none(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("try:\n print 'old'\nexcept Exception, e:\n pass\n")
    assert handlers.caught(str(tmp_path / "old.py"), 4, 1) == ""
    assert handlers.caught(str(tmp_path / "gone.py"), 3, 1) == ""
    assert handlers.caught("<string>", 3, 1) == ""
