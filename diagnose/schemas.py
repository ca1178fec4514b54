"""The contracts as JSON Schemas, made from the types that read and write them."""

from typing import Any

import msgspec

from diagnose.contract import EventLine, Manifest, RunRecord
from diagnose.playbook import Failure
from diagnose.preflight.report import Report
from diagnose.verdict import Verdict

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = {
    "record": RunRecord,
    "verdict": Verdict,
    "event": EventLine,
    "manifest": Manifest,
    "failure": Failure,
    "preflight": Report,
}


def schema(name: str) -> dict[str, Any]:
    """Of one of TYPES. Keys it does not list may stand beside those it lists, but in a failure's file."""
    return {"$schema": DIALECT, **msgspec.json.schema(TYPES[name])}


def encode(name: str) -> bytes:
    """The same as text, in an order that does not change by itself."""
    return msgspec.json.format(msgspec.json.encode(schema(name), order="sorted"), indent=1) + b"\n"
