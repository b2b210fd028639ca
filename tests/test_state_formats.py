# SPDX-License-Identifier: Apache-2.0
"""The formats that states are exported to and imported from, and what other programs read."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import attrs
import harness
import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, need
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from installed import STATE_TOOL as STATE

from fakeroot_sc import State, StateError
from fakeroot_sc.state import formats
from fakeroot_sc.state.archives import tar
from fakeroot_sc.state.formats.bind import overlaid
from fakeroot_sc.state.formats.listed import Listed
from fakeroot_sc.state.look import Look
from fakeroot_sc.state.tree import Entry, Walk, by_number

TEXTS = ("mtree", "json", "makedevs", "squashfs-pseudo", "tmpfiles")

BYTES = st.sampled_from([*(b"%c" % each for each in b"ab \n\\\"'#%*[-=\xff\t\x01~:,"), b"\xc3\xa9"])
NAMES = st.lists(BYTES, min_size=1, max_size=6).map(b"".join).map(os.fsdecode)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
IDS = st.sampled_from([0, 1, 1000, 3_000_000_000, 2**32 - 2])
XATTRS = st.dictionaries(
    st.sampled_from(["user.a", "trusted.b c", "security.capability", "user.=\\"]),
    st.sampled_from([b"", b"x", b"1=2", b"\0\xff", b"a b", b"%u"]),
    max_size=2,
)


def entry(path: str, mode: int, *, uid: int, gid: int, rdev: int, xattrs: Any) -> Entry:
    number = abs(hash(path)) % 2**40
    seen = Look(1, number, 3, mode, 0, 0, 1, 0, 1_700_000_000_123_456_789, 0)
    return Entry(os.fsencode(path), seen, mode, uid, gid, rdev, None, xattrs)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found = []
    for path in sorted(set(draw(st.lists(PATHS, max_size=5))) | {""}):
        kind = draw(st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK]))
        kind = stat.S_IFDIR if not path else kind
        device = kind in (stat.S_IFCHR, stat.S_IFBLK)
        found.append(
            entry(
                path,
                kind | draw(st.sampled_from([0, 0o644, 0o4755, 0o7777])),
                uid=draw(IDS),
                gid=draw(IDS),
                rdev=os.makedev(4095, 2**20 - 1) if device else 0,
                xattrs=draw(XATTRS),
            )
        )
    return found


def expected(one: Entry) -> Listed:
    device = stat.S_IFMT(one.mode) in (stat.S_IFCHR, stat.S_IFBLK)
    return Listed(
        one.path,
        one.uid,
        one.gid,
        stat.S_IMODE(one.mode),
        stat.S_IFMT(one.mode) if device else None,
        one.rdev,
        one.xattrs,
    )


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=harness.examples(80), deadline=None)
@given(tree=entries())
def test_what_is_written_is_read_again(name: str, tree: list[Entry]) -> None:
    if name == "makedevs":
        assume(not any(re.search(r"[\x00-\x20\x7f]", one.path) for one in tree))
    if name == "squashfs-pseudo":
        assume(not any("\n" in one.path for one in tree))
    form = formats.find(name).load()
    out = io.BytesIO()
    form.write(tree, out)
    out.seek(0)
    read = overlaid(form.read(out, "FILE"))
    assert read == {one.path: expected(one) for one in tree}


@settings(max_examples=harness.examples(60), deadline=None)
@given(tree=entries())
def test_a_cpio_archive_is_read_again(tree: list[Entry]) -> None:
    form = formats.find("cpio").load()
    out = io.BytesIO()
    form.write(tree, out)
    assert len(out.getvalue()) % 512 == 0
    out.seek(0)
    read = list(form.read(out, "FILE"))
    shown = {one.path: (one.uid, one.gid, one.mode, one.kind, one.rdev) for one in read}
    wanted = [expected(one) for one in tree]
    assert shown == {one.path: (one.uid, one.gid, one.mode, one.kind, one.rdev) for one in wanted}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("mtree", b"#mtree\n./a type=char mode=644\n", "line 2"),
        ("mtree", b"#mtree\n\n./a uid=none\n", "line 3"),
        ("mtree", b"../a type=file\n", "line 1"),
        ("mtree", b"#.xattr a=AA==\n", "line 1"),
        ("json", b'{"format": "fakeroot-sc", "version": 1, "files": [{"uid": 5}]}', "file 1"),
        ("json", b'{"format": "fakeroot-sc",\n', "line 2"),
        ("json", b"{}", "not a listing"),
        ("json", b'{"format": "fakeroot-sc", "version": 9, "files": []}', "version 9"),
        ("makedevs", b"/a f 755 0\n", "line 1"),
        ("makedevs", b"/a f 999 0 0 - - - - -\n", "line 1"),
        ("makedevs", b"/a x 755 0 0 - - - - -\n", "line 1"),
        ("squashfs-pseudo", b"# fine\na q 755 0 0\n", "line 2"),
        ("squashfs-pseudo", b"a c 755 0 0 1\n", "line 1"),
        ("tmpfiles", b"z /a 0755 nobody - -\n", "line 1"),
        ("tmpfiles", b"c /a 0755 0 0 - 13\n", "line 1"),
        ("tmpfiles", b"z /a/* 0755 0 0\n", "line 1"),
        ("fakeroot", b"dev=1,ino=2,mode=100644,uid=0,gid=0,nlink=1,rdev=0\nuid=1\n", "line 2"),
        ("fakeroot", b"dev=1,ino=2,mode=100644,uid=0,gid=0,nlink=1,rdev=0", "ends in the middle"),
        ("fakeroot", b"dev=1,ino=2,mode=100644,uid=4294967295,gid=0,nlink=1,rdev=0\n", "line 1"),
        ("tar", b"not a tar" * 100, "not a tar archive"),
        ("cpio", b"not a cpio" * 100, "not a cpio archive"),
        ("cpio", b"070701" + b"0" * 50, "ends in the middle"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_line(
    name: str, text: bytes, line: str
) -> None:
    form = formats.find(name).load()
    with pytest.raises(StateError, match=line) as caught:
        list(form.read(io.BytesIO(text), "FILE"))
    assert "FILE" in str(caught.value)


def test_a_file_of_another_format_is_told_as_what_it_looks_like(made: Path) -> None:
    for name in ("mtree", "tar", "cpio", "json", "fakeroot"):
        state("export", "s", "root", "--format", name, "-o", name, cwd=made)
    for name in ("mtree", "tar", "cpio", "json", "fakeroot"):
        for other in ("json", "fakeroot", "cpio", "tar", "makedevs"):
            done = bare([STATE, "import", "new", "root", name, "--format", other], cwd=made)
            if name != other:
                assert done.returncode == 2
                assert done.stderr.startswith(f"fakeroot-sc-state: {name}: ")
                assert done.stderr.endswith(f"; it looks like --format {name}\n")
                assert done.stderr.count("\n") == 1


def test_a_user_by_name_is_told_what_to_write() -> None:
    form = formats.find("mtree").load()
    with pytest.raises(StateError, match=r"FILE: line 2: uname: only root .* number of 'daemon'"):
        list(form.read(io.BytesIO(b"#mtree\n./a type=file uname=daemon\n"), "FILE"))


def test_an_unknown_format_is_told_with_those_there_are() -> None:
    with pytest.raises(StateError, match="mtree, tar"):
        formats.find("zip")


# ---- what other programs read ----

MAKE = """
mkdir -p root/bin root/dev 'root/with blank' root/empty; cd root
echo hi > bin/a; ln bin/a bin/hard; ln -s a bin/sym; cp /bin/true bin/tool
chown -R 5:6 bin; chown -h 8:9 bin/sym; chmod 4755 bin/tool; chmod 600 bin/a
mknod dev/null c 1 3; mknod dev/sda b 8 300; chmod 666 dev/null; chown 3000000000:7 dev/sda
mkfifo pipe; chown 7 pipe; touch 'with blank/x y' 'with blank/\\back' '\"quoted\"'
chown 11 'with blank/x y'; chmod 1777 empty; chown 12:13 empty; chown 1:2 .
"""
SBIN = "PATH=$PATH:/usr/sbin:/sbin; "
"""Where an ordinary user's shell may not look: setcap is there."""

XATTR = SBIN + "setcap cap_net_raw+ep root/bin/tool; setfattr -n trusted.t -v '1 2' root/empty"
EPOCH = {"SOURCE_DATE_EPOCH": "1000000000"}
LIST = (
    "cd {}; find . -mindepth 1 -printf '%p %y %m %U:%G %n %l\\n' | sort; "
    "stat -c '%n %t:%T %s' dev/* bin/*"
)


def state(*arguments: object, cwd: Path, status: int = 0, **more: Any) -> str:
    done = bare(
        [STATE, *(str(each) for each in arguments)],
        cwd=cwd,
        env={**os.environ, **EPOCH},
        **more,
    )
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return str(done.stdout)


def fake(script: str, cwd: Path, name: str = "s") -> str:
    done = bare([FAKEROOT_SC, "-p", name, "--", "sh", "-euc", script], cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    return str(done.stdout)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    need("setfattr", "attr")
    need("setcap", "libcap2-bin")
    fake(f"({MAKE}); {XATTR}", tmp_path)
    return tmp_path


def test_tar_reads_what_tar_would_have_written(made: Path) -> None:
    state("export", "s", "root", "--format", "tar", "-o", "ours.tar", cwd=made)
    theirs = "tar --sort=name --xattrs --xattrs-include='*' --format=pax -C root -cf theirs.tar ."
    fake(theirs, made)

    def listing(name: str) -> list[str]:
        done = bare(
            ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-tvvf", name], cwd=made
        )
        assert (done.returncode, done.stderr) == (0, "")
        return sorted(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", done.stdout).splitlines())

    assert listing("ours.tar") == listing("theirs.tar")


@pytest.mark.parametrize("reader", ["tar", "bsdtar", "busybox"])
def test_an_archive_unpacks_to_the_same_tree(made: Path, reader: str) -> None:
    need(reader, {"bsdtar": "libarchive-tools", "busybox": "busybox-static"}.get(reader, reader))
    state("export", "s", "root", "--format", "tar", "-o", "ours.tar", cwd=made)
    flags = {"tar": "--xattrs --xattrs-include='*' -xpf", "bsdtar": "-xpf", "busybox": "-xpf"}
    command = f"{reader}{' tar' if reader == 'busybox' else ''} {flags[reader]} ours.tar -C copy"
    fake(f"mkdir copy; {command}", made, "other")
    # busybox leaves links to whoever unpacks them, and knows no pax owners.
    plain = LIST.replace("-printf", "! -type l ! -name sda -printf")
    listing = plain if reader == "busybox" else LIST
    assert fake(listing.format("copy"), made, "other") == fake(listing.format("root"), made)
    if reader != "busybox":
        shown = SBIN + "cd {}; getcap bin/tool; getfattr -dm- empty"
        assert fake(shown.format("copy"), made, "other") == fake(shown.format("root"), made)


@pytest.mark.parametrize("reader", ["cpio -idm", "busybox cpio -idm", "bsdtar -xpf -"])
def test_a_cpio_archive_unpacks_to_the_same_tree(made: Path, reader: str) -> None:
    tool = reader.split()[0]
    need(tool, {"bsdtar": "libarchive-tools", "busybox": "busybox-static"}.get(tool, tool))
    state("export", "s", "root", "--format", "cpio", "-o", "ours.cpio", cwd=made)
    fake(f"mkdir copy; cd copy; {reader} < ../ours.cpio 2>/dev/null", made, "other")
    listing = LIST.replace("-printf", "! -type l -printf") if tool == "busybox" else LIST
    assert fake(listing.format("copy"), made, "other") == fake(listing.format("root"), made)


def test_bsdtar_reads_our_mtree_and_we_read_bsdtar_s(made: Path) -> None:
    need("bsdtar", "libarchive-tools")
    state("export", "s", "root", "--format", "mtree", "-o", "ours.mtree", cwd=made)
    # bsdtar takes the content of files from where the listing says they are.
    done = bare(["bsdtar", "-C", "root", "--numeric-owner", "-tvf", "ours.mtree"], cwd=made)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[-1]: line.split() for line in done.stdout.splitlines()}
    assert lines["./dev/null"][:6] == ["crw-rw-rw-", "0", "0", "0", "1,3", lines["./dev/null"][5]]
    assert lines["./bin/tool"][:4] == ["-rwsr-xr-x", "0", "5", "6"]
    assert lines["./dev/sda"][2:4] == ["3000000000", "7"]
    fake("bsdtar --format=mtree --options='mtree:all' -cf theirs.mtree -C root .", made)
    bare(["cp", "-r", "root", "copy"], cwd=made)
    state("import", "new", "copy", "theirs.mtree", "--format", "mtree", cwd=made)
    assert fake(LIST.format("copy"), made, "new") == fake(LIST.format("root"), made)


def test_mksquashfs_takes_our_pseudo_file(made: Path) -> None:
    need("mksquashfs", "squashfs-tools")
    state("export", "s", "root", "--format", "squashfs-pseudo", "-o", "pf", cwd=made)
    script = (
        "sed -n 's/^# exclude: //p' pf > list; mksquashfs root image -quiet -no-progress "
        "-no-xattrs -pf pf -ef list $(sed -n 's/^# options: //p' pf); unsquashfs -llnumeric image"
    )
    done = bare(["sh", "-ec", script], cwd=made)
    assert done.returncode == 0, done
    shown = {
        line.split("squashfs-root", 1)[1].split(" -> ")[0]: line.split()[:2]
        for line in done.stdout.splitlines()
        if "squashfs-root" in line
    }
    assert shown[""] == ["drwxr-xr-x", "1/2"]
    assert shown["/dev/null"] == ["crw-rw-rw-", "0/0"]
    assert shown["/dev/sda"] == ["brw-r--r--", "3000000000/7"]
    assert shown["/bin/tool"] == ["-rwsr-xr-x", "5/6"]
    assert shown["/bin/sym"] == ["lrwxrwxrwx", "8/9"]
    assert shown["/with blank/x y"] == ["-rw-r--r--", "11/0"]
    assert shown["/empty"] == ["drwxrwxrwt", "12/13"]


def test_systemd_tmpfiles_makes_the_same_tree(made: Path) -> None:
    need("systemd-tmpfiles", "systemd")
    # It goes from no other user's directory to a file that is not that user's.
    fake("chown 0:0 root; chown 0 root/bin", made)
    state("export", "s", "root", "--format", "tmpfiles", "-o", "tree.conf", cwd=made)
    bare(["cp", "-r", "root", "copy"], cwd=made)
    done = bare(
        [
            *(FAKEROOT_SC, "-p", "new", "--"),
            *("systemd-tmpfiles", "--create", f"--root={made}/copy", f"{made}/tree.conf"),
        ],
        cwd=made,
    )
    assert done.returncode == 0, done
    listing = "cd {}; find . ! -type l -printf '%p %y %m %U:%G\\n' | sort"
    assert fake(listing.format("copy"), made, "new") == fake(listing.format("root"), made)


def test_genext2fs_and_makedevs_read_our_table(made: Path) -> None:
    bare(["rm", "-r", "root/with blank"], cwd=made)
    state("export", "s", "root", "--format", "makedevs", "-o", "table", cwd=made)
    lines = (made / "table").read_text().splitlines()
    assert "/dev/null c 666 0 0 1 3 - - -" in lines
    assert "/bin/tool f 4755 5 6 - - - - -" in lines
    tool = need("genext2fs", "genext2fs")
    debugfs = need("debugfs", "e2fsprogs")
    script = (
        "cp -r root copy; sed -n 's/^# placeholder: //p' table | (cd copy && xargs rm); "
        f"{tool} -b 1024 -d copy -D table image; "
        f'for f in /dev/null /dev/sda /bin/tool /pipe; do {debugfs} -R "stat $f" image; done'
    )
    done = bare(["sh", "-ec", script], cwd=made)
    assert done.returncode == 0, done
    shown = re.sub(r" +", " ", done.stdout)
    for told in (
        "Type: character special Mode: 0666",
        "Device major/minor number: 01:03",
        "Type: block special Mode: 0644",
        "Type: regular Mode: 04755",
        "User: 5 Group: 6",
        "Type: FIFO",
    ):
        assert told in shown


def test_names_that_a_format_cannot_hold_are_refused(made: Path) -> None:
    (made / "root/line\nend").touch()
    for name in ("makedevs", "squashfs-pseudo"):
        assert not state("export", "s", "root", "--format", name, "-o", "o", cwd=made, status=2)
        assert not (made / "o").exists()


def test_what_fakeroot_s_format_cannot_hold_is_told_once(made: Path) -> None:
    command = [STATE, "export", "s", "root", "--format", "fakeroot", "-o", "saved"]
    done = bare(command, cwd=made)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "no extended attributes: 2 files lose theirs" in done.stderr


def test_fakeroot_and_we_exchange_files(made: Path) -> None:
    need("fakeroot", "fakeroot")
    state("export", "s", "root", "--format", "fakeroot", "-o", "saved", cwd=made)
    listing = LIST.format("root")
    theirs = bare(["fakeroot", "-i", "saved", "--", "sh", "-ec", listing], cwd=made)
    # In what fakeroot knows of them, devices keep the size of the real files.
    assert theirs.stdout == fake(listing, made)
    change = "chown 77:78 root/bin/a; mknod root/dev/tty c 5 0; chmod 600 root/pipe"
    saved = bare(["fakeroot", "-i", "saved", "-s", "theirs", "--", "sh", "-ec", change], cwd=made)
    assert saved.returncode == 0
    state("import", "new", "root", "theirs", "--format", "fakeroot", cwd=made)
    shown = fake(f"{listing}; stat -c %u:%g:%t bin/hard dev/tty", made, "new")
    assert "77:78:0\n0:0:5" in shown


def test_pseudo_s_database_is_read(tmp_path: Path) -> None:
    need("pseudo", "pseudo")
    (tmp_path / "root").mkdir()
    script = "cd root; touch a b; chown 5:6 a; chmod 4711 b; mknod n c 1 3"
    place = {"PSEUDO_LOCALSTATEDIR": str(tmp_path / "db"), "PSEUDO_PREFIX": "/usr"}
    done = bare(
        ["timeout", "-s", "KILL", "30", "pseudo", "sh", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, **place},
    )
    bare(["timeout", "30", "pseudo", "-S"], cwd=tmp_path, env={**os.environ, **place})
    if done.returncode or not (tmp_path / "db/files.db").exists():
        pytest.skip(f"pseudo does not run here: {done.stderr}")
    state("import", "s", "root", "db/files.db", "--format", "pseudo", cwd=tmp_path)
    shown = fake("cd root; stat -c '%n %u:%g %a %F' *", tmp_path)
    assert shown.splitlines() == [
        "a 5:6 644 regular empty file",
        "b 0:0 4711 regular empty file",
        "n 0:0 644 character special file",
    ]


def pseudo_tree(place: Path) -> dict[str, str]:
    """A tree that pseudo has changed, whose server is still there; its environment."""
    (place / "root").mkdir()
    environment = {
        **os.environ,
        "PSEUDO_LOCALSTATEDIR": str(place / "db"),
        "PSEUDO_PREFIX": "/usr",
    }
    script = "cd root; touch a; chown 5:6 a"
    command = ["timeout", "-s", "KILL", "30", "pseudo", "sh", "-ec", script]
    done = bare(command, cwd=place, env=environment)
    if done.returncode or not (place / "db/files.db").exists():
        pytest.skip(f"pseudo does not run here: {done.stderr}")
    return environment


def test_a_pseudo_server_that_still_has_it_all_in_memory_is_told(tmp_path: Path) -> None:
    need("pseudo", "pseudo")
    environment = pseudo_tree(tmp_path)
    command = [STATE, "import", "s", "root", "db/files.db", "--format", "pseudo"]
    try:
        done = bare(command, cwd=tmp_path)
        if done.returncode == 0:  # its server has written by then
            assert done.stdout.startswith("2 files found, 1 records")
        else:
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith(
                "fakeroot-sc-state: db/files.db: a pseudo server is using"
            )
            assert done.stderr.count("\n") == 1
            assert not (tmp_path / "s").exists()
    finally:
        bare(["timeout", "30", "pseudo", "-S"], cwd=tmp_path, env=environment)
    assert "1 records" in state(
        "import", "s", "root", "db/files.db", "--format", "pseudo", cwd=tmp_path
    )
    assert fake("stat -c %u:%g root/a", tmp_path) == "5:6\n"


@pytest.mark.parametrize("log", ["wal", "journal"])
@pytest.mark.parametrize("writable", [True, False])
def test_what_a_killed_pseudo_server_left_is_read(log: str, writable: bool, tmp_path: Path) -> None:
    """Where the log cannot be put into the file, too."""
    (tmp_path / "root").mkdir()
    name = os.fsencode(tmp_path / "root") + b"/\xff"
    os.close(os.open(name, os.O_CREAT))
    seen = os.stat(name)  # noqa: PTH116 - bytes
    (tmp_path / "live").mkdir()
    database = sqlite3.connect(tmp_path / "live/files.db")
    database.execute(f"PRAGMA journal_mode = {'WAL' if log == 'wal' else 'DELETE'}")
    database.execute("PRAGMA cache_size = 1")
    database.execute(
        "CREATE TABLE files (id INTEGER PRIMARY KEY, path VARCHAR, dev INTEGER, ino INTEGER,"
        " uid INTEGER, gid INTEGER, mode INTEGER, rdev INTEGER, deleting INTEGER)"
    )
    row = "INSERT INTO files VALUES (NULL, CAST(? AS TEXT), ?, ?, ?, 6, ?, 0, 0)"
    database.execute(row, (name, seen.st_dev, seen.st_ino, 5, seen.st_mode))
    database.commit()
    # Not committed, and yet in the file: it is to be undone.
    database.execute("UPDATE files SET uid = 99")
    for number in range(2000 if log == "journal" else 0):
        database.execute(row, (b"/none" * 20, 1, number, 7, seen.st_mode))
    place = tmp_path / "left"
    place.mkdir()
    for each in (tmp_path / "live").iterdir():
        if not each.name.endswith("-shm"):
            shutil.copy(each, place / each.name)
    database.close()
    assert (place / f"files.db-{log}").exists()
    if not writable:
        (place / "files.db").chmod(0o400)
        place.chmod(0o500)
    try:
        said = state("import", "s", "root", place / "files.db", "--format", "pseudo", cwd=tmp_path)
    finally:
        place.chmod(0o700)
    assert said == "1 files found, 1 records\n"
    with State.open(tmp_path / "s") as kept:
        assert [(one.uid, one.gid, os.fsencode(one.path or "")) for one in kept] == [(5, 6, name)]


# ---- archives ----


def test_a_tar_archive_holds_what_ustar_cannot(tmp_path: Path) -> None:
    long = "d" * 150 + "/" + "n" * 200
    (tmp_path / "root" / ("d" * 150)).mkdir(parents=True)
    (tmp_path / "root" / long).write_text("content")
    (tmp_path / "root/link").symlink_to("t" * 300)
    os.utime(tmp_path / "root/link", (9_000_000_000, 9_000_000_000), follow_symlinks=False)
    fake(f"chown 3000000000:4000000000 root/{long}; touch -d @-5 root/{long}", tmp_path)
    done = bare(
        [STATE, "export", "s", "root", "--format", "tar", "-o", "o.tar"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = bare(["tar", "--numeric-owner", "-tvf", "o.tar"], cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(rf"3000000000/4000000000 +7 1969-12-31 23:59 ./{long}\n", shown.stdout)
    assert f"2255-03-14 16:00 ./link -> {'t' * 300}" in shown.stdout


def test_sparse_files_stay_sparse_and_their_copies_make_the_same_archive(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"middle")
        file.truncate(9_000_000_000)
    (root / "ends").write_bytes(bytes(200_000) + b"end")
    (root / "all zeros").write_bytes(bytes(100_000))
    fake("true", tmp_path)
    state("export", "s", "root", "--format", "tar", "-o", "a.tar", cwd=tmp_path)
    assert (tmp_path / "a.tar").stat().st_size <= 40960
    bare(["mkdir", "copy"], cwd=tmp_path)
    done = bare(["tar", "-xf", "../a.tar"], cwd=tmp_path / "copy")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "copy/sparse").stat().st_size == 9_000_000_000
    assert (tmp_path / "copy/sparse").stat().st_blocks < 1000
    with (tmp_path / "copy/sparse").open("rb") as file:
        file.seek(3_000_000)
        assert file.read(7) == b"middle\0"
    for name in ("ends", "all zeros"):
        assert (tmp_path / "copy" / name).read_bytes() == (root / name).read_bytes()
    filled = tmp_path / "filled"
    filled.mkdir()
    for name in ("ends", "all zeros"):
        (filled / name).write_bytes((root / name).read_bytes())
    (root / "sparse").unlink()
    for each in (root, filled):
        state("export", "s", each, "--format", "tar", "-o", f"{each}.tar", cwd=tmp_path)
    assert Path(f"{root}.tar").read_bytes() == Path(f"{filled}.tar").read_bytes()


def test_a_file_that_cannot_be_read_leaves_no_archive(made: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    for name, why in (("bin/a", "cannot read"), ("bin", "cannot list")):
        (made / "root" / name).chmod(0)
        said = bare([STATE, "export", "s", "root", "--format", "tar", "-o", "o"], cwd=made)
        (made / "root" / name).chmod(0o700)
        assert said.returncode == 2
        assert f"root/{name}: {why}: Permission denied" in said.stderr
        assert not (made / "o").exists()


def pax_records(raw: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, each as long as it says."""
    found = {}
    while raw:
        length = int(raw[: raw.index(b" ")])
        record, raw = raw[:length], raw[length:]
        assert record.endswith(b"\n")
        key, _, value = record[record.index(b" ") + 1 : -1].partition(b"=")
        found[key] = value
    return found


def test_pax_records_count_their_own_length(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    sizes = [*range(0, 130), *range(950, 1000), *range(9950, 9990), 65536]
    with State.open(tmp_path / "s") as kept, kept.transaction():
        for size in sizes:
            (tmp_path / f"root/{size}").touch()
            kept.change(tmp_path / f"root/{size}", xattrs={"trusted.a": b"v" * size})
    state("export", "s", "root", "--format", "tar", "-o", "o.tar", cwd=tmp_path)
    seen = []
    with (tmp_path / "o.tar").open("rb") as file:
        while (head := file.read(512)) != bytes(512):
            body = file.read(-(-int(head[124:135], 8) // 512) * 512)
            if head[156:157] == b"x":
                records = pax_records(body[: int(head[124:135], 8)])
                seen.append(len(records[b"SCHILY.xattr.trusted.a"]))
    assert sorted(seen) == sizes


# POSIX path names but for the slash; what a directory of this machine can hold.
TREES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map(tuple),
    st.tuples(st.sampled_from(["file", "directory", "device"]), IDS, IDS, XATTRS),
    max_size=6,
)


@settings(max_examples=harness.examples(40), deadline=None)
@given(tree=TREES)
def test_a_tar_archive_says_what_the_state_does(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[tuple[str, ...], Any]
) -> None:
    place = tmp_path_factory.mktemp("tar")
    root = place / "root"
    root.mkdir()
    wanted: dict[str, Listed] = {}
    with State.open(place / "s") as kept, (place / "o.tar").open("w+b") as out:
        for parts, (kind, uid, gid, xattrs) in sorted(tree.items()):
            path = root.joinpath(*parts)
            if path.exists() or any(above.is_file() for above in path.parents):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if kind == "directory" else path.write_text("content")
            device = (stat.S_IFBLK, os.makedev(4095, 2**20 - 1)) if kind == "device" else None
            record = kept.change(path, uid=uid, gid=gid, mode=0o4751, xattrs=xattrs, device=device)
            name = "/".join(parts)
            wanted[name] = Listed(name, uid, gid, 0o4751, record.kind, record.rdev, xattrs)
        walk = Walk(root, by_number(list(kept)), unread=lambda *what: pytest.fail(str(what)))
        assert tar.write(walk, out) == []
        out.seek(0)
        read = {one.path: one for one in tar.read(out, "FILE")}
    assert list(read) == [os.fsdecode(one) for one in expected_order(root)]
    for name, listed in wanted.items():
        assert attrs.evolve(read[name], group=None) == listed


def expected_order(root: Path) -> list[bytes]:
    """Parents first, siblings by their bytes."""
    found = [b""]

    def add(directory: Path, prefix: bytes) -> None:
        for path in sorted(directory.iterdir(), key=os.fsencode):
            found.append(prefix + os.fsencode(path.name))
            if path.is_dir():
                add(path, prefix + os.fsencode(path.name) + b"/")

    add(root, b"")
    return found


def test_a_deep_tree_is_packed(tmp_path: Path) -> None:
    depth, place = 500, os.open(tmp_path, os.O_RDONLY)
    os.mkdir("root", dir_fd=place)
    for name in ("root", *("d" * 20 for _ in range(depth))):
        if name != "root":
            os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    fake("true", tmp_path)
    state("export", "s", "root", "--format", "tar", "-o", "o.tar", cwd=tmp_path)
    listed = bare(["tar", "-tf", "o.tar"], cwd=tmp_path)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, depth + 1)


# ---- from one machine to another ----


def carry(made: Path, name: str, *, user: int | None = None) -> None:
    state("export", "s", "root", "--format", "tar", "-o", "first.tar", cwd=made)
    state("export", "s", "root", "--format", name, "-o", "listing", cwd=made)
    there = made / "there"
    there.mkdir()
    bare(["cp", "-r", made / "root", there / "tree"])
    bare(["cp", made / "listing", there / "listing"])
    options: dict[str, Any] = {}
    if user is not None:
        subprocess.run(["chown", "-R", f"{user}:{user}", there], check=True)
        options = {"user": user, "group": user, "extra_groups": []}
    state("import", "new", "tree", "listing", "--format", name, cwd=there, **options)
    state("export", "new", "tree", "--format", "tar", "-o", "second.tar", cwd=there, **options)
    assert (there / "second.tar").read_bytes() == (made / "first.tar").read_bytes()
    assert (there / "tree/bin/a").samefile(there / "tree/bin/hard")


@pytest.mark.parametrize("name", ["mtree", "json", "tar"])
def test_a_bare_copy_and_a_listing_make_the_same_archive_elsewhere(made: Path, name: str) -> None:
    carry(made, name)


@pytest.mark.root
def test_another_user_makes_the_same_archive(made: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="fsc-carry-") as name:
        open_to_all = Path(name)
        open_to_all.chmod(0o755)
        for each in made.iterdir():
            shutil.move(each, open_to_all)
        carry(open_to_all, "mtree", user=65533)


def test_two_exports_are_the_same_bytes(made: Path) -> None:
    for form in ("tar", "cpio", "mtree", "json", "squashfs-pseudo", "tmpfiles", "fakeroot"):
        once = [
            subprocess.run(
                [STATE, "export", "s", "root", "--format", form],
                cwd=made,
                stdout=subprocess.PIPE,
                timeout=PATIENCE,
                check=True,
            ).stdout
            for _ in range(2)
        ]
        assert once[0]
        assert once[0] == once[1]
