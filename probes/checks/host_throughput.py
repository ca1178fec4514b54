"""How fast this host sends to the first host of the job over TCP, and how fast its network card is."""

from probes.checking import interfaces, meeting
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 60.0, needs=("nodes",), cost=("network",), lane="hosts", alone=True)
WHERE = "a stream of 1 s to where the ranks meet"


def measure(target: Target) -> list[Measurement]:
    """The first host has a measurement for each of the others."""
    found = [
        measured(one.name, "/sys/class/net/*/speed", bits_per_s=one.mbits_per_s * 1e6, is_card=True)
        for one in interfaces.see()
        if one.mbits_per_s and one.families and not one.is_virtual and not one.is_loopback
    ]
    try:
        ways = meeting.held(target)
    except (meeting.NoMeeting, OSError, ValueError) as error:
        return [*found, skipped("job", WHERE, str(error))]
    return [*found, *(measured(one.peer, WHERE, bits_per_s=one.bits_per_s, is_card=False) for one in ways)]
