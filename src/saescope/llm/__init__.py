"""LLM servers: where they are, their keys, one queue for all calls. Knows no features, no prompts and no database."""
