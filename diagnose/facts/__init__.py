"""One file per kind of statement: Evidence in, Facts out."""
