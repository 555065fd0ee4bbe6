"""Assistant: a chatbot with conversations, branches and tools."""
