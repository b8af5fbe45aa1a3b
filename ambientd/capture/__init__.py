"""The sound card: a process of its own reads it, and this room looks after that process."""
