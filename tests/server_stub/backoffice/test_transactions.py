"""Pages of transactions: found by whatever was typed, a story of each kind of payment, nothing secret anywhere."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import insert, select, update

from server_stub.backoffice import exports, totals
