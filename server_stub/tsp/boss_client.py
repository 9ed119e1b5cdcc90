"""What the TSP asks BOSS, over BOSS's published interface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import structlog

from server_stub.foundation.problems import Problem
from server_stub.foundation.secret import SecretText

PASSED_ON = frozenset(
    {
        "not-found",
        "box-unknown",
        "box-suspended",
        "box-stolen",
        "key-replaced",
        "key-revoked",
        "key-copied",
        "activation-code-wrong",
        "already-subscribed",
        "term-not-sold",
        "subscriber-in-arrears",
        "service-withdrawn",
        "order-clash",
        "amount-differs",
    }
)
"""BOSS's authoritative answers. Anything else it says means that the two do not understand each other."""

OF_BOX = frozenset({"box-unknown", "box-suspended", "box-stolen"})
"""Those that are about the box itself, whatever was asked."""

log = structlog.get_logger(__name__)


class BossClient:
    """BOSS as the TSP sees it.

    Args:
        url: where BOSS answers.
        key: the partner key.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, key: SecretText) -> None:
        self._http = http
        self._url = url
        self._key = key
        self._when_refused: Callable[[str, Problem], Awaitable[None]] | None = None

    def when_refused(self, listener: Callable[[str, Problem], Awaitable[None]]) -> None:
        """Has somebody told of each box that BOSS says it does not serve: its number, and the refusal."""
        self._when_refused = listener

    async def get(self, box_number: str, *path: str, **query: Sequence[str]) -> Any:
        """One of a box's resources, by the parts of its path: ``home``; ``services``; ``services``, NAME.

        Args:
            query: each name with its values.

        Raises:
            Problem: BOSS's refusal, or ``boss-unreachable``.
        """
        asked = f"?{urlencode(query, doseq=True)}" if any(query.values()) else ""
        return await self._call("GET", box_number, "/".join(quote(part, safe="") for part in path) + asked)

    async def post(self, box_number: str, path: str, body: dict[str, Any], key: str = "") -> Any:
        """One of a box's actions: ``keys``, ``orders``, ``orders/ID/opening``; ``key`` makes it idempotent.

        Raises:
            Problem: BOSS's refusal, or ``boss-unreachable``.
        """
        return await self._call("POST", box_number, path, body, {"Idempotency-Key": key} if key else {})

    async def _call(
        self,
        method: str,
        box_number: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        signed = {"Authorization": f"Bearer {self._key.reveal()}"}
        url = f"{self._url}/boss/v1/boxes/{box_number}/{path}"
        try:
            response = await self._http.request(method, url, json=body, headers={**signed, **(headers or {})})
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            log.warning("boss-unreachable", path=path, error=repr(error))
            raise Problem("boss-unreachable") from error
        if response.is_success:
            return answer
        code = answer.get("code") if isinstance(answer, dict) else None
        if code in PASSED_ON and response.status_code < 500:
            refusal = Problem(str(code), **answer.get("facts", {}))
            if code in OF_BOX and self._when_refused is not None:
                await self._when_refused(box_number, refusal)
            raise refusal
        log.warning("boss-not-understood", path=path, status=response.status_code, code=code)
        raise Problem("boss-unreachable")
