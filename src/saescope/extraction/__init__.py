"""One sweep over a dataset that gives the statistics and strongest examples of every feature at once."""
