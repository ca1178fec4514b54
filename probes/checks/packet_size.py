"""Whether packets as large as both hosts think come through between them unbroken."""

from probes.checking import meeting
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 60.0, needs=("nodes",), cost=("network",), lane="hosts", alone=True)
WHERE = "IP_MTU, and datagrams that no router may break, to where the ranks meet"


def measure(target: Target) -> list[Measurement]:
    try:
        ways = meeting.held(target)
    except (meeting.NoMeeting, OSError, ValueError) as error:
        return [skipped("job", WHERE, str(error))]
    found = [
        measured(
            way.peer,
            WHERE,
            mtu=way.mtu,
            first_mtu=way.first_mtu,
            largest=way.largest,
            is_same=way.mtu == way.first_mtu if way.mtu and way.first_mtu else None,
            lacking=way.mtu - way.largest if way.mtu and way.largest and way.mtu <= 9000 else None,
        )
        for way in ways
    ]
    return found or [skipped("job", WHERE, "the other hosts broke off")]
