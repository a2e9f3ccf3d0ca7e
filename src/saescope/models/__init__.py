"""Language models: load one, read or edit what flows through it. Knows no SAE and no store."""
