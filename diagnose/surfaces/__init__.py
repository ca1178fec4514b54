"""Where ranks run: start, look, fetch, stop."""
