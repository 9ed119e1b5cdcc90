"""The house itself: assets made at set-up, translations, set-up's behaviour, the floors of the imports."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

import assets
from scripts import make_fonts, make_locale, make_sounds

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("stb_app", "screens", "cardreader", "server_stub", "assets")


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- assets ---------------------------------------------------------------------------------------


def test_a_missing_asset_says_what_to_run() -> None:
    with pytest.raises(assets.AssetMissing, match=r"NotoSansTC\.ttf is missing: run `make setup`"):
        assets.path("fonts", "NotoSansTC.ttf")


@pytest.mark.parametrize(("style", "weight"), make_fonts.WEIGHTS.items())
def test_fonts_have_all_of_gb2312_and_tabular_figures(style: str, weight: int) -> None:
    font = TTFont(assets.path("fonts", f"NotoSansSC-{style}.ttf"), lazy=True)
    cmap = font.getBestCmap()
    symbols = {ord(symbol) for symbol in "¥￥€←↑→↓◀▶▲▼✓×·…•–—“”‘’※★☆⚠①"}
    basic_latin = set(range(0x20, 0x7F))
    gb2312 = make_fonts.gb2312()
    assert len(gb2312) == 7445
    assert not {chr(code) for code in (symbols | basic_latin | gb2312) - cmap.keys()}
    assert len({font["hmtx"][cmap[ord(figure)]][0] for figure in "0123456789"}) == 1
    assert font["OS/2"].usWeightClass == weight
    assert "fvar" not in font


def test_the_fonts_licence_is_beside_them() -> None:
    assert "SIL Open Font License" in assets.path("fonts", "OFL.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", make_sounds.SOUNDS)
def test_sounds_are_small_soft_and_end_in_silence(name: str, tmp_path: Path) -> None:
    made = assets.path("sounds", f"{name}.wav")
    assert made.stat().st_size < 40_000
    with wave.open(str(made)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, make_sounds.RATE)
        pcm = sound.readframes(sound.getnframes())
    levels = [
        int.from_bytes(pcm[at : at + 2], "little", signed=True) / 32_767 for at in range(0, len(pcm), 2)
    ]
    assert 0.1 < max(levels) < 0.6, "audible, and well short of clipping"
    assert levels[0] == levels[-1] == 0, "neither starts nor ends with a click"
    again = tmp_path / "again.wav"
    make_sounds.write(again, make_sounds.samples(*make_sounds.SOUNDS[name]))
    assert again.read_bytes() == made.read_bytes(), "the same bytes in every run"


KEY_NAMES = {
    *("KEY_UP", "KEY_DOWN", "KEY_LEFT", "KEY_RIGHT", "KEY_OK", "KEY_BACK", "KEY_PAGEUP", "KEY_PAGEDOWN"),
    *("KEY_INFO", "KEY_LANGUAGE", "KEY_HOME", "KEY_F5", "KEY_RED", "KEY_GREEN", "KEY_YELLOW", "KEY_BLUE"),
    *(f"KEY_{digit}" for digit in range(10)),
}


@pytest.mark.parametrize("name", ["keyboard", "epg-generic"])
def test_every_key_map_reaches_what_a_purchase_needs(name: str) -> None:
    table = tomllib.loads(assets.path("keymaps", f"{name}.toml").read_text(encoding="utf-8"))
    assert set(table) == {"keys"}
    names = set(table["keys"].values())
    assert names <= KEY_NAMES
    assert {"KEY_UP", "KEY_DOWN", "KEY_LEFT", "KEY_RIGHT", "KEY_OK", "KEY_BACK", "KEY_INFO"} <= names
    assert {f"KEY_{digit}" for digit in range(10)} <= names


def test_back_of_every_chinese_box_is_back() -> None:
    table = tomllib.loads(assets.path("keymaps", "epg-generic.toml").read_text(encoding="utf-8"))
    assert {table["keys"][code] for code in ("8", "22", "27", "340", "461")} == {"KEY_BACK"}


# --- translations ---------------------------------------------------------------------------------


PO_HEAD = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n"Language: zh\\n"\n\n'


def test_messages_are_collected_kept_and_compiled(tmp_path: Path) -> None:
    (tmp_path / "screens").mkdir()
    page = tmp_path / "screens" / "page.py"
    page.write_text('_("Insert the card")\n_("Gone soon")\n', encoding="utf-8")
    folder = tmp_path / "locale"
    po = folder / "zh" / "LC_MESSAGES" / "stb_pay.po"
    po.parent.mkdir(parents=True)
    po.write_text(PO_HEAD, encoding="utf-8")

    make_locale.messages(tmp_path, folder)
    text = po.read_text(encoding="utf-8")
    assert 'msgid "Insert the card"\nmsgstr ""' in text
    po.write_text(
        text.replace('"Insert the card"\nmsgstr ""', '"Insert the card"\nmsgstr "请插卡"'), encoding="utf-8"
    )

    page.write_text('_("Insert the card")\npgettext("key", "OK")\n', encoding="utf-8")
    make_locale.messages(tmp_path, folder)
    text = po.read_text(encoding="utf-8")
    assert 'msgstr "请插卡"' in text
    assert 'msgctxt "key"\nmsgid "OK"' in text
    assert "Gone soon" not in text
    make_locale.messages(tmp_path, folder)
    assert po.read_text(encoding="utf-8") == text, "collecting twice changes nothing"

    assert make_locale.compile_catalogue(po)
    assert "请插卡".encode() in po.with_suffix(".mo").read_bytes()
    assert not make_locale.compile_catalogue(po), "an unchanged catalogue is not compiled again"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('#, fuzzy\nmsgid "Paid"\nmsgstr "已付"\n', "fuzzy"),
        ('#, python-brace-format\nmsgid "{n} left"\nmsgstr "还剩 {m}"\n', "left"),
        ('#, python-brace-format\nmsgid "{n} left"\nmsgstr "快没了"\n', "left"),
        ('#, python-format\nmsgid "%(n)s left"\nmsgstr "还剩 %(m)s"\n', "left"),
    ],
)
def test_a_translation_that_would_mislead_is_refused(tmp_path: Path, entry: str, complaint: str) -> None:
    po = tmp_path / "stb_pay.po"
    po.write_text(PO_HEAD + entry, encoding="utf-8")
    with pytest.raises(make_locale.BadCatalogue, match=complaint):
        make_locale.compile_catalogue(po)
    assert not po.with_suffix(".mo").exists()


# --- set-up ---------------------------------------------------------------------------------------


def test_every_package_asked_for_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    assert all("==" in pin and "/" not in pin and " " not in pin for pin in pins), "name==version, no host"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*wanted["dependencies"], *wanted["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>\[]", name)[0].lower() for name in asked} <= pinned


def scratch_setup(tmp_path: Path, stamp_group: str) -> Path:
    """A tree whose set-up was done for `stamp_group`, as far as `scripts/setup` can tell."""
    for name in ("scripts", "assets"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    key = run(
        "bash",
        "-c",
        'echo "$(cat pyproject.toml constraints.txt scripts/setup scripts/make_*.py | cksum) $PWD"',
        cwd=tmp_path,
    ).stdout
    (tmp_path / ".venv" / ".stb-setup").write_text(f"{stamp_group}\n{key}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("done", "asked"), [("run", "run"), ("test", "run"), ("test", "test")])
def test_a_second_start_takes_no_installation_step(tmp_path: Path, done: str, asked: str) -> None:
    tree = scratch_setup(tmp_path, done)
    # With nothing but bash's own commands and these two on the path, an installation step would fail.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "cksum", "dirname"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    bash = shutil.which("bash")
    assert bash
    second = run(bash, "scripts/setup", asked, cwd=tree, PATH=str(tools))
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def with_tools(tmp_path: Path, **scripts: str) -> tuple[str, str]:
    """bash, and a path with nothing on it but what set-up cannot do without, and these shell scripts."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "cksum", "dirname", "env", "mktemp", "rm"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    scripts = {
        "python3": f'exec "{sys.executable}" "$@"',
        "dpkg-query": "echo not-installed",
        "apt-get": "exit 0",
        "id": "echo 0",
        **scripts,
    }
    for name, script in scripts.items():
        (tools / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name.replace("_", "-")).chmod(0o755)
    bash = shutil.which("bash")
    assert bash
    return bash, str(tools)


def test_without_root_and_sudo_set_up_names_the_command(tmp_path: Path) -> None:
    tree = scratch_setup(tmp_path, "none")
    bash, path = with_tools(tmp_path, id="echo 1000")
    refused = run(bash, "scripts/setup", "run", cwd=tree, PATH=path)
    assert refused.returncode == 1
    assert "missing libpcsclite-dev: PC/SC headers, to build pyscard\n" in refused.stderr
    assert "missing vsmartcard-vpcd: the virtual reader that 'stb-card insert'" in refused.stderr
    assert "35963 of every address" in refused.stderr
    assert "xvfb" not in refused.stderr, "what only tests need is for make test"
    assert "have an administrator run: apt-get update && apt-get install" in refused.stderr
    for package in ("libpcsclite-dev", "vsmartcard-vpcd"):
        assert package in refused.stderr.splitlines()[-1]


def test_a_package_that_the_sources_lack_is_named_with_where_ubuntu_has_it(tmp_path: Path) -> None:
    tree = scratch_setup(tmp_path, "none")
    bash, path = with_tools(tmp_path, apt_cache='[ "$2" = vsmartcard-vpcd ] || echo "Package: $2"')
    refused = run(bash, "scripts/setup", "run", cwd=tree, PATH=path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "package sources have no vsmartcard-vpcd; on Ubuntu it is in universe" in refused.stderr


def test_where_the_browser_is_a_snap_and_there_is_no_snapd_set_up_does_not_wait(tmp_path: Path) -> None:
    tree = scratch_setup(tmp_path, "none")
    bash, path = with_tools(
        tmp_path,
        apt_cache='[ "$2" = chromium ] || echo "Package: $2"',
        # As in a container: the command is there, what it starts is not.
        chromium_browser="exit 1",
    )
    refused = run(bash, "scripts/setup", "test", cwd=tree, PATH=path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no snapd runs here" in refused.stderr
    assert "google-chrome-stable" in refused.stderr


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    tree = scratch_setup(tmp_path, "none")
    refused = run("bash", "scripts/setup", "run", cwd=tree, PYTHON="/bin/false")
    assert refused.returncode == 1
    assert refused.stderr == "setup: PYTHON=/bin/false is not a working Python 3.11 or newer\n"


# --- the floors -----------------------------------------------------------------------------------

# Contract, module to write, forbidden import in it.
VIOLATIONS = [
    ("Television: imports go down the floors only", "stb_app/kit/zz.py", "import stb_app.shell"),
    ("Television: imports go down the floors only", "stb_app/journeys/zz.py", "import screens"),
    ("Television: imports go down the floors only", "stb_app/tsp/zz.py", "import stb_app.kit"),
    ("Server: imports go down the floors only", "server_stub/foundation/zz.py", "import server_stub.wallets"),
    ("Server: imports go down the floors only", "server_stub/boss/zz.py", "import server_stub.tsp"),
    ("The television never imports the server", "stb_app/shell/zz.py", "import server_stub.foundation"),
    ("The server never imports the television", "server_stub/sandbox/zz.py", "import screens"),
    ("Cards know nobody else", "cardreader/zz.py", "import assets"),
    ("Screens do no input or output", "screens/zz.py", "import requests"),
    ("Journeys and the payment client draw nothing", "stb_app/journeys/zy.py", "import pygame"),
]


def test_every_contract_of_the_floors_can_fail(tmp_path: Path) -> None:
    for name in PACKAGES:
        for folder in (ROOT / name).rglob("__init__.py"):
            target = tmp_path / folder.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    command = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"

    clean = run(sys.executable, "-c", command, cwd=tmp_path, PYTHONPATH=str(tmp_path), COLUMNS="200")
    assert clean.returncode == 0, clean.stdout
    assert "BROKEN" not in clean.stdout

    for _, module, line in VIOLATIONS:
        (tmp_path / module).write_text(line + "\n", encoding="utf-8")
    broken = run(sys.executable, "-c", command, cwd=tmp_path, PYTHONPATH=str(tmp_path), COLUMNS="200")
    assert broken.returncode == 1
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    names = [contract["name"] for contract in contracts["contracts"]]
    assert not [name for name in names if f"{name} BROKEN" not in broken.stdout]
    for contract, module, line in VIOLATIONS:
        assert any(name.startswith(contract) for name in names)
        importer = module.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {line.removeprefix('import ')}" in broken.stdout, contract
