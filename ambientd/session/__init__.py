"""One conversation: audio in, stored lines out, listeners told."""
