"""Authors: their address begins as that of accounts does."""
