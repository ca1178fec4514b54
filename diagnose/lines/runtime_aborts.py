"""The words of a C++, C or Python runtime before it ends its process.

>>> from diagnose.messages import said
>>> said("free(): invalid pointer", LINES)
('process.aborted', {'text': 'free(): invalid pointer'})
"""

from diagnose.messages import line, whole_match

EVENTS = {"process.aborted": "the C++ or Python runtime ended the process; data: text"}
LINES = tuple(
    line("process.aborted", word, text, data=whole_match)
    for word, text in (
        ("terminate called after throwing", r"terminate called after throwing an instance of .{1,300}"),
        ("Fatal Python error", r"^Fatal Python error: .{1,300}"),
        ("free(): ", r"free\(\): .{0,200}"),
        ("alloc(): ", r"(?:m|re|c)alloc\(\): .{0,200}"),
        ("double free", r"double free or corruption.{0,200}"),
        ("corrupted ", r"corrupted (?:size vs\. prev_size|double-linked list).{0,200}"),
        ("munmap_chunk", r"munmap_chunk\(\): .{0,200}"),
        ("malloc_consolidate", r"malloc_consolidate\(\): .{0,200}"),
        ("stack smashing", r"stack smashing detected.{0,200}"),
        ("pure virtual", r"pure virtual method called.{0,200}"),
        ("Segfault encountered", r"!{3,9} Segfault encountered !{3,9}"),
        ("Caught signal", r"Caught signal \d{1,2} \(.{1,60}?: .{0,120}"),
        ("Signal: ", r"Signal: (?:Segmentation fault|Bus error|Illegal instruction) \(\d{1,2}\)"),
        ("(core dumped)", r"(?:Segmentation fault|Bus error|Illegal instruction) +\(core dumped\).{0,200}"),
        ("Fatal glibc error", r"Fatal glibc error: .{0,200}"),
    )
)
