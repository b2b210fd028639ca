# SPDX-License-Identifier: Apache-2.0
"""Packages and images: owners, modes, devices and capabilities end up in what is built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Run

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

SPEC = """
Name: sample
Version: 1
Release: 1
Summary: sample
License: none
BuildArch: noarch
%description
sample
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/var/lib/sample %{buildroot}/dev
echo text >%{buildroot}/usr/bin/ping
echo text >%{buildroot}/var/lib/sample/data
mknod %{buildroot}/dev/sample c 1 3
chown 7:8 %{buildroot}/var/lib/sample/data
%files
%caps(cap_net_raw=ep) %attr(0755,root,root) /usr/bin/ping
%attr(2770,games,mail) %dir /var/lib/sample
%attr(0640,daemon,adm) /var/lib/sample/data
%dev(c,1,3) %attr(0666,root,root) /dev/sample
"""

TABLE = """\
/dev d 755 0 0 - -
/dev/null c 666 0 0 1 3
/dev/sda b 660 0 6 8 0
/etc/shadow f 640 0 42 - -
/bin/ping f 4755 0 0 - -
/home/user d 2750 1000 1000 - -
"""

APPLY = """\
mkdir -p root/dev root/etc root/bin root/home/user
echo x >root/etc/shadow; cp /bin/true root/bin/ping
while read -r path type mode uid gid major minor; do
    case $type in
    c | b) mknod "root$path" "$type" "$major" "$minor" ;;
    esac
    chown "$uid:$gid" "root$path" && chmod "$mode" "root$path"
done <table
setcap cap_net_raw+ep root/bin/ping
"""


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program, path=PATH):
            pytest.skip(f"{program} is not installed")


def shell(run: Run, directory: Path, script: str) -> str:
    done = run("bash", "-ec", f"PATH={PATH}; {script}", cwd=directory)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_rpmbuild_packs_what_the_spec_says(run: Run, tmp_path: Path) -> None:
    need("rpmbuild", "rpm")
    (tmp_path / "sample.spec").write_text(SPEC)
    form = r"[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILECAPS}\n]"
    built = shell(
        run,
        tmp_path,
        f"rpmbuild -bb --quiet --define '_topdir {tmp_path}/top' sample.spec >&2;"
        f" rpm -qp --qf '{form}' top/RPMS/*/*.rpm",
    )
    shown = [line.split() for line in built.splitlines()]
    assert [line[:3] for line in shown] == [
        ["/dev/sample", "20666", "root:root"],
        ["/usr/bin/ping", "100755", "root:root"],
        ["/var/lib/sample", "42770", "games:mail"],
        ["/var/lib/sample/data", "100640", "daemon:adm"],
    ]
    assert "cap_net_raw" in built


@pytest.fixture
def device_table(tmp_path: Path) -> Path:
    need("setcap")
    (tmp_path / "table").write_text(TABLE)
    return tmp_path


def test_a_device_table_becomes_a_cpio_archive(run: Run, device_table: Path) -> None:
    need("cpio")
    pack = (
        "(cd root && find . | cpio -o -H newc --quiet >../out.cpio); cpio -itvn --quiet <out.cpio"
    )
    told = shell(run, device_table, APPLY + pack)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert any(line.startswith("crw-rw-rw- 1 0 0 1, 3") for line in lines)
    assert any(line.startswith("brw-rw---- 1 0 6 8, 0") for line in lines)
    assert any(line.startswith("-rw-r----- 1 0 42") for line in lines)
    assert any(line.startswith("-rwsr-xr-x 1 0 0") for line in lines)
    assert any(line.startswith("drwxr-s--- 2 1000 1000") for line in lines)


def test_a_device_table_becomes_a_squashfs(run: Run, device_table: Path) -> None:
    need("mksquashfs", "unsquashfs")
    pack = "mksquashfs root out -quiet >/dev/null 2>&1; unsquashfs -llnumeric out"
    lines = [" ".join(line.split()) for line in shell(run, device_table, APPLY + pack).splitlines()]
    assert any(line.startswith("crw-rw-rw- 0/0 1, 3") for line in lines)
    assert any(line.startswith("brw-rw---- 0/6 8, 0") for line in lines)
    assert any(line.startswith("-rw-r----- 0/42") for line in lines)
    assert any(line.startswith("drwxr-s--- 1000/1000") for line in lines)


def test_a_device_table_becomes_a_file_system(run: Run, device_table: Path) -> None:
    need("mke2fs", "debugfs")
    pack = (
        "mke2fs -q -t ext4 -d root out.img 4M;"
        " for f in dev/null dev/sda etc/shadow bin/ping home/user; do"
        ' debugfs -R "stat /$f" out.img 2>/dev/null | grep -E "Type|User|security|Device"; done'
    )
    told = shell(run, device_table, APPLY + pack)
    words = " ".join(told.split())
    assert "Type: character special Mode: 0666" in words
    assert "Type: block special Mode: 0660" in words
    assert "User: 0 Group: 6" in words and "User: 0 Group: 42" in words
    assert "Mode: 04755" in words and "Mode: 02750" in words
    assert "User: 1000 Group: 1000" in words
    assert "security.capability" in words
