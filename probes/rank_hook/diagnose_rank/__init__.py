"""The rank hook: what runs inside each rank. Standard library, Python 3.9+; importing does nothing."""
