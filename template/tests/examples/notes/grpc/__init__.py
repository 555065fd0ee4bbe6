"""Notes over gRPC."""
