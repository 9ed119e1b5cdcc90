"""Data objects of EMV and UnionPay cards by tag: name, format, source and length (EMV Book 3, annex A; JR/T 0025)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """How a value is written (EMV Book 3, 4.3); it decides how a DOL pads and cuts it."""

    ALPHABETIC = "a"
    ALPHANUMERIC = "an"
    SPECIAL = "ans"
    BINARY = "b"
    COMPRESSED = "cn"
    NUMERIC = "n"
    TEMPLATE = "template"


class Source(StrEnum):
    """Who says the value."""

    CARD = "card"
    TERMINAL = "terminal"
    ISSUER = "issuer"


@dataclass(frozen=True, slots=True)
class Tag:
    """What is known of a data object.

    Attributes:
        tag: as it is written, e.g. 0x9F36.
        name: the standard's English name; "unknown" when it is in no table of ours.
        format: see `Format`.
        source: who says it, None when unknown.
        minimum, maximum: bytes of a value; 0 to 255 when the standard leaves it open.
    """

    tag: int
    name: str
    format: Format
    source: Source | None
    minimum: int = 0
    maximum: int = 255

    @property
    def known(self) -> bool:
        """Whether the tag is in the table."""
        return self.source is not None


# tag, format, source (i: card, t: terminal, h: issuer's host), bytes, name
_TABLE = """
42     n    i 3      Issuer Identification Number (IIN)
4F     b    i 5-16   Application Identifier (ADF Name)
50     ans  i 1-16   Application Label
57     b    i 0-19   Track 2 Equivalent Data
5A     cn   i 0-10   Application Primary Account Number (PAN)
61     t    i -      Application Template
6F     t    i -      File Control Information (FCI) Template
70     t    i -      READ RECORD Response Message Template
71     t    h -      Issuer Script Template 1
72     t    h -      Issuer Script Template 2
73     t    i -      Directory Discretionary Template
77     t    i -      Response Message Template Format 2
80     b    i -      Response Message Template Format 1
81     b    t 4      Amount, Authorised (Binary)
82     b    i 2      Application Interchange Profile (AIP)
83     b    t -      Command Template
84     b    i 5-16   Dedicated File (DF) Name
86     b    h 0-261  Issuer Script Command
87     b    i 1      Application Priority Indicator
88     b    i 1      Short File Identifier (SFI)
89     b    h 6      Authorisation Code
8A     an   t 2      Authorisation Response Code
8C     b    i 0-252  Card Risk Management Data Object List 1 (CDOL1)
8D     b    i 0-252  Card Risk Management Data Object List 2 (CDOL2)
8E     b    i 10-252 Cardholder Verification Method (CVM) List
8F     b    i 1      Certification Authority Public Key Index
90     b    i -      Issuer Public Key Certificate
91     b    h 8-16   Issuer Authentication Data
92     b    i -      Issuer Public Key Remainder
93     b    i -      Signed Static Application Data
94     b    i 0-252  Application File Locator (AFL)
95     b    t 5      Terminal Verification Results (TVR)
97     b    i 0-252  Transaction Certificate Data Object List (TDOL)
98     b    t 20     Transaction Certificate (TC) Hash Value
99     b    t -      Transaction Personal Identification Number (PIN) Data
9A     n    t 3      Transaction Date
9B     b    t 2      Transaction Status Information (TSI)
9C     n    t 1      Transaction Type
9D     b    i 5-16   Directory Definition File (DDF) Name
A5     t    i -      File Control Information (FCI) Proprietary Template
5F20   ans  i 2-26   Cardholder Name
5F24   n    i 3      Application Expiration Date
5F25   n    i 3      Application Effective Date
5F28   n    i 2      Issuer Country Code
5F2A   n    t 2      Transaction Currency Code
5F2D   an   i 2-8    Language Preference
5F30   n    i 2      Service Code
5F34   n    i 1      Application PAN Sequence Number
5F36   n    t 1      Transaction Currency Exponent
5F50   ans  i -      Issuer URL
5F53   b    i 0-34   International Bank Account Number (IBAN)
5F54   b    i 8-11   Bank Identifier Code (BIC)
5F55   a    i 2      Issuer Country Code (alpha2)
5F56   a    i 3      Issuer Country Code (alpha3)
5F57   n    t 1      Account Type
9F01   n    t 6      Acquirer Identifier
9F02   n    t 6      Amount, Authorised (Numeric)
9F03   n    t 6      Amount, Other (Numeric)
9F04   b    t 4      Amount, Other (Binary)
9F05   b    i 1-32   Application Discretionary Data
9F06   b    t 5-16   Application Identifier (Terminal)
9F07   b    i 2      Application Usage Control (AUC)
9F08   b    i 2      Application Version Number (Card)
9F09   b    t 2      Application Version Number (Terminal)
9F0B   ans  i 27-45  Cardholder Name Extended
9F0C   b    i -      Issuer Discretionary Data of the FCI
9F0D   b    i 5      Issuer Action Code - Default
9F0E   b    i 5      Issuer Action Code - Denial
9F0F   b    i 5      Issuer Action Code - Online
9F10   b    i 0-32   Issuer Application Data (IAD)
9F11   n    i 1      Issuer Code Table Index
9F12   ans  i 1-16   Application Preferred Name
9F13   b    i 2      Last Online Application Transaction Counter (ATC) Register
9F14   b    i 1      Lower Consecutive Offline Limit
9F15   n    t 2      Merchant Category Code
9F16   ans  t 15     Merchant Identifier
9F17   b    i 1      Personal Identification Number (PIN) Try Counter
9F18   b    h 4      Issuer Script Identifier
9F1A   n    t 2      Terminal Country Code
9F1B   b    t 4      Terminal Floor Limit
9F1C   an   t 8      Terminal Identification
9F1D   b    t 1-8    Terminal Risk Management Data
9F1E   an   t 8      Interface Device (IFD) Serial Number
9F1F   ans  i -      Track 1 Discretionary Data
9F20   cn   i -      Track 2 Discretionary Data
9F21   n    t 3      Transaction Time
9F22   b    t 1      Certification Authority Public Key Index (Terminal)
9F23   b    i 1      Upper Consecutive Offline Limit
9F26   b    i 8      Application Cryptogram (AC)
9F27   b    i 1      Cryptogram Information Data (CID)
9F2D   b    i -      ICC PIN Encipherment Public Key Certificate
9F2E   b    i 1-3    ICC PIN Encipherment Public Key Exponent
9F2F   b    i -      ICC PIN Encipherment Public Key Remainder
9F32   b    i 1-3    Issuer Public Key Exponent
9F33   b    t 3      Terminal Capabilities
9F34   b    t 3      Cardholder Verification Method (CVM) Results
9F35   n    t 1      Terminal Type
9F36   b    i 2      Application Transaction Counter (ATC)
9F37   b    t 4      Unpredictable Number
9F38   b    i -      Processing Options Data Object List (PDOL)
9F39   n    t 1      Point-of-Service (POS) Entry Mode
9F3A   b    t 4      Amount, Reference Currency
9F3B   n    i 2-8    Application Reference Currency
9F3C   n    t 2      Transaction Reference Currency Code
9F3D   n    t 1      Transaction Reference Currency Exponent
9F40   b    t 5      Additional Terminal Capabilities
9F41   n    t 2-4    Transaction Sequence Counter
9F42   n    i 2      Application Currency Code
9F43   n    i 1-4    Application Reference Currency Exponent
9F44   n    i 1      Application Currency Exponent
9F45   b    i 2      Data Authentication Code
9F46   b    i -      ICC Public Key Certificate
9F47   b    i 1-3    ICC Public Key Exponent
9F48   b    i -      ICC Public Key Remainder
9F49   b    i 0-252  Dynamic Data Authentication Data Object List (DDOL)
9F4A   b    i -      Static Data Authentication Tag List
9F4B   b    i -      Signed Dynamic Application Data
9F4C   b    i 2-8    ICC Dynamic Number
9F4D   b    i 2      Log Entry
9F4E   ans  t -      Merchant Name and Location
9F4F   b    i -      Log Format
BF0C   t    i -      File Control Information (FCI) Issuer Discretionary Data
9F51   n    i 2      Application Currency Code of Card Risk Management
9F52   b    i 2      Application Default Action (ADA)
9F53   b    i 1      Consecutive Transaction Limit (International)
9F54   n    i 6      Cumulative Total Transaction Amount Limit
9F55   b    i 1      Geographic Indicator
9F56   b    i 1      Issuer Authentication Indicator
9F57   n    i 2      Issuer Country Code of Card Risk Management
9F58   b    i 1      Lower Consecutive Offline Limit of Card Risk Management
9F59   b    i 1      Upper Consecutive Offline Limit of Card Risk Management
9F5A   b    i -      Application Program Identifier
9F5C   n    i 6      Cumulative Total Transaction Amount Upper Limit
9F5D   n    i 6      Available Offline Spending Amount
9F61   ans  i -      Cardholder Certificate Number
9F62   b    i 1      Cardholder Certificate Type
9F63   b    i 16     Card Product Identification Information
9F66   b    t 4      Terminal Transaction Qualifiers (TTQ)
9F69   b    i -      Card Authentication Related Data
9F6B   n    i 6      Card CVM Limit
9F6C   b    i 2      Card Transaction Qualifiers (CTQ)
9F6D   n    i 6      Electronic Cash Reset Threshold
9F72   b    i 1      Consecutive Transaction Limit (International - Country)
9F74   an   i 6      Electronic Cash Issuer Authorisation Code
9F75   n    i 6      Cumulative Total Transaction Amount Limit (Dual Currency)
9F76   n    i 2      Secondary Application Currency Code
9F77   n    i 6      Electronic Cash Balance Limit
9F78   n    i 6      Electronic Cash Single Transaction Limit
9F79   n    i 6      Electronic Cash Balance
9F7A   n    t 1      Electronic Cash Terminal Support Indicator
9F7B   n    t 6      Electronic Cash Terminal Transaction Limit
DF31   b    t -      Issuer Script Results
DF4D   b    i 2      Load Log Entry
DF4F   b    i -      Load Log Format
DF69   b    t 1      SM Algorithm Support Indicator
"""

_FORMATS = {
    "a": Format.ALPHABETIC,
    "an": Format.ALPHANUMERIC,
    "ans": Format.SPECIAL,
    "b": Format.BINARY,
    "cn": Format.COMPRESSED,
    "n": Format.NUMERIC,
    "t": Format.TEMPLATE,
}
_SOURCES = {"i": Source.CARD, "t": Source.TERMINAL, "h": Source.ISSUER}
_OPEN = (0, 255)


def _row(line: str) -> Tag:
    tag, form, source, size, name = line.split(maxsplit=4)
    minimum, maximum = _OPEN
    if size != "-":
        low, _, high = size.partition("-")
        minimum, maximum = int(low), int(high or low)
    return Tag(int(tag, 16), name, _FORMATS[form], _SOURCES[source], minimum, maximum)


TAGS: dict[int, Tag] = {row.tag: row for row in map(_row, _TABLE.strip().splitlines())}


def describe(tag: int) -> Tag:
    """What is known of a tag; one that is in no table is "unknown", binary, of no known source.

    >>> describe(0x9F36).name
    'Application Transaction Counter (ATC)'
    >>> describe(0xDF7F).known
    False
    """
    return TAGS.get(tag) or Tag(tag, "unknown", Format.BINARY, None)
