"""Who is known to the box, how they show it, and what opens for them."""
