"""Hand-made evidence that several tests share."""

import msgspec

from tests.facts.dumps import say, seen


def told(*events, **more):
    heads = [
        say("flight.read", rank, source="flight_recorder", where=where, library="nccl")
        for rank, where in {(e.rank, e.where) for e in events}
    ]
    heads = [msgspec.structs.replace(e, data=e.data | more) for e in heads]
    return seen(*events, *heads, num_ranks=2)
