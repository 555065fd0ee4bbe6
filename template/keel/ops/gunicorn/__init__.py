"""Gunicorn: what `deploy/gunicorn.conf.py` is made of.

The master imports this package, and a reload (SIGHUP) does not load it again. So nothing else of the application is
imported here; a change to these modules needs a restart.
"""
