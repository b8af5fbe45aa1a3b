"""HTTP and WebSocket: translation only, no rules of its own."""
