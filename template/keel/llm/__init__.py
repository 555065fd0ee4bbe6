"""Answers of language models: streamed, resumed, stopped, bounded and counted."""
