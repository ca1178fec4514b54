"""Which processes of this host are ranks, and of which job, where nobody told us."""
