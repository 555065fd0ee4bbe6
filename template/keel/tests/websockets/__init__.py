"""Tests of sockets, on a small endpoint of their own."""
