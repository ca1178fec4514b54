"""What the kernel says of file systems and disks that do not answer.

>>> from diagnose.messages import said
>>> said("[ 81.2] nfs: server 10.0.0.9 not responding, still trying", LINES)
('storage.silent', {'what': 'nfs', 'server': '10.0.0.9'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

from functools import partial

from diagnose.messages import line as any_line

EVENTS = {
    "storage.silent": "a file server does not answer; data: what, server, text",
    "storage.answered": "a file server answers again; data: server",
    "storage.failed": "a disk or file system reports errors; data: what, text",
}
SERVER = r"(?P<server>[\w.:@-]{1,120})"
line = partial(any_line, source="kernel_log", by_rank=False)
LINES = (
    line("storage.silent", "not responding", rf"(?P<what>nfs[34]?): server {SERVER} not responding"),
    line("storage.answered", "nfs: server", rf"nfs[34]?: server {SERVER} OK"),
    line(
        "storage.silent",
        "LustreError",
        r"(?P<what>LustreError).{0,200}?(?P<text>(?:timed out|was evicted|operation \w{1,30} failed"
        r"|Connection to .{1,80} was lost).{0,120})",
    ),
    line(
        "storage.silent",
        "Lustre: ",
        r"(?P<what>Lustre): .{0,200}?(?P<text>Connection to .{1,100}? was lost.{0,80})",
    ),
    line("storage.silent", "ceph: ", r"(?P<what>ceph): (?P<text>(?:mds|osd)\d{1,5} (?:hung|down|.{0,60}lost).{0,80})"),
    line("storage.silent", "CIFS: ", r"(?P<what>CIFS): .{0,60}(?P<text>has not responded in \d{1,6} seconds.{0,60})"),
    line(
        "storage.failed",
        "I/O error, dev",
        r"(?P<text>(?:blk_update_request: )?(?:critical \w{1,20} |I/O )?(?:I/O )?error, dev (?P<what>\w{1,40}), .{0,120})",
    ),
    line("storage.failed", "Buffer I/O error", r"(?P<text>Buffer I/O error on dev (?P<what>[\w-]{1,40}), .{0,120})"),
    line("storage.failed", "EXT4-fs error", r"(?P<text>EXT4-fs error \(device (?P<what>[\w-]{1,40})\).{0,200})"),
    line("storage.failed", "XFS (", r"(?P<text>XFS \((?P<what>[\w-]{1,40})\): .{0,40}(?:I/O [Ee]rror|[Cc]orruption|shut).{0,200})"),
    line("storage.failed", "nvme nvme", r"nvme (?P<what>nvme\d{1,4}): (?P<text>(?:I/O .{0,40}timeout|controller is down|Device not ready|Removing after).{0,100})"),
)  # fmt: skip
