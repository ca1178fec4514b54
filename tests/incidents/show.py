"""One incident to look at: `python -m tests.incidents.show KIND SEED [FOLDER]`, its dumps left in FOLDER."""

import sys
from pathlib import Path

from tests.incidents.incident import Incident, generate
from tests.incidents.machine import Launched, Machine
from tests.incidents.scoring import judge
from tests.incidents.truth import fronts


def state(one: Launched) -> str:
    """`#12 all_reduce(launched)`."""
    how = "done" if one.is_done else "begun" if one.is_started else "launched"
    what = ", ".join(f"{what} {one.call.comm.ranks[peer]}" for what, peer in one.call.peers) or one.call.op
    return f"{'p2p ' if one.call.peers else ''}#{one.seq} {what} ({how})"


def groups(machine: Machine, incident: Incident) -> None:
    """Every group in which something is open: what each member has launched last, and what is open."""
    for comm in incident.layout.comms:
        mine = {rank: [x for x in machine.launched[rank] if x.call.comm is comm] for rank in comm.ranks}
        if all(one.is_done for launched in mine.values() for one in launched):
            continue
        print(f"\n{comm.desc} {list(comm.ranks)}")
        for rank, launched in mine.items():
            still = [state(one) for one in launched if not one.is_done]
            last = state(launched[-1]) if launched else "nothing"
            print(f"  {rank}: {'open: ' + ', '.join(still) if still else 'newest: ' + last}")


def main(kind: str, seed: str, folder: str = "") -> None:
    incident = generate(int(seed), kind)
    print(incident.told())
    if incident.machine:
        groups(incident.machine, incident)
        print("\nwhere each device stands:")
        for rank in range(incident.num_ranks):
            at = ", ".join(f"{one.call.comm.desc} {state(one)}" for one in fronts(incident.machine, rank))
            print(f"  {rank}: {at or 'idle'}")
    result, causes = judge(incident)
    print(f"\n{result}: {causes}")
    if folder:
        incident.write(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
