"""One rank on each of two hosts (network namespaces); in the midst of training the link of one goes down."""

import os
import subprocess
import time

import hosts
import ranks
import torch
import training

DRILL = {
    "expect": {"failure": "network_link_lost", "ranks": []},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "plain",
    "stall_after_s": 5,
    "timeout_s": 240,
    "needs": ["torch", "netns", "unshare"],
    "env": {"GLOO_SOCKET_IFNAME": "eth0"},
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=14)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=400)):
        if (rank, num) == (1, 10):
            outside = f"sleep 0.5; ip link set {hosts.INTERFACE} down"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    if "RANK" in os.environ:
        training.launch(main)
    else:
        there = hosts.connect()
        ranks.wait([ranks.start(rank, 2, 29500, hosts.ADDRESSES[0], inside=there[rank]) for rank in range(2)])
