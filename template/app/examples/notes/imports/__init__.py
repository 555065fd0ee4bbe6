"""Notes from a file: an upload that is checked as it streams, then imported by a job whose progress can be read."""
