"""The parts of the collector: sealed segments, whole files, logs; probes.collector puts them together."""
