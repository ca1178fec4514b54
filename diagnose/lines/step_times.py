"""How long each rank's own work of a step took, and how long it waited for the others; reports of stragglers.

>>> from diagnose.messages import said
>>> said("[rank 2] step 100 forward_backward=2.628s allreduce=58ms total=2.69s", LINES)
('step.timed', {'of': 2, 'step': 100, 'work_s': 2.628, 'wait_s': 0.058})
>>> said("        Rank=9 Node=gn-114 Score=0.52", LINES)
('rank.scored', {'of': 9, 'score': 0.52})
"""

import re

from diagnose.messages import Data, line

EVENTS = {
    "step.timed": "a rank's own times of one step; data: of (the rank), step, work_s, wait_s",
    "rank.scored": "a detector of stragglers scores a rank against the others; data: of (the rank), score",
}
TIME = r"[=:] ?(?P<{0}>\d{{1,6}}(?:\.\d{{1,9}})?) ?(?P<{0}_unit>ms|s)\b"
WORK = r"\b(?:forward[_ ]backward|fwd[_ ]?bwd|compute)(?:_time)?" + TIME.format("work")
WAIT = r"\b(?:all_?reduce|comm|communication|sync|barrier|wait)(?:_time)?" + TIME.format("wait")


def timed(found: re.Match[str]) -> Data:
    told: Data = {"of": int(found["of"])} if found["of"] else {}
    seconds = {
        f"{name}_s": float(found[name]) / (1000 if found[f"{name}_unit"] == "ms" else 1)
        for name in ("work", "wait")
    }
    return {**told, "step": int(found["step"]), **seconds}


LINES = (
    *(
        line(
            "step.timed",
            word,
            rf"(?:\b[Rr]ank[ =:]{{0,2}}(?P<of>\d{{1,6}})\b.{{0,60}}?)?"
            rf"\b[Ss]tep[ =:]{{0,2}}(?P<step>\d{{1,9}})\b.{{0,120}}?{WORK}.{{0,120}}?{WAIT}",
            data=timed,
        )
        for word in (
            "forward_backward",
            "forward backward",
            "fwd_bwd",
            "fwdbwd",
            "compute=",
            "compute:",
            "compute_time",
        )
    ),
    line(
        "rank.scored",
        "Score=",
        r"\bRank=(?P<of>\d{1,6}) Node=\S{1,200} Score=(?P<score>\d\.\d{1,6})",
        data=lambda found: {"of": int(found["of"]), "score": float(found["score"])},
    ),
)
