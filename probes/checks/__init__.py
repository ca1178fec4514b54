"""The pre-flight checks: one a file, found by being here. A check measures, it never judges.

`CHECK` says what the check is, `measure(target)` gives its Measurements, one for each subject. What makes a
value good or bad stands in `playbooks/preflight/<the same name>.toml`.
"""
