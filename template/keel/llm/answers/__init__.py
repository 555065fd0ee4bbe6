"""Answers: the tasks that produce them, and the streams that follow these, in any process."""
