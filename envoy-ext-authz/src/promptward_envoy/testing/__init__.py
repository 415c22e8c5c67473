"""A real Envoy in front of a real service, for tests and benchmarks of this adapter."""
