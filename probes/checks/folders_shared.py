"""Whether what the first host of the job writes is seen by this one, and how soon."""

from probes.checking import meeting
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 60.0, needs=("nodes",), cost=("network", "writes_disk"), lane="hosts", alone=True)
WHERE = "a file of the host where the ranks meet"


def measure(target: Target) -> list[Measurement]:
    if not target.folders:
        return [skipped("folders", WHERE, "nobody said where the job reads and writes (--path)")]
    try:
        ways = meeting.held(target)
    except (meeting.NoMeeting, OSError, ValueError) as error:
        return [skipped("folders", WHERE, str(error))]
    seen = {folder: after for way in ways for folder, after in way.seen_after_s.items()}
    found = [
        measured(folder, WHERE, is_seen=after is not None, seen_after_s=after)
        for folder, after in seen.items()
    ]
    return found or [skipped("folders", WHERE, "this is the first host: the others look")]
