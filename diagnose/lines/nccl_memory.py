"""What the host had no more of for NCCL: shared memory for its buffers, memory that it may lock.

>>> from diagnose.messages import said
>>> said("n1:7:9 [0] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device", LINES)
('nccl.shm_refused', {'text': 'Call to posix_fallocate failed : No space left on device'})
"""  # noqa: E501

from diagnose.messages import nccl_line

EVENTS = {
    "nccl.shm_refused": "no shared memory for NCCL's buffers; data: text",
    "nccl.memlock_refused": "an RDMA call that locks memory was refused; data: text",
}
LINES = (
    *(
        nccl_line("nccl.shm_refused", word, rf"(?P<text>{text})")
        for word, text in (
            (
                "posix_fallocate",
                r"Call to posix_fallocate failed ?:? ?(?:No space left on|Cannot allocate).{0,80}",
            ),
            (
                "failed to extend /dev/shm",
                r"(?:Error: )?failed to extend /dev/shm/\S{1,80} to \d{1,15} bytes.{0,100}",
            ),
            (
                "creating shared memory segment",
                r"Error while (?:creating|attaching to) shared memory segment \S{1,100} \(size \d{1,15}\)"
                r"(?!.{0,20}error: (?!No space)).{0,80}",
            ),
        )
    ),
    *(
        nccl_line(
            "nccl.memlock_refused",
            word,
            # Older ones give no reason: it is the limit, hardly ever another.
            rf"(?P<text>Call to {word}\w{{0,20}} failed(?:\s*$|.{{0,40}}Cannot allocate memory.{{0,120}}))",
        )
        for word in ("ibv_reg_mr", "ibv_create_cq", "ibv_create_qp", "ibv_reg_dmabuf_mr")
    ),
)
