"""The broker's URL: one address, or several of the same scheme separated by semicolons, which are tried in turn."""

from urllib.parse import SplitResult, urlsplit


def split_addresses(url: str) -> list[SplitResult]:
    """Return the addresses without the options after the question mark; as a whole, `urlsplit` rejects IPv6 addresses.

    Raises:
        ValueError: an address is invalid, or has another scheme than the first.
    """
    addresses = [urlsplit(address) for address in url.partition("?")[0].split(";")]
    if len({address.scheme for address in addresses}) > 1:
        raise ValueError("several brokers need the same scheme, such as amqp://a;amqp://b")
    return addresses


def get_scheme(url: str) -> str:
    """Return the scheme of the addresses, in lower case."""
    return split_addresses(url)[0].scheme
