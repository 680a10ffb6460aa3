"""Files of a generation are those that were written, or are not loaded."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.storage.seal import SEAL, check_seal, seal, sealed_directory


@pytest.fixture
def folder(tmp_path):
    with sealed_directory(tmp_path / "g1") as scratch:
        (scratch / "weights.bin").write_bytes(bytes(range(256)))
        (scratch / "inner").mkdir()
        (scratch / "inner" / "a name.json").write_text("{}")
    return tmp_path / "g1"


def test_what_was_written_is_loaded(folder):
    check_seal(folder, "train again")
    assert len((folder / SEAL).read_text().splitlines()) == 2
    (folder / SEAL).unlink()
    check_seal(folder, "train again")  # of an earlier version
    seal(folder)
    check_seal(folder, "train again")


@pytest.mark.parametrize("name", ["weights.bin", "inner/a name.json"])
def test_what_is_torn_changed_or_gone_is_named(folder, name):
    file = folder / name
    whole = file.read_bytes()
    for broken in (whole[:-1], b"\x07" + whole[1:], b""):
        file.write_bytes(broken)
        with pytest.raises(InvalidInput, match="cut short or changed") as told:
            check_seal(folder, "train again")
        assert told.value.file == str(file)
        assert told.value.remedy == "restore it from a backup, train again"
    file.unlink()
    with pytest.raises(InvalidInput, match="missing"):
        check_seal(folder, "train again")


@pytest.mark.parametrize(
    "text", [b"", b"nothing like it\n", b"\xfe\x00\xff", b"\n", "one line less its end"]
)
def test_a_seal_that_is_none_is_named(folder, text):
    whole = (folder / SEAL).read_bytes()
    (folder / SEAL).write_bytes(whole[:-1] if isinstance(text, str) else text)
    with pytest.raises(InvalidInput, match="cut short or changed") as told:
        check_seal(folder, "train again")
    assert told.value.file == str(folder / SEAL)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not there")
def test_the_usual_tool_checks_it_too(folder):
    subprocess.run(["sha256sum", "--check", "--strict", SEAL], cwd=folder, check=True)
