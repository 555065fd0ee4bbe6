"""What happens on sockets: rooms with connections to this process, and the frames that they exchange."""
