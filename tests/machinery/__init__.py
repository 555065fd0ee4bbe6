"""The foundation of the tests: reading the questions, rendering projects, and running them."""
