"""The two programs that take the samples are no tests."""

collect_ignore = ["ranks.py", "take.py"]
