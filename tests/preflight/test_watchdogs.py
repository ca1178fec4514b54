"""Who ends a hang first, and how that is drawn."""

import pytest

from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Made, Measured, Measurement
from diagnose.render import checks, terminal
from probes.checking import watchdogs
from probes.checking.check import Target
from probes.checks import watchdog_order

WAIT = "TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC"


@pytest.mark.parametrize(
    ("environ", "settings", "on_gpus", "lands", "margin", "first"),
    [
        ({}, {}, True, 616.0, None, "collective times out"),
        ({}, {}, False, 1800.0, None, "collective times out"),
        ({}, {"platform_timeout_s": 300}, True, 616.0, -316.0, "platform ends it"),
        ({}, {"platform_timeout_s": 86400}, True, 616.0, 85784.0, "collective times out"),
        ({}, {"platform_timeout_s": 610}, True, 616.0, -6.0, "collective times out"),
        ({WAIT: "60000"}, {"platform_timeout_s": 665}, True, 661.0, 4.0, "collective times out"),
        ({WAIT: "soon"}, {"collective_timeout_s": 60}, True, 76.0, None, "collective times out"),
        ({}, {"platform_timeout_s": 3600, "before_hang_s": 3500}, True, 616.0, -516.0, "platform ends it"),
    ],
)
def test_the_platform_must_outlast_the_dump(environ, settings, on_gpus, lands, margin, first):
    found = watchdogs.hang(environ, settings, on_gpus)
    assert (found["dump_lands_at_s"], found["platform_margin_s"], found["first"]) == (lands, margin, first)


@pytest.mark.parametrize(
    ("environ", "pause", "margin"),
    [
        ({}, 1620.0, -1140.0),
        ({"TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "7200"}, 1620.0, 5580.0),
        ({"TORCH_NCCL_ENABLE_MONITORING": "0"}, 1620.0, None),
        ({}, None, None),
    ],
)
def test_the_heartbeat_must_outlast_the_longest_compile(environ, pause, margin):
    settings = {} if pause is None else {"longest_pause_s": pause}
    assert watchdogs.heartbeat(environ, settings)["heartbeat_margin_s"] == margin


def page(settings, environ=None):
    found = watchdog_order.measure(Target(environ or {}, num_gpus=8, settings=settings))
    made = Made("watchdog_order", 0.1, [Measurement(*one) for one in found])
    report = judge(Measured("host", how="ended", checks=[made], wanted=["watchdog_order"]), book.load())
    return report, terminal.lay(checks.page(report), 80)


def test_a_platform_that_ends_first_is_drawn_as_a_line_of_time():
    report, text = page({"platform_timeout_s": 300, "platform_grace_s": 30, "flush_s": 12})
    assert report.exit_code == 4
    drawn = [line.split() for line in text.splitlines() if "##" in line]
    order = [("05:00", "platform"), ("05:30", "platform"), ("10:00", "collective"), ("10:16", "dump")]
    assert [(line[0], line[1]) for line in drawn] == order
    assert [len(line[-1]) for line in drawn] == sorted(len(line[-1]) for line in drawn)
    assert "a stop" not in text  # nothing is crossed there


def test_where_all_is_well_nothing_is_drawn():
    report, text = page({"platform_timeout_s": 86400})
    assert report.exit_code == 0 and "##" not in text


def test_where_nobody_tells_the_platforms_limit_nothing_is_said_to_pass():
    report, text = page({})
    assert report.checks[0].outcome == "skip" and "platform_timeout_s" in text


def test_slurm_tells_when_the_job_ends(monkeypatch):
    monkeypatch.setattr(watchdog_order.time, "time", lambda: 1000.0)
    report, _ = page({}, {"SLURM_JOB_END_TIME": "1300"})
    assert report.checks[0].outcome == "warn"
