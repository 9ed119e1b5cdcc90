"""The demo wallet: our side of the gateway that the sandbox plays."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from server_stub.foundation.text import Text
from server_stub.foundation.vault import signature
from server_stub.wallets.provider import Context, NoticeRefused, Purchase, Status, WalletUnreachable

SKEW_SECONDS = 300
"""A notice that is older, or from the future, is refused."""


class DemoWallet:
    """A wallet with play money."""

    key = "demo"
    name = Text(zh="演示钱包（扫码）", en="Demo wallet (scan)")
    summary = Text(zh="用手机扫码支付", en="Scan with a phone to pay")

    def __init__(self, context: Context) -> None:
        self._context = context

    def refusal(self, amount_fen: int) -> str | None:
        return None

    async def prepare(self, purchase: Purchase) -> str:
        body = {
            "reference": purchase.reference,
            "amount_fen": purchase.amount_fen,
            "subject": purchase.subject.model_dump(),
            "number": purchase.number,
            "seconds": purchase.seconds,
            "notify_url": self._context.notify_url,
        }
        return str((await self._call("POST", "/codes", body))["payload"])

    async def execute(self, reference: str) -> Status:
        return await self.query(reference)

    async def query(self, reference: str) -> Status:
        return _status(reference, await self._call("GET", f"/codes/{reference}"))

    async def close(self, reference: str, why: str) -> Status:
        return _status(reference, await self._call("POST", f"/codes/{reference}/close", {"reason": why}))

    async def refund(self, reference: str, refund: str, amount_fen: int, why: str) -> None:
        body = {"refund": refund, "amount_fen": amount_fen, "reason": why}
        answer = await self._call("POST", f"/codes/{reference}/refund", body)
        if answer.get("state") != "refunded":
            raise WalletUnreachable(f"refund of {reference} is {answer.get('state')}")

    def verify_notice(self, headers: Mapping[str, str], body: bytes) -> str:
        timestamp, nonce = headers.get("wallet-timestamp", ""), headers.get("wallet-nonce", "")
        right = signature(self._context.secret.reveal().encode(), timestamp, nonce, body)
        if not hmac.compare_digest(right.encode(), headers.get("wallet-signature", "").encode()):
            raise NoticeRefused("signature")
        try:
            at = datetime.fromisoformat(timestamp)
            reference = json.loads(body)["reference"]
        except (ValueError, KeyError, TypeError) as error:
            raise NoticeRefused("form") from error
        if at.tzinfo is None or abs((self._context.clock.now() - at).total_seconds()) > SKEW_SECONDS:
            raise NoticeRefused("time")
        return str(reference)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self._context.url}/sandbox/wallet/v1{path}"
        headers = {"Authorization": f"Bearer {self._context.secret.reveal()}"}
        try:
            response = await self._context.http.request(method, url, json=body, headers=headers)
            if response.status_code == 404:
                return {"state": "absent", "amount_fen": 0}
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise WalletUnreachable(repr(error)) from error
        if not isinstance(answer, dict):
            raise WalletUnreachable("the answer is not an object")
        return answer


def _status(reference: str, answer: dict[str, Any]) -> Status:
    try:
        return Status(reference, answer["state"], int(answer["amount_fen"]))
    except (KeyError, ValueError) as error:
        raise WalletUnreachable("the answer is not a status") from error
