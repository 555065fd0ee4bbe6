"""A package of the tests' own: services on the gRPC server, so that its tests need none of yours."""
