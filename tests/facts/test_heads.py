"""What is next of all that a rank has open."""

from diagnose.heads import heads
from diagnose.model import Event
from diagnose.waiting import Group, Member, Waiting


def member(rank, seq, made, op="all_reduce"):
    rows = [[seq, f"{op}|[[4]]|Float", made, False, 60.0, "scheduled", None, None]] if made else []
    return Member(
        rank, seq, seq - 1, event=Event("flight.group_read", "f", "x", rank=rank, data={"entries": rows})
    )


def call(key, seq, *waiting, in_order=True):
    return Waiting(Group(key, key, list(waiting), key=(key,), in_order=in_order), seq, list(waiting), [], [])


def transfer(key, seq, rank, peer, made, op):
    own, other = member(rank, seq, made, op), Member(peer, seq, seq - 1)
    pair = Group(key, key, [own, other], is_whole=False, key=(key, "p2p"), in_order=True)
    return Waiting(pair, seq, [own], [], [])


def of(rank, waits, unknown=()):
    return sorted((key[0], seq) for who, key, seq in heads(waits, unknown) if who == rank)


def test_the_oldest_is_next_whatever_its_group():
    assert of(0, [call("a", 5, member(0, 5, 2.0)), call("b", 9, member(0, 9, 1.0))]) == [("b", 9)]


def test_on_gloo_all_that_is_open_is_next():
    waits = [call(key, 5, member(0, 5, made), in_order=False) for key, made in (("a", 2.0), ("b", 1.0))]
    assert of(0, waits) == [("a", 5), ("b", 5)]


def test_what_a_dump_no_longer_holds_is_older_than_all_that_it_holds():
    assert of(0, [call("a", 5, member(0, 5, 2.0)), call("b", 9, member(0, 9, None))]) == [("b", 9)]


def test_a_send_holds_up_what_follows_since_its_stream_may_be_waited_for():
    send, receive = transfer("p", 3, 0, 1, 1.0, "send"), transfer("p", 4, 0, 2, 2.0, "recv")
    assert of(0, [send, receive, call("a", 5, member(0, 5, 3.0))]) == [("p", 3)]


def test_a_receive_holds_up_all_that_follows():
    assert of(0, [transfer("p", 3, 0, 1, 1.0, "recv"), call("a", 5, member(0, 5, 3.0))]) == [("p", 3)]


def test_the_transfers_of_one_block_are_next_together():
    waits = [transfer("p", 3, 0, peer, 1.0, op) for peer, op in ((1, "send"), (2, "recv"))]
    assert of(0, [*waits, call("a", 5, member(0, 5, 3.0))]) == [("p", 3)]
    assert len(heads(waits)) == 1, "both are the one operation #3"


def test_of_a_rank_whose_ring_may_have_lost_the_oldest_nothing_is_known_to_be_next():
    assert of(0, [call("a", 5, member(0, 5, 2.0))], unknown={0}) == []
