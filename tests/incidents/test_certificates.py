"""Certificates of random incidents: a right verdict is confirmed, and with one number changed it is not."""

import tempfile
from pathlib import Path

import pytest

from diagnose import rechecking
from diagnose.audit import OK, audit
from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from tests.incidents.faults import KINDS
from tests.incidents.incident import generate
from tests.incidents.scoring import blamed, outcome
from tests.test_audit import accepted

NUM = 3


@pytest.mark.parametrize("kind", [*KINDS, "several"])
def test_a_right_verdict_is_confirmed_and_a_changed_certificate_is_not(kind):
    for seed in range(2000, 2000 + NUM):
        incident = generate(seed, kind)
        with tempfile.TemporaryDirectory(prefix="di-") as name:
            incident.write(Path(name))
            told = diagnose_bundle(name, members(name))
            dumps = rechecking.dumps(Path(name), told)
        assert not told.causes or outcome(incident, blamed(told)) != "exact" or dumps.ledgers, incident.told()
        for cause in told.causes:
            wrong = [c for c in audit(cause.certificate, cause.ranks, dumps) if c.outcome != OK]
            assert not wrong, f"{wrong} | {incident.told()}"
        for cause in told.causes[:1]:
            assert not accepted(cause.certificate[:4], cause.ranks, dumps), incident.told()
