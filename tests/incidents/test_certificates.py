"""Certificates of random incidents: a right verdict is confirmed, and with one number changed it is not."""

import tempfile
from pathlib import Path

import msgspec
import pytest

from diagnose import ledger
from diagnose.audit import OK, audit
from diagnose.audit_fronts import Dumps
from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from diagnose.rechecking import groups, is_dump
from tests.incidents.faults import KINDS
from tests.incidents.incident import generate
from tests.incidents.scoring import blamed, outcome
from tests.test_audit import accepted

NUM = 3


def read(member):
    """Without a child, which may be late on a busy host."""
    (event,) = ledger.parse(member)
    return msgspec.convert(event.data, ledger.Ledger)


@pytest.mark.parametrize("kind", [*KINDS, "several"])
def test_a_right_verdict_is_confirmed_and_a_changed_certificate_is_not(kind):
    for seed in range(2000, 2000 + NUM):
        incident = generate(seed, kind)
        with tempfile.TemporaryDirectory(prefix="di-") as name:
            incident.write(Path(name))
            told = diagnose_bundle(name, members(name))
            found = list(members(name))
            dumps = Dumps({m.where: read(m) for m in found if is_dump(m)}, groups(found))
        if outcome(incident, blamed(told)) != "exact":
            continue
        for cause in told.causes:
            claims = audit(cause.certificate, cause.ranks, dumps)
            assert cause.certificate and {c.outcome for c in claims} == {OK}, f"{claims} | {incident.told()}"
        for cause in told.causes[:1]:
            assert not accepted(cause.certificate[:4], cause.ranks, dumps), incident.told()
