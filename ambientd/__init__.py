"""ambientd: live speech to text for the exam room, on the clinic's own hardware."""

__version__ = "0.1.0"
