"""Which network interfaces NCCL and gloo will take, by their settings or by their own choice."""

from probes.checking import interfaces
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
NCCL, GLOO = "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"
WHERE = "getifaddrs(3), /sys/class/net"


def measure(target: Target) -> list[Measurement]:
    seen = interfaces.see()
    found = [of(name, target.environ.get(name, ""), seen, target) for name in (NCCL, GLOO)]
    return found[:1] if not target.environ.get(GLOO) else found


def of(variable: str, setting: str, seen: list[interfaces.Interface], target: Target) -> Measurement:
    names = [one.name for one in seen if one.is_up]
    if setting:
        exact = f"={setting}" if variable == GLOO else setting  # gloo takes a list of whole names
        hit = interfaces.chosen(exact, names)
    else:  # NCCL leaves out these two unless there is nothing else
        hit = [name for name in names if not name.startswith(("lo", "docker"))] or names
    taken = [one for one in seen if one.name in hit and one.families]
    return measured(
        variable,
        f"environment, {WHERE}" if setting else WHERE,
        setting=setting,
        num_chosen=len(taken),
        chosen=", ".join(one.name for one in taken),
        num_real=sum(not one.is_loopback and not one.is_virtual for one in taken),
        num_virtual=sum(one.is_virtual for one in taken),
        num_families=len({family for one in taken for family in one.families}),
        num_nodes=target.num_nodes,
    )
