"""Deliveries to the centre and its answers: what the outbox holds goes out, when it can, exactly once."""
