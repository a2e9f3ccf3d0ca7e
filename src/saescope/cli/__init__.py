"""The command line: one command per spec. It asks the studio and shows what comes back; no tensor, no row."""
