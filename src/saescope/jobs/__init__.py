"""One short file per verb: read the spec, call the verb, write what it yields. Here tensors meet rows."""
