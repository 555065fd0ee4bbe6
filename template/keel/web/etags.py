"""Entity tags from version numbers, for conditional requests (RFC 9110, section 13)."""


def etag(version: int) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str | None, version: int, *, weak: bool = False) -> bool:
    """Whether a conditional header names a version.

    Args:
        header: the value of `If-Match` or `If-None-Match`; None never matches.
        version: what is stored.
        weak: compare weakly, as `If-None-Match` wants it: a `W/` in front makes no difference.
    """
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag(version) in tags
