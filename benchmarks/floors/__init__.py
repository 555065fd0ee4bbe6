"""Small applications that do the same work with nothing around it, to compare with; they are run, never imported."""
