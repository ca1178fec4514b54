"""Pre-flight: the checks of `probes/checks/` are made, each in a child with a deadline; nothing is judged."""
