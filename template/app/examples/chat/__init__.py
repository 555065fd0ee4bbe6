"""Chat: rooms over WebSocket with history, presence and delivery that loses nothing and repeats nothing."""
