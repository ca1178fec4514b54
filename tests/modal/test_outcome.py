"""Every row of the table of outcomes, through the real client."""

import json
import threading
from types import SimpleNamespace

import pytest

from diagnose.surfaces.modal import cloud
from diagnose.surfaces.modal.outcome import Unreachable
from tests.modal.test_plane import launch

# The program prints what `get` comes to, for each call that is named.
READ = """
import json, sys
import modal
from diagnose.surfaces.modal.outcome import of_error
for call in sys.argv[1:]:
    try:
        modal.FunctionCall.from_id(call).get(timeout=0)
        print(json.dumps(["returned", ""]))
    except BaseException as error:
        print(json.dumps(of_error(error)[:2]))
"""
PICKLED = {
    "ValueError: wrong": "import pickle; print(pickle.dumps(ValueError('wrong')).hex())",
    "TimeoutError: store": "import pickle; print(pickle.dumps(TimeoutError('store')).hex())",
    "KeyboardInterrupt": "import pickle; print(pickle.dumps(KeyboardInterrupt()).hex())",
    "SystemExit: 3": "import pickle; print(pickle.dumps(SystemExit(3)).hex())",
}
ENDS = {
    2: ("no data", "remote_error"),
    3: ("Function call was cancelled", "terminated"),
    4: ("Task's current input hit its timeout of 60s", "function_timeout"),
    5: ("Container initialization failed", "init_failure"),
    6: ("internal", "internal_failure"),
    7: ("Container was idle", "idle_timeout"),
    8: ("Container was evicted", "evicted"),
    9: ("Container was evicted: memory thrashing", "evicted"),
    10: ("Container ran out of memory", "oom"),
}


@pytest.fixture(scope="module")
def launched(plane):
    return launch(plane, "answer")["call"]


@pytest.fixture
def call(plane, launched):
    """A call that nothing has become of yet."""
    plane.ask("reopen", call=launched)
    return launched


def read(plane, *calls):
    done = plane.python(READ, *calls)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_each_status_is_told_from_the_others(plane, call):
    assert read(plane, call) == [("running", "")]
    found = {}
    for status, (text, _) in ENDS.items():
        plane.ask("finish", call=call, status=status, text=text)
        [found[status]] = read(plane, call)
    assert found == {status: (kind, text) for status, (text, kind) in ENDS.items()}


def test_an_exception_of_the_function_is_its_own_and_ends_nobody(plane, call):
    for told, program in PICKLED.items():
        data = plane.python(program).stdout.strip()
        plane.ask("finish", call=call, status=2, data=data)
        assert read(plane, call) == [("user_exception", told)]
    unknown = "import pickle\nclass Odd(Exception): pass\nprint(pickle.dumps(Odd('x')).hex())"
    plane.ask("finish", call=call, status=2, data=plane.python(unknown).stdout.strip())
    [(kind, text)] = read(plane, call)
    assert kind == "user_exception" and "deserialize" in text


def test_a_functions_own_network_error_is_no_trouble_of_the_collectors(plane, call):
    raised = "import aiohttp, pickle; print(pickle.dumps(aiohttp.ClientError('no hub')).hex())"
    plane.ask("finish", call=call, status=2, data=plane.python(raised).stdout.strip())
    assert asked(plane, call) == ["user_exception", "ClientError: no hub"]


def test_an_exception_that_cannot_be_shown_is_one_all_the_same(plane, call):
    odd = """
import cloudpickle
class Odd(Exception):
    def __str__(self): raise ValueError
print(cloudpickle.dumps(Odd()).hex())
"""
    odd = odd.replace("import cloudpickle", "from modal._vendor import cloudpickle")
    plane.ask("finish", call=call, status=2, data=plane.python(odd).stdout.strip())
    assert asked(plane, call) == ["user_exception", "Odd"]


def asked(plane, call):
    """The outcome as the collector asks for it."""
    program = "import json, sys\nfrom diagnose.surfaces.modal import cloud\n"
    done = plane.python(program + "print(json.dumps(cloud.outcome(sys.argv[1])[:2]))", call)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_result_that_is_gone_is_no_end(plane, call):
    plane.ask("expire", call=call)
    assert read(plane, call) == [("expired", "")]
    [(kind, _)] = read(plane, "fc-0000000000000000099999")
    assert kind == "not_found"


def test_who_cannot_ask_learns_nothing_of_the_run(plane, call):
    plane.ask("offline", on=True)
    try:
        done = plane.python(READ, call)
    finally:
        plane.ask("offline", on=False)
    assert done.returncode == 1 and "Unreachable: the plane is offline" in done.stderr


def test_a_client_that_never_answers_holds_nobody_up(monkeypatch):
    over = threading.Event()
    call = SimpleNamespace(get=lambda timeout: over.wait(60))
    monkeypatch.setattr(cloud.modal, "FunctionCall", SimpleNamespace(from_id=lambda id: call))
    monkeypatch.setattr(cloud, "ANSWER_S", 0.05)
    with pytest.raises(Unreachable, match="no answer within"):
        cloud.outcome("fc-1")
    over.set()
