"""How answers look in a terminal: each function writes the JSON document of its verb for a person."""
