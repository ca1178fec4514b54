"""One file per kind of evidence: a member of a bundle in, Events out."""
