"""What NCCL chose, from its own words: transports, channels, NVLS; and its diagnostics. Pure."""

import re
from collections import Counter
from typing import NamedTuple

_VIA = re.compile(
    r"Channel \d{1,4}(?:/\d{1,3})? : (\d{1,7})\[[0-9a-fx]{1,16}\] -> (\d{1,7})\[[0-9a-fx]{1,16}\]"
    r" (?:\[(?:send|receive)\] )?via (\w{1,12})(/[\w/]{1,40})?"
)
_CHANNELS = re.compile(
    r"(\d{1,4}) coll channels, (?:\d{1,4} collnet channels, )?(?:(\d{1,4}) nvls channels, )?"
    r"(\d{1,4}) p2p channels"
)
_NVLS_YES = re.compile(r"NVLS multicast support is available|Connected NVLS tree|NVLS comm 0x")
_NVLS_NO = re.compile(r"NVLS multicast support is not available|NVLS support is disabled")

_DIAG = re.compile(r"NCCL DIAG (?:\[(OK|INFO)\] {1,4}p2p: )?(.{1,600})")
_SHARE = re.compile(r"only (\d{1,9})/(\d{1,9}) ")
_NUMBER = re.compile(r"\b(\d{1,9})\b")
_EDGE = re.compile(
    r"([\w/ -]{1,80}?) srcRank=(\d{1,7}) .{0,100}?dstRank=(\d{1,7})\b(?:.{0,100}? path=(\w{1,12}))?"
)


class Chosen(NamedTuple):
    """Pairs of ranks by transport (`P2P`, `SHM`, `NET`), channels, whether NVLS is used; None: not said."""

    pairs: dict[str, int]
    num_channels: int | None
    num_nvls_channels: int | None
    has_nvls: bool | None


def read(text: str) -> Chosen:
    """
    >>> read("n1:7:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM").pairs
    {'P2P': 1}
    >>> read("16 coll channels, 16 collnet channels, 8 nvls channels, 16 p2p channels").num_channels
    16
    """
    by_pair = {(found[1], found[2]): found[3].upper() for found in _VIA.finditer(text)}
    channels = _CHANNELS.search(text)
    nvls = int(channels[2]) if channels and channels[2] else None
    has_nvls = (
        True if _NVLS_YES.search(text) or nvls else False if _NVLS_NO.search(text) or nvls == 0 else None
    )
    return Chosen(
        dict(sorted(Counter(by_pair.values()).items())),
        int(channels[1]) if channels else None,
        nvls,
        has_nvls,
    )


class Diagnosed(NamedTuple):
    """Directed pairs of GPUs that NCCL tried (None: no sum); of the bad (rank, rank, how it failed, path)."""

    num_tested: int | None
    num_passed: int
    failed: list[tuple[int, int, str, str]]
    notice: str = ""  # why there is no sum, if it says so


def diagnosed(text: str) -> Diagnosed | None:
    """The report of NCCL_RUN_DIAGNOSTICS; None where there is none. Of several communicators: the last one's
    sum, the failed pairs of all.

    >>> diagnosed("NCCL DIAG [OK]   p2p: verified P2P access between every GPU pair (56 peer accesses)")
    Diagnosed(num_tested=56, num_passed=56, failed=[], notice='')
    >>> diagnosed("NCCL DIAG [INFO] p2p: only 52/56 GPU-to-GPU peer accesses passed verification")
    Diagnosed(num_tested=56, num_passed=52, failed=[], notice='')
    """
    lines = _DIAG.findall(text)
    num_tested: int | None = None
    num_passed, notice = 0, ""
    failed: dict[tuple[int, int], tuple[int, int, str, str]] = {}
    for tag, words in lines:
        if not tag:
            continue
        if edge := _EDGE.match(words):
            pair = int(edge[2]), int(edge[3])
            failed.setdefault(pair, (*pair, edge[1], edge[4] or ""))
        elif share := _SHARE.match(words):
            num_passed, num_tested = int(share[1]), int(share[2])
        elif tag == "OK" and (number := _NUMBER.search(words)):
            num_passed = num_tested = int(number[1])
        else:
            notice = words[:200]
    return Diagnosed(num_tested, num_passed, list(failed.values()), notice) if lines else None
