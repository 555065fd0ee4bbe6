"""Chat: rooms over WebSocket with history and presence; messages are delivered once, in order."""
