"""Pre-flight: what `probes/checks/` measured, against the thresholds of `playbooks/preflight/`."""
