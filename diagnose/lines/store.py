"""What torch's store says once it was reached: its server went away.

>>> from diagnose.messages import said
>>> said("[W1124 TCPStore.cpp:340] sendBytes failed on SocketImpl(fd=4, addr=[localhost]:1)", LINES)
('store.lost', {})
"""

from diagnose.messages import line

EVENTS = {"store.lost": "the connection to the store broke: the process that serves it has gone"}
LINES = tuple(
    line("store.lost", word, text)
    for word, text in (
        ("failed on SocketImpl", r"(?:sendBytes|recvV\w{1,30}) failed on SocketImpl\("),
        ("should dump", r'Failed to check the "should dump" flag on TCPStore'),
        (
            "server shutdown or crash",
            r"Connection was likely closed\. Did the remote server shutdown or crash",
        ),
    )
)
