"""The version of saescope, said once."""

VERSION = "0.1.0"
