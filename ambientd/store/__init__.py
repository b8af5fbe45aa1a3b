"""What is kept: one SQLite file.  SQL stands in this room and in no other."""
