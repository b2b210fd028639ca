# SPDX-License-Identifier: Apache-2.0
"""The supervisor does nothing for a target that the kernel would have refused it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import bare, compile_c, fake_output, need, python
from installed import FAKEROOT_SC, is_traced
from mounted import memory_at
from test_faults import REFUSE, refusal

OTHER_USER = 54321
# Comes into a user namespace of its own, without a map.
LEAVE = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def child(number, *arguments):
    pid = libc.syscall(number, *arguments)
    if pid > 0:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return pid
def leave(way):
    user = 0x10000000  # CLONE_NEWUSER
    size = 64
    wanted = ctypes.create_string_buffer(struct.pack("8Q", user, 0, 0, 0, 17, 0, 0, 0))
    failed = (libc.unshare(user) if way == "unshare" else
        child(56, ctypes.c_long(user | 17), 0, 0, 0, 0) if way == "clone" else
        child(435, wanted, ctypes.c_long(size)))
    if failed:
        print("closed", os.strerror(ctypes.get_errno()))
        os._exit(0)
"""

PROTECTED_SYMLINKS = Path("/proc/sys/fs/protected_symlinks")

# Mode 0400 is more than the kernel may be left alone with: the supervisor makes the file.
CREATE = """
import errno, os, sys
try:
    os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o400))
    print("made")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@contextlib.contextmanager
def _protecting(value: str) -> Iterator[None]:
    """The setting is the machine's: tests beside this one wait for their turn."""
    with (Path(tempfile.gettempdir()) / "fakeroot-sc-setting").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = PROTECTED_SYMLINKS.read_text()
        PROTECTED_SYMLINKS.write_text(value)
        try:
            yield
        finally:
            PROTECTED_SYMLINKS.write_text(before)


@pytest.fixture
def sticky(tmp_path: Path) -> Path:
    """A directory as /tmp, with another user's links."""
    place = tmp_path / "sticky"
    place.mkdir()
    place.chmod(0o1777)
    (place / "dangling").symlink_to(tmp_path / "made")
    (place / "away").symlink_to(tmp_path)
    for link in place.iterdir():
        os.chown(link, OTHER_USER, OTHER_USER, follow_symlinks=False)
    return place


@pytest.mark.root
@pytest.mark.parametrize("start", [[], ["unshare", "--mount"]], ids=["plain", "walked"])
def test_another_users_link_in_a_sticky_directory_leads_to_no_new_file(
    sticky: Path, start: list[str]
) -> None:
    """protected_symlinks of proc_sys_fs(5)."""
    command = [*start, *python(CREATE), str(sticky / "dangling")]
    with _protecting("1"):
        assert fake_output(command) == "EACCES\n"
    assert not (sticky.parent / "made").exists()
    with _protecting("0"):
        assert fake_output(command) == "made\n"


@pytest.mark.root
def test_another_users_link_in_a_sticky_directory_is_followed_on_the_way(sticky: Path) -> None:
    """It is a path's last link alone that is protected."""
    with _protecting("1"):
        command = [*python(CREATE), str(sticky / "away" / "new")]
        assert fake_output(command) == "made\n"
        assert fake_output(["mkdir", "-m", "0", str(sticky / "away" / "directory")]) == ""


def test_a_link_through_the_own_process_leads_where_the_kernel_would_go(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/self/cwd/new")
    assert fake_output([*python(CREATE), "link"], cwd=tmp_path) == "made\n"
    assert (tmp_path / "new").exists()


@pytest.mark.root
def test_a_mount_without_links_has_none_for_the_supervisor(tmp_path: Path) -> None:
    """MS_NOSYMFOLLOW, Linux 5.10."""
    with memory_at(tmp_path / "where", "nosymfollow") as where:
        (where / "link").symlink_to(tmp_path / "made")
        assert fake_output([*python(CREATE), str(where / "link")]) == "ELOOP\n"
        assert (
            fake_output(["unshare", "--mount", *python(CREATE), str(where / "link")]) == "ELOOP\n"
        )


TRY = """
import errno
def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(name, "done")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""

WITHOUT_RIGHTS = f"""{LEAVE}{TRY}
import stat
leave(sys.argv[1])
attempt("mknod", os.mknod, "others/node", 0o644)
attempt("device", os.mknod, "others/device", 0o644 | stat.S_IFCHR, 259)
attempt("open", os.open, "others/new", os.O_CREAT | os.O_WRONLY, 0o400)
attempt("mkdir", os.mkdir, "others/directory", 0o2000)
attempt("closed", os.open, "closed/new", os.O_CREAT | os.O_WRONLY, 0o400)
attempt("unlink", os.unlink, "others/file")
attempt("times", os.utime, "others/file", (1, 1))
attempt("own", os.mknod, "own", 0o644)
sys.stdout.flush()
if len(sys.argv) > 2:
    os._exit(0)
os.chmod("others/file", 0o777)
os.setxattr("others/file", "user.name", b"value")
os.chown("others/file", 5, 6)
print("owner", os.stat("others/file").st_uid)
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A directory with files of another user."""
    for name, mode in (("others", 0o755), ("closed", 0o700)):
        (tmp_path / name).mkdir(mode=mode)
        (tmp_path / name / "file").touch()
        (tmp_path / name / "file").chmod(0o644)
        for file in (tmp_path / name, tmp_path / name / "file"):
            os.chown(file, OTHER_USER, OTHER_USER)
    return tmp_path


@pytest.mark.root
@pytest.mark.parametrize("way", ["unshare", "clone", "clone3"])
def test_in_a_user_namespace_real_root_has_no_rights_by_its_supervisor(
    others: Path, way: str
) -> None:
    before = (others / "others" / "file").stat()
    command = python(WITHOUT_RIGHTS)
    refused = bare([*command, way, "bare"], cwd=others).stdout
    if "closed " in refused.splitlines()[0]:
        pytest.skip(f"user namespaces are closed here: {refused}")
    (others / "own").unlink()
    script = 'chown 5 others/file; "$@"'  # what has a record the supervisor removes
    shown = fake_output(["sh", "-euc", script, "sh", *command, way], cwd=others)
    assert shown == refused.replace("device EPERM", "device EACCES") + "owner 5\n"
    after = (others / "others" / "file").stat()
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)
    assert os.listxattr(others / "others" / "file") == []
    assert [path.name for path in (others / "others").iterdir()] == ["file"]


SANDBOX = f"""{LEAVE}{TRY}
outside = os.getppid()
here = os.getcwd()
leave("unshare")
if libc.unshare(0x20000):  # CLONE_NEWNS
    print("closed")
    os._exit(0)
if libc.mount(b"/proc", b"jail/proc", None, 0x5000, None):  # MS_BIND | MS_REC
    print("closed")
    os._exit(0)
os.chroot("jail")
os.chdir("/")
create = os.O_CREAT | os.O_WRONLY
for way in (f"/proc/{{outside}}/root{{here}}", f"/proc/{{outside}}/cwd", "/link",
            f"/proc/{{outside}}/task/{{outside}}/cwd", f"/proc/{{outside}}/fd/9"):
    if way == "/link":
        os.symlink(f"/proc/{{outside}}/cwd", way)
    attempt("create", os.open, way + "/new", create, 0o400)
    attempt("mkdir", os.mkdir, way + "/directory", 0o2700)
    attempt("mode", os.chmod, way + "/file", 0o700)
    attempt("node", os.mknod, way + "/node", 0o644)
    attempt("attribute", os.setxattr, way + "/file", "user.name", b"value")
    attempt("remove", os.unlink, way + "/recorded")
    attempt("move", os.rename, "/mine", way + "/recorded")
    attempt("look", os.stat, way + "/file")
for own in ("self", "thread-self", os.getpid()):
    attempt("own", os.chmod, f"/proc/{{own}}/root/mine", 0o700)
    attempt("own", os.mknod, f"/proc/{{own}}/cwd/node-{{own}}", 0o644)
sys.stdout.flush()
os._exit(0)
"""


def test_a_sandbox_is_not_left_by_the_links_of_processes_outside(tmp_path: Path) -> None:
    (tmp_path / "jail" / "proc").mkdir(parents=True)
    for name in ("file", "recorded", "jail/mine"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o640)
    script = 'exec 9<.; chown 5 recorded; "$@"; stat -c %n:%a:%u file recorded'
    inside = ["sh", "-euc", script.replace("chown 5", ": chown 5"), "sh", *python(SANDBOX)]
    refused = bare(inside, cwd=tmp_path).stdout
    if refused.startswith("closed"):
        pytest.skip("user namespaces, in which an ordinary user makes sandboxes, are closed")
    for name in ("link", "node-self", "node-thread-self"):
        (tmp_path / "jail" / name).unlink()
    inside[2] = script
    shown = fake_output(inside, cwd=tmp_path)
    ids = f":{os.getuid()}"
    assert (
        shown.splitlines()
        == refused.replace(f"file:640{ids}", "file:640:0")
        .replace(f"recorded:640{ids}", "recorded:640:5")
        .splitlines()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "jail", "recorded"]
    assert not os.listxattr(tmp_path / "file")


RESTRICTED = f"""
import ctypes, os, socket, stat, struct, subprocess, sys, threading
{TRY}
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
ALL, LOOKING = 0x7fff, 0xd  # of files: LANDLOCK_ACCESS_FS_*; EXECUTE, READ_FILE, READ_DIR
def restrict(*places):
    handled = ctypes.create_string_buffer(struct.pack("Q", ALL))
    rules = libc.syscall(444, handled, ctypes.c_long(8), 0)
    if rules < 0:
        print("closed")
        os._exit(0)
    for place, rights in places:
        fd = os.open(place, os.O_PATH)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd))
        assert libc.syscall(445, rules, 1, rule, 0) == 0
        os.close(fd)
    assert libc.syscall(446, rules, 0) == 0
    os.close(rules)
def bind(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)
def temporary(place):
    os.close(os.open(place, os.O_TMPFILE | os.O_RDWR, 0o400))
def name_open_file(path):
    os.link("/proc/self/fd/9", path, follow_symlinks=True)
def program(*arguments):
    if subprocess.run(arguments, stderr=subprocess.DEVNULL).returncode:
        raise PermissionError(13, "")
def acts(who, place):
    create = os.O_CREAT | os.O_EXCL
    def one(name, call, *arguments):
        attempt(f"{{who}} {{place}} {{name}}", call, *arguments)
    one("write", os.open, f"{{place}}/{{who}}-write", create | os.O_WRONLY, 0o400)
    one("read", os.open, f"{{place}}/{{who}}-read", create | os.O_RDONLY, 0)
    one("node", os.mknod, f"{{place}}/{{who}}-node", 0o600)
    one("pipe", os.mkfifo, f"{{place}}/{{who}}-pipe", 0o600)
    one("directory", os.mkdir, f"{{place}}/{{who}}-directory", 0)
    one("link", os.symlink, "target", f"{{place}}/{{who}}-link")
    one("bind", bind, f"{{place}}/{{who}}-socket")
    one("temporary", temporary, place)
    one("name", name_open_file, f"{{place}}/{{who}}-name")
    one("remove", os.unlink, f"{{place}}/recorded-{{who}}")
    one("rename", os.rename, "in/mine", f"{{place}}/other-{{who}}")
    if place == "in":
        attempt("back", os.rename, f"{{place}}/other-{{who}}", "in/mine")
    one("program", program, "mknod", f"{{place}}/{{who}}-program", "p")
def everywhere(who, *places):
    for place in places:
        acts(who, place)
    sys.stdout.flush()
def child(who, *places):
    pid = os.fork()
    if pid == 0:
        everywhere(who, *places)
        os._exit(0)
    os.waitpid(pid, 0)
fd = os.open("in/mine", os.O_RDONLY)
os.dup2(fd, 9)
go, gone = threading.Event(), threading.Event()
def other():
    go.wait()
    os.mknod("out/thread-node")
    attempt("thread", os.open, "out/thread-new", os.O_CREAT | os.O_WRONLY, 0o400)
    gone.set()
threading.Thread(target=other, daemon=True).start()
restrict(("/", LOOKING), ("in", ALL), ("/dev", 0x6))
everywhere("self", "out", "in")
child("child", "out", "in")
go.set()
gone.wait()
restrict(("/", LOOKING), ("in/sub", ALL), ("/dev", 0x6))
everywhere("deeper", "out", "in", "in/sub")
child("grandchild", "out", "in", "in/sub")
"""


def _restricted_places(directory: Path) -> None:
    (directory / "in" / "sub").mkdir(parents=True)
    (directory / "out").mkdir()
    (directory / "in" / "mine").touch()
    for place in ("out", "in", "in/sub"):
        for who in ("self", "child", "deeper", "grandchild"):
            for name in ("recorded", "other"):
                (directory / place / f"{name}-{who}").touch()


def test_what_is_done_for_a_program_keeps_to_its_landlock_rules(tmp_path: Path) -> None:
    for side in ("bare", "fake"):
        _restricted_places(tmp_path / side)
    expected = bare(python(RESTRICTED), cwd=tmp_path / "bare")
    if expected.stdout == "closed\n":
        pytest.skip("this kernel has no Landlock")
    assert (expected.returncode, expected.stderr) == (0, "")
    script = 'chown 5:6 out/rec* out/oth* in/rec* in/oth* in/sub/*; chmod 2755 out in in/sub; "$@"'
    inside = ["sh", "-euc", script, "sh", *python(RESTRICTED)]
    shown = fake_output(inside, cwd=tmp_path / "fake")
    assert shown.splitlines() == expected.stdout.splitlines()
    names = [
        sorted(str(path.relative_to(tmp_path / side)) for path in (tmp_path / side).rglob("*"))
        for side in ("bare", "fake")
    ]
    assert names[0] == names[1]


PIDFD_GETFD, PTRACE = 438, 101


def test_where_the_rules_cannot_be_had_nothing_is_done_for_who_has_some(tmp_path: Path) -> None:
    """Docker's default profile refuses pidfd_getfd(2)."""
    _restricted_places(tmp_path)
    refuse = compile_c(tmp_path, "refuse", REFUSE)
    run = [refuse, refusal(PIDFD_GETFD, errno.EPERM), "--", FAKEROOT_SC, "--", "sh", "-euc"]
    done = bare([*run, 'chown 5 out/r*; "$@"', "sh", *python(RESTRICTED)], cwd=tmp_path)
    if done.stdout == "closed\n":
        pytest.skip("this kernel has no Landlock")
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    outside = [line.split() for line in shown if " out " in line]
    assert {line[-1] for line in outside} == {"EACCES", "EXDEV"}
    assert "self in node EACCES" in shown
    assert "self in remove done" in shown
    assert "self in temporary EACCES" in shown


# As Go's syscall.SysProcAttr: the parent writes the maps of a child that waits for it.
PARENT_MAPS = r"""
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int put(int child, const char *map, const char *text)
{
	char name[64];
	snprintf(name, sizeof(name), "/proc/%d/%s", child, map);
	int fd = open(name, O_RDWR);
	int size = (int)strlen(text);
	return fd < 0 || write(fd, text, size) != size || close(fd) ? perror(map), 1 : 0;
}

int main(int argc, char **argv)
{
	int ends[2];
	char byte, text[64];
	if (pipe(ends))
		return 2;
	long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) != 1)
			return 3;
		execvp(argv[1], argv + 1);
		return 4;
	}
	snprintf(text, sizeof(text), "0 %d 1\n", (int)getuid());
	int failed = put(child, "uid_map", text);
	snprintf(text, sizeof(text), "0 %d 1\n", (int)getgid());
	failed |= put(child, "gid_map", text);
	if (!failed && write(ends[1], "", 1) != 1)
		failed = 1;
	close(ends[1]);
	int status = 5 << 8;
	waitpid(child, &status, 0);
	return failed ? 6 : WEXITSTATUS(status);
}
"""

PYTHON_MAPS = """
import ctypes, os
uid, gid = os.getuid(), os.getgid()
if ctypes.CDLL(None).unshare(0x10000000):
    raise SystemExit("closed")
for name, text in ("uid_map", f"0 {uid} 1"), ("setgroups", "deny"), ("gid_map", f"0 {gid} 1"):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
os.execvp("sh", ["sh", "-euc", os.environ["WORK"]])
"""

SHELL_MAPS = """
exec 3>ready
unshare -U sh -euc 'echo >&3; read line <go; eval "$WORK"' &
read line <ready
echo deny >/proc/$!/setgroups
echo "0 $(id -u) 1" >/proc/$!/uid_map
echo "0 $(id -g) 1" >/proc/$!/gid_map
echo >go
wait
"""


@pytest.fixture
def open_namespaces() -> None:
    """A skip where user namespaces are closed."""
    done = bare([need("unshare", "util-linux"), "--user", "true"])
    if done.returncode:
        pytest.skip(f"user namespaces are closed here: {done.stderr.strip()}")


WORK = """
chown 5:6 file
stat -c %u:%g file
id -u
echo $(cat /proc/self/uid_map /proc/self/gid_map)
"""


@pytest.mark.usefixtures("open_namespaces")
@pytest.mark.parametrize(
    "way", ["unshare", "nested", "busybox", "bwrap", "python", "shell", "parent", "i386"]
)
def test_a_map_of_roots_ids_is_written_with_the_real_ones(tmp_path: Path, way: str) -> None:
    (tmp_path / "file").touch()
    work = ["sh", "-euc", WORK]
    os.mkfifo(tmp_path / "go")
    os.mkfifo(tmp_path / "ready")
    nested = ["unshare", "-Ur", *work]
    commands = {
        "unshare": lambda: ["unshare", "-Ur", *work],
        "nested": lambda: ["unshare", "-Ur", *nested],
        "busybox": lambda: [need("busybox", "busybox-static"), "unshare", "-U", "-r", *work],
        "bwrap": lambda: [
            need("bwrap", "bubblewrap"), "--unshare-user", "--dev-bind", "/", "/", *work
        ],
        "python": lambda: python(PYTHON_MAPS),
        "shell": lambda: ["sh", "-euc", SHELL_MAPS.replace("exec 3>ready", "exec 3<>ready")],
        "parent": lambda: [compile_c(tmp_path, "maps", PARENT_MAPS, "-static"), *work],
        "i386": lambda: [compile_c(tmp_path, "maps", PARENT_MAPS, "-static", "-m32"), *work],
    }  # fmt: skip
    environment = {**os.environ, "WORK": WORK}
    shown = fake_output(commands[way](), cwd=tmp_path, env=environment)
    maps = "0 0 1 0 0 1" if way == "nested" else f"0 {os.getuid()} 1 0 {os.getgid()} 1"
    assert shown == f"5:6\n0\n{maps}\n"
    assert (tmp_path / "file").stat().st_uid == os.getuid()


@pytest.mark.usefixtures("open_namespaces")
def test_where_no_tracer_can_be_had_a_line_says_why_the_map_is_refused(tmp_path: Path) -> None:
    if is_traced():
        pytest.skip("there the supervisor is the tracer")
    refuse = compile_c(tmp_path, "refuse", REFUSE)
    run = [refuse, refusal(PTRACE, errno.EPERM), "--", FAKEROOT_SC, "--"]
    done = bare([*run, "unshare", "-Ur", "true"], cwd=tmp_path)
    assert done.returncode == 1
    assert "uid_map: Operation not permitted" in done.stderr
    assert done.stderr.count("fakeroot-sc: ") == 1
    assert "ptrace" in done.stderr


@pytest.mark.parametrize(
    ("tool", "package", "rest"),
    [
        ("runuser", "util-linux", "-u daemon -- id -u"),
        ("busybox", "busybox-static", "su -s /bin/sh daemon -c 'id -u'"),
    ],
)
def test_programs_that_ask_no_passwords_become_another_user(
    tmp_path: Path, tool: str, package: str, rest: str
) -> None:
    command = f"{need(tool, package)} {rest}"
    assert fake_output(["sh", "-c", command], cwd=tmp_path) == "1\n"


@pytest.mark.usefixtures("open_namespaces")
def test_one_map_after_another_is_written(tmp_path: Path) -> None:
    """By several at once, who each stop for the same reaper."""
    work = "for i in 1 2 3 4 5 6 7 8 9; do unshare -Ur true; done"
    script = f"for j in 1 2 3 4; do sh -euc '{work}' & done; wait; echo done"
    assert fake_output(["sh", "-euc", script], cwd=tmp_path) == "done\n"


NAMED_AS_MAPS = """
import os
os.setresgid(777, 777, 777)
os.setresuid(888, 888, 888)
for name, number in (("uid_map", 888), ("gid_map", 777)):
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    os.close(fd)
    fd = os.open(name, os.O_RDWR)
    os.write(fd, f"0 {number} 1\\n".encode())
    os.write(fd, b"more\\n")
    print(os.pread(fd, 100, 0))
"""


def test_a_file_that_is_only_named_as_a_map_is_written_as_it_is() -> None:
    """On a device without a major number of its own, as /proc is on."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        shown = fake_output(python(NAMED_AS_MAPS), cwd=directory)
    assert shown == "b'0 888 1\\nmore\\n'\nb'0 777 1\\nmore\\n'\n"


READ_ONLY = f"""{LEAVE}{TRY}
if len(sys.argv) > 2:
    leave("unshare")
attributes = ctypes.create_string_buffer(struct.pack("4Q", 1, 0, 0, 0))  # MOUNT_ATTR_RDONLY
mount = sys.argv[1].encode()
if libc.unshare(0x20000) or libc.syscall(442, -100, mount, 0, attributes, ctypes.c_long(32)):
    print("closed", os.strerror(ctypes.get_errno()))
    os._exit(0)
here = os.getcwd()
for place in (here, "."):
    attempt("open", os.open, place + "/new", os.O_CREAT | os.O_WRONLY, 0o400)
    attempt("node", os.mknod, place + "/node", 0o644)
    attempt("remove", os.unlink, place + "/recorded")
    attempt("mode", os.chmod, place + "/recorded", 0o600)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize(
    "inside", ["of a user namespace", pytest.param("", marks=pytest.mark.root)]
)
def test_a_mount_that_is_read_only_to_a_target_alone_is_so_to_its_supervisor(
    tmp_path: Path, inside: str
) -> None:
    """mount_setattr(2) in a mount namespace of its own."""
    mount = next(str(path) for path in (tmp_path, *tmp_path.parents) if path.is_mount())
    (tmp_path / "recorded").touch()
    command = [*python(READ_ONLY), mount, *([inside] if inside else [])]
    script = 'chown 5 recorded; "$@"'
    shown = fake_output(["sh", "-euc", script, "sh", *command], cwd=tmp_path)
    if shown.startswith("closed"):
        pytest.skip(f"no mount can be changed here: {shown}")
    calls = ("open", "node", "remove", "mode")
    assert shown == 2 * "".join(f"{call} EROFS\n" for call in calls)
