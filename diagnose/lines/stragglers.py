"""What detectors of stragglers in a job report: Megatron's, NVRx, FlagScale, TraceML.

>>> from diagnose.messages import said
>>> said("STRAGGLER DETECTION WARNING: Some GPUs have worse relative performance. Affected ranks: {3, 11}", LINES)
('straggler.named', {'ranks': [3, 11], 'by': 'gpu'})
>>> said("| MnRtt/Rnk: 3453.0ms/8 | MxRtt/Rnk: 4768.2ms/21 | MnEtpt/Rnk: 214.0TF/21 | MxEtpt/Rnk: 297.3TF/8", LINES)
('straggler.ranged', {'least': 214.0, 'slowest': 21, 'most': 297.3})
>>> said("|  Why: Rank r2 input wait was 199.7ms vs median rank r0 at 10.4ms.   |", LINES)
('straggler.named', {'ranks': [2], 'by': 'input wait'})
"""  # noqa: E501

import re
from collections.abc import Callable

from diagnose.messages import Data, line, numbers

EVENTS = {
    "straggler.named": "a detector calls ranks slower than others; data: ranks, by (gpu, or what of a step)",
    "straggler.ranged": "throughput of the slowest and of the fastest rank; data: least, slowest, most",
}
VALUE = r"(\d{1,9}(?:\.\d{1,9})?)TF/(\d{1,6})"


def named(by: str) -> Callable[[re.Match[str]], Data]:
    def data(found: re.Match[str]) -> Data:
        told = found.groupdict()
        return {"ranks": numbers(found["ranks"]), "by": (told.get("by") or by).strip()}

    return data


def ranged(found: re.Match[str]) -> Data:
    return {"least": float(found[1]), "slowest": int(found[2]), "most": float(found[3])}


LINES = (
    line(
        "straggler.named",
        "STRAGGLER DETECTION WARNING",
        r"STRAGGLER DETECTION WARNING: Some GPUs have worse relative performance\. "
        r"Affected ranks: [\[{(](?P<ranks>[\d, ]{1,2000})",
        data=named("gpu"),
    ),
    line(
        "straggler.named",
        "etected ",
        r"[Dd]etected [Ss]tragglers: \[(?P<ranks>[\d, ]{1,2000})\]",
        data=named("step"),
    ),
    line(
        "straggler.named",
        "vs median rank",
        r"\bRank r?(?P<ranks>\d{1,6}) (?P<by>[\w ]{1,40}?) was [\d.]{1,12} ?ms vs median rank",
        data=named("step"),
    ),
    line(
        "straggler.ranged",
        "MnEtpt/Rnk",
        rf"MnEtpt/Rnk: {VALUE} \| MxEtpt/Rnk: (\d{{1,9}}(?:\.\d{{1,9}})?)TF/",
        data=ranged,
    ),
)  # fmt: skip
