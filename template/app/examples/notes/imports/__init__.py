"""Notes from a file: an upload is validated as it streams, then imported by a job that reports its progress."""
