"""Sources become documents, documents become token blocks; the tokenizer is handed in. No torch here."""
