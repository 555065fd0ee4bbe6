"""${r.plural.words.capitalize()} ${"of their owners" if r.owned else "that everyone sees" if not r.parent else "of " + r.parent.table.words}."""
