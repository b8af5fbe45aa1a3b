"""The shapes of bodies and answers, a module for each kind of thing."""
