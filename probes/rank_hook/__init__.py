"""What `diagnose run` puts on PYTHONPATH. Readers beside the ranks import its parts by this name."""
