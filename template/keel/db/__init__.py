"""The database: session, models, migrations."""
