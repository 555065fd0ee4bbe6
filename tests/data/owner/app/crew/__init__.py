"""The crew: tables and routes of the owner's with words that features use, too."""
