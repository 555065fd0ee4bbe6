"""Widgets: a resource that only the platform's tests have, so that they need none of yours.

`keel.tests.application` serves it below /api/v1/widgets. Its tables are no part of the migrations.
"""
