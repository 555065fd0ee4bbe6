"""What the tests stand on: reading the questions, rendering, and running what was rendered."""
