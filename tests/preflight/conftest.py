collect_ignore = [
    "machines"
]  # there lies what stands for torch on recorded machines: as a test it would hide torch
