"""Whether the ranks of a job are still on their way to each other, or never came together. Pure."""

from diagnose.activity import of_rank
from diagnose.looks import decisive
from diagnose.model import Evidence
from diagnose.rendezvous import came_together, inits, sayings


def is_joining(evidence: Evidence, stalled: bool) -> bool:
    """Whether ranks wait in the rendezvous: by their hooks' word in a stall, or by stacks at a look."""
    look = decisive(evidence)
    seen = (of_rank(look, rank, False) for rank in evidence.ranks) if look else ()
    return (stalled and any(not init.ok for init in inits(evidence))) or any(
        activity is not None and activity.is_ == "rendezvous" for activity in seen
    )


def never_joined(evidence: Evidence, stalled: bool) -> bool:
    """Whether the ranks never came together: what went wrong first is the rendezvous itself."""
    if any(evidence.of("step.first_completed")) or came_together(evidence):
        return False
    told = [event for event, _, _ in sayings(evidence)]
    others = [e for e in evidence.of("exception.raised") if e not in told]
    others += [e for e in evidence.of("rank.died") if e.data.get("signal")]
    since = min((e.time for e in told if e.time is not None), default=None)
    before = [e for e in others if since is None or e.time is None or e.time < since]
    return not before and (bool(told) or is_joining(evidence, stalled))
