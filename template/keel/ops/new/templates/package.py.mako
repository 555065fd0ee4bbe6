"""${r.title} ${"of their owners" if r.owned else "that everyone sees" if not r.parent else "of " + r.parent.table.replace("_", " ")}."""
