"""The numbered steps from one revision of the catalogue to the next."""
