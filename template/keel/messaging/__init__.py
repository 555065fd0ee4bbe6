"""Cache, publish/subscribe, e-mail: ports and their in-process defaults."""
