"""Settings for tests of language models: no pauses, and no limit on answers."""

ENVIRONMENT = {
    "LLM_EMBEDDED_SECONDS": "0",
    "LLM_RETRY_BACKOFF": "0",
    "LLM_ANSWERS_PER_CALLER": "100",
    # No lease expires because the machine is busy, and none is looked for in the middle of a test.
    "LLM_LEASE": "1000000",
}
