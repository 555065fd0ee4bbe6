"""Keel, the platform of this project; see README.md in this folder."""
