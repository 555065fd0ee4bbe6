"""The garbage collector's settings for servers."""

import gc


def settle() -> None:
    """Exclude the objects of the start-up from collections, and collect less often.

    A request leaves some hundred short-lived objects, which by default trigger a collection every few requests. One in
    many of them traverses every loaded module, model and route, while all requests wait.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
