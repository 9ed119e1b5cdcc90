"""The lab's words: what cardreader puts together is taken apart and said in the subscriber's language."""

from __future__ import annotations

import pytest

from stb_app.journeys.lab_words import said

CHINESE = {
    ", ": "、",
    "{what}: {why}": "{what}：{why}",
    "SFI {file} records {first}-{last}": "SFI {file} 记录 {first}-{last}",
    "wrong, {n} tries left": "错误，还可尝试 {n} 次",
    "{rule} or next": "{rule}或下一项",
    "online PIN": "联机 PIN",
    "no such record": "找不到记录",
    "key {n}": "密钥 {n}",
    "balance {amount}": "余额 {amount}",
}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("SFI 1 records 1-1, SFI 2 records 3-4", "SFI 1 记录 1-1、SFI 2 记录 3-4"),
        ("wrong, 2 tries left", "错误，还可尝试 2 次"),
        ("online PIN or next, online PIN", "联机 PIN或下一项、联机 PIN"),
        ("GET DATA: no such record", "GET DATA：找不到记录"),
        ("key 1, CVN 1, balance 0.00", "密钥 1、CVN 1、余额 0.00"),
        ("ZHANG/MIN", "ZHANG/MIN"),
        ("", ""),
    ],
)
def test_each_part_has_its_words(english: str, chinese: str) -> None:
    assert said(english, lambda text: CHINESE.get(text, text)) == chinese
    assert said(english, str) == english, "English stays as it is"
