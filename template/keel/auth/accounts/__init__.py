"""Accounts: registration, verification, passwords, administration, deletion."""
