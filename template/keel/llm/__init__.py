"""Answers of language models: streamed, resumable, stoppable, limited and metered."""
