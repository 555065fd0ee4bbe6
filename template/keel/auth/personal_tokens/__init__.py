"""Personal access tokens: what machines may do in somebody's name, and for how long."""
