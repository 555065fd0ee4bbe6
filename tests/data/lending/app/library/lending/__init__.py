"""Loans of books."""
