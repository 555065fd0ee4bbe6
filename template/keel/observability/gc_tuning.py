"""Python's garbage collector, set up for a process that serves."""

import gc


def settle() -> None:
    """Let the collector pass over what start-up has made, and look less often.

    A request leaves some hundred short-lived objects behind, which by default start a collection every few requests,
    and one in many of them walks through every module, model and route that is loaded, while all callers wait.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
