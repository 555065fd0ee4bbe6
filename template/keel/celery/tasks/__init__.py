"""Tasks as rows: storing, claiming, running, retrying and scheduling them."""
