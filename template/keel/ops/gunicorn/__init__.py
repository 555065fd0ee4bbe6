"""Gunicorn: the parts of `deploy/gunicorn.conf.py`.

The master imports this package, and a reload (SIGHUP) does not reload it. So this imports nothing else of the
application, and a change to these modules needs a restart.
"""
