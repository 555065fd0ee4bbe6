"""A package of the tests' own that takes part in the gRPC server, with methods that go wrong."""
