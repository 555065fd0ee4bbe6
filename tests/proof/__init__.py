"""The proof of the whole: everything on, every process and server killed under load, then every promise counted."""
