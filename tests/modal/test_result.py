"""What a function returned is kept, whatever it is."""

import json
import math

import pytest

from diagnose import manifest
from diagnose.surfaces.modal import result


class Odd:
    def __repr__(self):
        raise ValueError


def looped():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        math.nan,
        -math.inf,
        10**4000,
        b"\xff",
        {1, 2},
        Odd(),
        {Odd(): Odd()},
        looped(),
        "\ud800",
        [[]] * 9,
    ],
)
def test_any_value_can_be_kept_and_written(tmp_path, value):
    manifest.begin(tmp_path, id="r")
    manifest.update(tmp_path, result=result.keep(tmp_path, value))
    assert manifest.read(tmp_path) is not None


def test_what_is_large_lies_beside_the_manifest(tmp_path):
    value = {"bench_result": {"loss": math.nan, "tokens": 7}, "remote_output": "line\n" * 50_000}
    kept = result.keep(tmp_path, value)
    assert kept == {"bench_result": {"loss": "nan", "tokens": 7}, "remote_output": {"kept_in": "result.json"}}
    whole = json.loads((tmp_path / "result.json").read_text())
    assert whole["remote_output"] == value["remote_output"]
    huge = result.keep(tmp_path, {"status": "ok", "out": "x" * (17 << 20)})
    assert huge == {"status": "ok", "out": {"left_out": "too large to be kept"}}


def test_secrets_in_it_are_hidden(tmp_path):
    token = "hf_" + "abcdefghijklmnopqrst"
    kept = result.keep(
        tmp_path, {"api_key": "open sesame", "text": [f"login {token}"], "big": token + " x" * 50_000}
    )
    told = json.dumps(kept) + (tmp_path / "result.json").read_text()
    assert token not in told and "sesame" not in told
