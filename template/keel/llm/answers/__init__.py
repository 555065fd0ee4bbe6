"""Answers: tasks that produce them, and streams that follow them from any process."""
