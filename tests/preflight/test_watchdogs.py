"""Who ends a hang first, and how that is drawn."""

import pytest

from diagnose.limits import limits
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Made, Measured, Measurement
from diagnose.render import checks, terminal
from diagnose.surfaces.modal import body
from probes.checking import watchdogs
from probes.checking.check import Target
from probes.checks import watchdog_order
from tests.preflight.making import BOOK

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
    on = Target(environ or {}, num_gpus=8, settings=settings, platforms=BOOK.settings.platform)
    found = watchdog_order.measure(on)
    made = Made("watchdog_order", 0.1, [Measurement(*one) for one in found])
    report = judge(Measured("host", how="ended", checks=[made], wanted=["watchdog_order"]), BOOK)
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


@pytest.mark.parametrize(
    ("environ", "outcome", "kills"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "1300"}, "warn", 330.0),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "inf"}, "skip", None),
        ({"MODAL_TASK_ID": "ta-1", "DIAGNOSE_ENDS_AT": "1300"}, "warn", 330.0),
        ({"MODAL_TASK_ID": "ta-1", "DIAGNOSE_ENDS_AT": "15400"}, "skip", 14430.0),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "skip", None),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else None,
)
def test_the_platform_tells_when_the_job_ends_and_how_patiently(monkeypatch, environ, outcome, kills):
    monkeypatch.setattr(watchdog_order.time, "time", lambda: 1000.0)
    report, _ = page({}, environ)
    parts = {part.subject: part for part in report.checks[0].subjects}
    assert report.checks[0].outcome == outcome
    assert parts["a hang"].values.get("platform_kills_at_s") == kills
    assert parts["a stop"].outcome == ("pass" if "MODAL_TASK_ID" in environ else "skip")


def test_what_the_user_tells_is_before_what_the_platform_does():
    report, _ = page({"platform_grace_s": 10, "flush_s": 40}, {"MODAL_TASK_ID": "ta-1"})
    [stop] = [part for part in report.checks[0].subjects if part.subject == "a stop"]
    assert (stop.outcome, stop.values["grace_margin_s"]) == ("warn", -30)


def test_each_number_has_one_home():
    """What our own code takes, and what the thresholds say of it."""
    platforms, check = BOOK.settings.platform, BOOK.checks["watchdog_order"]
    assert {name for told in platforms.values() for name in told} <= watchdog_order.CHECK.asks.keys()
    ending = sum(grace_s for _, grace_s in body.ENDING) + body.LAST_PUSH_S
    assert platforms["modal"]["flush_s"] == ending < platforms["modal"]["platform_grace_s"]
    assert limits().flush_s in {one.when["platform_margin_s"].below for one in check.threshold[:2]}
