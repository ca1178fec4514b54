"""The rank hook: what runs inside each rank. Standard library alone, Python 3.9+; importing a part does nothing."""
