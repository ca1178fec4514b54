"""What torch's store, its rendezvous and gloo say when ranks cannot come together: in logs and exceptions.

>>> from diagnose.messages import said
>>> said("DistStoreError: Timed out after 13 seconds waiting for clients. 2/3 clients joined.", LINES)
('store.clients_missing', {'wait_s': 13, 'joined': 2, 'expected': 3})
"""

from diagnose.messages import line

EVENTS = {
    "store.clients_missing": "not as many workers on a store as expected; data: joined, expected, wait_s",
    "store.clients_counted": "who waits in torch's first barrier counts; data: joined, expected",
    "store.key_missing": "a key that another rank should have set did not come; data: wait_ms, keys",
    "store.unreachable": "a client could not reach the store's server; data: host, port",
    "store.address_taken": "the server's port is in use by somebody else; data: port, host",
    "host.unreachable": "a launcher could not reach a host, or was not let in; data: host, port, reason",
    "rendezvous.variable_missing": "a rank was not told where to meet; data: name",
    "gloo.address_missing": "the interface that gloo was told has no address; data: interface",
    "gloo.connect_failed": "gloo or MPI could not connect to a peer's address; data: reason, peer",
}
NUMBERS = ("joined", "expected", "wait_s", "wait_ms", "port")
HOST = r"(?P<host>[\w.:%-]{1,253})"
PORT = r"(?P<port>\d{1,5})"
LINES = tuple(
    line(kind, word, text, *NUMBERS)
    for kind, word, text in (
        (
            "store.clients_missing",
            "clients joined",
            r"Timed out after (?P<wait_s>\d{1,9}) seconds waiting for clients\. "
            r"(?P<joined>\d{1,7})/(?P<expected>\d{1,7}) clients joined",
        ),
        (  # a console broke the line
            "store.clients_missing",
            "DistStoreError: Timed out",
            r"DistStoreError: Timed out after (?P<wait_s>\d{1,9}) seconds waiting"
            r"(?: for)?(?: clients\.)?\s*$",
        ),
        (
            "store.clients_missing",
            "store based barrier",
            r"Timed out (?:initializing process group )?in store based barrier.{0,300}"
            r"world_size=(?P<expected>\d{1,7}), (?:worker_count|num_workers_joined)=(?P<joined>\d{1,7})",
        ),
        (
            "store.clients_counted",
            "Waiting in store based",
            r"Waiting in store based barrier to initialize process group.{0,200}"
            r"\(world_size=(?P<expected>\d{1,7}), (?:worker_count|num_workers_joined)=(?P<joined>\d{1,7})",
        ),
        (  # horovodrun's
            "store.clients_missing",
            "waiting for tasks to start",
            r"Timed out waiting for tasks to start\. Please check connectivity",
        ),
        ("store.clients_missing", "RendezvousTimeoutError", r"\bRendezvousTimeoutError\b"),
        (  # JAX's
            "store.clients_missing",
            "Barrier timed out. ",
            r"Barrier timed out\. (?:Barrier_id|Id): .{0,20}(?:PjRT_Client_Connect|Wait_for_all_tasks)",
        ),
        (
            "store.key_missing",
            "wait timeout after",
            r"wait timeout after (?P<wait_ms>\d{1,12})ms, keys: (?P<keys>.{0,200})",
        ),
        (
            "store.key_missing",
            "ncclUniqueId from",
            r"retr(?:ei|ie)ving ncclUniqueId from \[0\] via .{0,60}store by key '(?P<keys>.{0,60}?)'"
            r".{0,80}got error(?:: .{0,200}[Tt]imeout|:?\s*(?:\n|$))",
        ),
        (
            "store.key_missing",
            "waitForInput: socket",
            r"waitForInput: socket .{0,300} timed out after (?P<wait_ms>\d{1,12})ms",
        ),
        ("store.key_missing", "Socket Timeout", r"(?:^|Error: )Socket Timeout\s*$"),
        (
            "store.unreachable",
            "trying to connect to",
            r"client socket has timed out after (?P<wait>\d{1,12}\s?m?s) while trying to connect to "
            rf"(?:\({HOST}, {PORT}\))?",
        ),
        (
            "store.unreachable",
            "client socket has failed to connect to any",
            rf"client socket has failed to connect to any network address of \({HOST}, {PORT}\)",
        ),
        (
            "store.unreachable",
            "failed to connect/validate",
            rf"failed to connect/validate to host {HOST}:{PORT} - timed out",
        ),
        (
            "store.unreachable",
            "cannot be retrieved (gai error",
            rf"IPv4 network addresses of \({HOST}, {PORT}\) cannot be retrieved",
        ),
        ("store.unreachable", "host not found", r"Error: host not found: "),
        ("store.unreachable", "Connect() timed out", r"DEADLINE_EXCEEDED: Connect\(\) timed out"),  # JAX
        (  # no name of a host: a path, or an address that kept its brackets
            "store.unreachable",
            "cannot be retrieved (gai error",
            rf"IPv6 network addresses of \((?P<host>/[^,]{{1,200}}|\[[^,]{{1,60}}\]), {PORT}\) cannot be",
        ),
        (
            "store.unreachable",
            "client socket has failed to connect",
            r"client socket has failed to connect to \[?(?P<host>[\w.:%-]{1,253})\]?:(?P<port>\d{1,5}) "
            r"\(errno: (?:22|101|110|113) - ",
        ),
        *(
            ("host.unreachable", word, text)
            for word, text in (
                (
                    "ssh: connect to host",
                    rf"ssh: connect to host {HOST} port {PORT}: (?P<reason>[A-Z][\w ]{{1,60}})",
                ),
                ("ssh: Could not resolve", rf"ssh: (?P<reason>Could not resolve hostname) {HOST}"),
                ("Host key verification", r"(?P<reason>Host key verification failed)"),
                ("orted: ", r"(?P<reason>(?:orted|prted): (?:command not found|No such file or directory))"),
                ("ORTE was unable", r"(?P<reason>ORTE was unable to reliably start one or more daemons)"),
            )
        ),
        (
            "rendezvous.variable_missing",
            "expected, but not set",
            r"env:// rendezvous: environment variable (?P<name>\w{1,40}) expected, but not set",
        ),
        ("store.unreachable", "connect() timed out", r"connect\(\) timed out\. Original timeout was"),
        ("store.unreachable", "C10d store has failed", r"connection to the C10d store has failed"),
        (
            "store.address_taken",
            "failed to listen on any local",
            r"failed to listen on any local network address"
            r"(?=.{0,400}(?:EADDRINUSE|[Aa]ddress already in use))"
            rf"(?:.{{0,200}}?(?:port: |\]:){PORT})?",
        ),
        (
            "store.address_taken",
            "Address already in use",
            r"(?:ZMQ|Runtime|DistNetwork)Error: Address already in use"
            r"(?: \(addr='tcp://(?P<host>[\w.:\[\]*-]{1,100}):(?P<port>\d{1,5})'\)|$)",
        ),
        (
            "store.address_taken",
            "has failed to bind to",
            r"server socket has failed to bind to (?:\[?(?P<host>[\w.:%-]{1,253})\]?:)?(?P<port>\d{1,5}) "
            r"\(errno: 98 ",
        ),
        (
            "gloo.address_missing",
            "Unable to find address for",
            r"Unable to find address for:? (?P<interface>[^\s'\"]{1,64})",
        ),
        (
            "gloo.address_missing",
            "Unable to resolve hostname",
            r"Unable to resolve hostname to a \(local\) address",
        ),
        (
            "gloo.connect_failed",
            "connectFullMesh failed",
            r"connectFullMesh failed with (?:\[.{1,200}?\] )?"
            r"(?P<reason>.{1,120}?)(?:, remote=\[?(?P<peer>[\w.:%\]]{1,80})|$)",
        ),
        (
            "gloo.connect_failed",
            "btl_tcp_endpoint",
            r"btl_tcp_endpoint\.c:.{0,120}connect\(\) to (?P<peer>[\w.:%]{1,80}) failed: "
            r"(?P<reason>[A-Z][\w ]{1,60})",
        ),
        (
            "gloo.connect_failed",
            "pair.cc:",
            r"pair\.cc:\d{1,5}\] connect (?P<peer>\[[\w.:%]{1,60}\]:\d{1,5}): (?P<reason>[A-Z][\w ]{1,60})",
        ),
    )
)
