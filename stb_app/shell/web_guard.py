"""Who may use the web remote: a remote control that any web page could press would be no remote control.

Two attacks from a browser on the same machine or network are shut out: a foreign page that sends requests
here (cross-site request forgery; its Origin tells) and a foreign name that is made to point here (DNS
rebinding; its Host tells).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def refusal(method: str, headers: Mapping[str, str], bound_to: str) -> str | None:
    """Why this request is not served, in words; None when it may be.

    Args:
        method: the HTTP method; only GET is taken to change nothing.
        headers: with ``Host`` and, from browsers, ``Origin`` and ``Sec-Fetch-Site``.
        bound_to: host name or address that the remote listens on.

    A Host must be an address or a name that nobody can give away: localhost, or the one we were told to
    listen on.
    """
    host = headers.get("Host", "")
    if not _own_host(host, bound_to):
        return f"this is not {host!r}: use the address the remote was started with, or localhost"
    if method == "GET":
        return None
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "another web site may not press keys here"
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return f"a page of {origin} may not press keys here"
    return None


def _own_host(host: str, bound_to: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if name is None:
        return False
    if name in ("localhost", bound_to.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
