"""What NCCL chose, from its own words (NCCL_DEBUG=INFO): transports, channels, NVLS. Pure."""

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
