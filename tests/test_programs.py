"""Programs do the right thing under fakeroot-sc, however they reach the kernel."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import harness
import pytest
from commands import (
    FAKEROOT_SC,
    PYTHON,
    can_compile,
    compile_c,
    fake,
    fake_output,
    fake_script,
    need,
)

# One session makes the tree and looks at it: records live as long as the session.
MAKE_TREE = """
umask 022
mkdir -p root/bin root/dev root/etc root/home/user
chmod 755 root root/bin root/dev root/etc root/home
echo su >root/bin/su; chmod 4755 root/bin/su
echo mail >root/bin/mail; chown 0:8 root/bin/mail; chmod 2755 root/bin/mail
ln root/bin/su root/bin/sudo
ln -s su root/bin/alias; chown -h 5:6 root/bin/alias
mknod root/dev/null c 1 3; chmod 666 root/dev/null
mknod root/dev/sda b 8 16; chown 0:6 root/dev/sda; chmod 660 root/dev/sda
mknod root/dev/pipe p; chown 7:7 root/dev/pipe
echo motd >root/etc/motd
echo secret >root/etc/shadow; chown 0:42 root/etc/shadow; chmod 0 root/etc/shadow
echo hello >root/home/user/hello; chown 1234:5678 root/home/user/hello
chown 1234:5678 root/home/user; chmod 1700 root/home/user
"""

# path: (type as find -printf %y, mode, owner, group)
TREE = {
    "": ("d", 0o755, 0, 0),
    "bin": ("d", 0o755, 0, 0),
    "bin/alias": ("l", 0o777, 5, 6),
    "bin/mail": ("f", 0o2755, 0, 8),
    "bin/su": ("f", 0o4755, 0, 0),
    "bin/sudo": ("f", 0o4755, 0, 0),
    "dev": ("d", 0o755, 0, 0),
    "dev/null": ("c", 0o666, 0, 0),
    "dev/pipe": ("p", 0o644, 7, 7),
    "dev/sda": ("b", 0o660, 0, 6),
    "etc": ("d", 0o755, 0, 0),
    "etc/motd": ("f", 0o644, 0, 0),
    "etc/shadow": ("f", 0, 0, 42),
    "home": ("d", 0o755, 0, 0),
    "home/user": ("d", 0o1700, 1234, 5678),
    "home/user/hello": ("f", 0o644, 1234, 5678),
}
DEVICES = {"dev/null": (1, 3), "dev/sda": (8, 16)}

Listing = dict[str, tuple[str, int, int, int]]

LIST = "find {} -printf '%P|%y|%m|%U|%G\\n'"
LIST_DEVICES = "stat -c '%Hr %Lr' {0}/dev/null {0}/dev/sda"


def parse_listing(text: str) -> Listing:
    """From LIST's output to the form of TREE."""
    found: Listing = {}
    for line in text.splitlines():
        path, kind, mode, owner, group = line.split("|")
        found[path] = (kind, int(mode, 8), int(owner), int(group))
    return found


def assert_same_tree(output: str) -> None:
    """Checks what LIST and LIST_DEVICES printed, with a line ``--`` between."""
    listing, _, devices = output.partition("--\n")
    assert parse_listing(listing) == TREE
    if devices:
        assert [tuple(map(int, line.split())) for line in devices.splitlines()] == [
            DEVICES["dev/null"],
            DEVICES["dev/sda"],
        ]


def look_at(place: str) -> str:
    """The script whose output assert_same_tree() takes."""
    return f"{LIST.format(place)}; echo --; {LIST_DEVICES.format(place)}"


def tar_listing(archive: Path) -> Listing:
    """What Python's tarfile finds in an archive of TREE."""
    kinds = {
        tarfile.DIRTYPE: "d",
        tarfile.REGTYPE: "f",
        tarfile.LNKTYPE: "f",
        tarfile.SYMTYPE: "l",
        tarfile.CHRTYPE: "c",
        tarfile.BLKTYPE: "b",
        tarfile.FIFOTYPE: "p",
    }
    found: Listing = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            path = member.name.removeprefix(".").lstrip("/").removeprefix("root").lstrip("/")
            found[path] = (kinds[member.type], member.mode, member.uid, member.gid)
            if path in DEVICES:
                assert (member.devmajor, member.devminor) == DEVICES[path]
    return found


def test_find_shows_the_tree_as_it_was_made(tmp_path: Path) -> None:
    assert_same_tree(fake_script(MAKE_TREE + look_at("root"), tmp_path))


def test_nothing_privileged_is_on_the_disk_afterwards(tmp_path: Path) -> None:
    fake_script(MAKE_TREE, tmp_path)
    for path in [tmp_path / "root", *(tmp_path / "root").rglob("*")]:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid()), path
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        assert not stat.S_ISCHR(status.st_mode) and not stat.S_ISBLK(status.st_mode), path


@pytest.mark.parametrize(
    "command",
    ["tar cf out.tar root", "tar --format=posix -cf out.tar root", "tar -C root -cf out.tar ."],
)
def test_tar_stores_owners_modes_and_devices(tmp_path: Path, command: str) -> None:
    fake_script(MAKE_TREE + command, tmp_path)
    assert tar_listing(tmp_path / "out.tar") == TREE


def test_tar_extracts_what_it_stored(tmp_path: Path) -> None:
    fake_script(MAKE_TREE + "tar cf out.tar root", tmp_path)
    extract = "mkdir copy; tar -C copy --numeric-owner -xpf out.tar;"
    assert_same_tree(fake_script(extract + look_at("copy/root"), tmp_path))


def test_bsdtar_stores_and_extracts(tmp_path: Path) -> None:
    need("bsdtar", "libarchive-tools")
    fake_script(MAKE_TREE + "bsdtar --numeric-owner -cf out.tar root", tmp_path)
    assert tar_listing(tmp_path / "out.tar") == TREE
    extract = "mkdir copy; bsdtar -C copy --numeric-owner -xpf out.tar;"
    assert_same_tree(fake_script(extract + look_at("copy/root"), tmp_path))


def test_python_tarfile_stores_and_extracts(tmp_path: Path) -> None:
    store = "import tarfile; tar = tarfile.open('out.tar', 'w'); tar.add('root'); tar.close()"
    fake_script(MAKE_TREE + f'{sys.executable} -I -S -c "{store}"', tmp_path)
    assert tar_listing(tmp_path / "out.tar") == TREE
    extract = "import tarfile; tarfile.open('out.tar').extractall('copy', numeric_owner=True)"
    script = f'{sys.executable} -I -S -W ignore -c "{extract}";' + look_at("copy/root")
    assert_same_tree(fake_script(script, tmp_path))


@pytest.mark.parametrize("form", ["newc", "crc", "odc", "ustar"])
def test_cpio_stores_and_extracts(tmp_path: Path, form: str) -> None:
    need("cpio", "cpio")
    store = f"find root | cpio --quiet -o -H {form} >out.cpio;"
    extract = "mkdir copy; cd copy; cpio --quiet -idmu <../out.cpio;"
    assert_same_tree(fake_script(MAKE_TREE + store + extract + look_at("root"), tmp_path))


@pytest.mark.parametrize("command", ["cp -a root copy", "cp -dR --preserve=all root copy"])
def test_cp_copies_owners_modes_and_devices(tmp_path: Path, command: str) -> None:
    assert_same_tree(fake_script(f"{MAKE_TREE}{command}; {look_at('copy')}", tmp_path))


def test_a_copied_file_without_permissions_stays_readable(tmp_path: Path) -> None:
    assert fake_script(f"{MAKE_TREE}cp -a root copy; cat copy/etc/shadow", tmp_path) == "secret\n"


def test_make_runs_its_recipes(tmp_path: Path) -> None:
    need("make", "make")
    (tmp_path / "Makefile").write_text("all:\n\t@id -u; touch file; chown 12 file\n\t@id -g\n")
    assert fake_output(["make"], cwd=tmp_path) == "0\n0\n"


def test_mv_within_a_file_system_keeps_everything(tmp_path: Path) -> None:
    assert_same_tree(fake_script(f"{MAKE_TREE}mv root copy; {look_at('copy')}", tmp_path))


@pytest.mark.parametrize("flags", ["-aH", "-rlptgoDH --numeric-ids"])
def test_rsync_copies_owners_modes_and_devices(tmp_path: Path, flags: str) -> None:
    need("rsync", "rsync")
    script = f"{MAKE_TREE}rsync {flags} root/ copy/; {look_at('copy')}"
    assert_same_tree(fake_script(script, tmp_path))


def test_install_sets_owner_group_and_mode(tmp_path: Path) -> None:
    script = """
    echo text >source
    install -o 12 -g 34 -m 4751 source file
    install -d -o daemon -g sys -m 2775 directory
    install -D -m 644 source deep/in/file
    stat -c '%n %u:%g %a' file directory deep deep/in deep/in/file
    """
    assert fake_script(script, tmp_path).splitlines() == [
        "file 12:34 4751",
        "directory 1:3 2775",
        "deep 0:0 755",
        "deep/in 0:0 755",
        "deep/in/file 0:0 644",
    ]


def test_chown_and_chmod_recurse(tmp_path: Path) -> None:
    script = """
    mkdir -p top/deep; touch top/a top/deep/b; ln -s /nowhere top/link
    chown -R 12:34 top
    chmod -R u=rwX,g=rX,o= top
    chown --from=12:34 56 top/a
    chgrp -h 78 top/link
    find top -printf '%p %y %U:%G %m\\n' | sort
    """
    assert fake_script(script, tmp_path).splitlines() == [
        "top d 12:34 750",
        "top/a f 56:34 640",
        "top/deep d 12:34 750",
        "top/deep/b f 12:34 640",
        "top/link l 12:78 777",
    ]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("-uid 1234", ["home/user", "home/user/hello"]),
        ("-gid 42", ["etc/shadow"]),
        ("-uid 0 -gid 6", ["dev/sda"]),
        ("-perm -4000", ["bin/su", "bin/sudo"]),
        ("-perm /7000", ["bin/mail", "bin/su", "bin/sudo", "home/user"]),
        ("-perm 0", ["etc/shadow"]),
        ("-type c", ["dev/null"]),
        ("-type b", ["dev/sda"]),
        ("-type p", ["dev/pipe"]),
        ("-type l", ["bin/alias"]),
        ("-user daemon", []),
        ("-nouser -type d", ["home/user"]),
    ],
)
def test_find_tests_see_the_fake_tree(tmp_path: Path, test: str, expected: list[str]) -> None:
    output = fake_script(f"{MAKE_TREE}find root {test} -printf '%P\\n' | sort", tmp_path)
    assert output.splitlines() == expected


def test_ls_shows_owners_modes_and_devices(tmp_path: Path) -> None:
    output = fake_script(MAKE_TREE + "ls -ln root/dev root/bin root/etc", tmp_path)
    lines = {line.split()[-1]: line.split() for line in output.splitlines() if len(line) > 20}
    assert lines["null"][:6] == ["crw-rw-rw-", "1", "0", "0", "1,", "3"]
    assert lines["sda"][:6] == ["brw-rw----", "1", "0", "6", "8,", "16"]
    assert lines["pipe"][:4] == ["prw-r--r--", "1", "7", "7"]
    assert lines["sudo"][:4] == ["-rwsr-xr-x", "2", "0", "0"]
    assert lines["mail"][:4] == ["-rwxr-sr-x", "1", "0", "8"]
    assert lines["shadow"][:4] == ["----------", "1", "0", "42"]


def test_dpkg_deb_packs_the_fake_tree(tmp_path: Path) -> None:
    need("dpkg-deb", "dpkg")
    control = """
    mkdir -p root/DEBIAN
    printf 'Package: small\\nVersion: 1\\nArchitecture: all\\nMaintainer: A <a@b.c>\\n' \\
        >root/DEBIAN/control
    printf 'Description: small\\n' >>root/DEBIAN/control
    rm root/dev/pipe
    dpkg-deb -Znone --build root small.deb >/dev/null
    """
    fake_script(MAKE_TREE + control, tmp_path)
    # Outside: what dpkg-deb stored, not what fakeroot-sc would show.
    subprocess.run(
        "dpkg-deb --fsys-tarfile small.deb >fs.tar; dpkg-deb -c small.deb >contents",
        shell=True, cwd=tmp_path, check=True, timeout=30,
    )  # fmt: skip
    assert tar_listing(tmp_path / "fs.tar") == {
        path: entry for path, entry in TREE.items() if path != "dev/pipe"
    }
    contents = (tmp_path / "contents").read_text()
    assert "-rwsr-xr-x root/root " in contents
    assert "crw-rw-rw- root/root " in contents


def test_mksquashfs_packs_the_fake_tree(tmp_path: Path) -> None:
    need("mksquashfs", "squashfs-tools")
    need("unsquashfs", "squashfs-tools")
    fake_script(MAKE_TREE + "mksquashfs root out.sqfs -no-progress >/dev/null", tmp_path)
    listing = subprocess.run(
        ["unsquashfs", "-lln", tmp_path / "out.sqfs"],
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    found: Listing = {}
    for line in listing.splitlines():
        if "squashfs-root" not in line:
            continue
        mode, owner, *_ = line.split()
        path = line.split(" -> ")[0].rpartition("squashfs-root")[2].lstrip("/")
        uid, gid = map(int, owner.split("/"))
        found[path] = (mode[0].replace("-", "f"), parse_mode(mode), uid, gid)
    assert found == TREE


def parse_mode(text: str) -> int:
    """The 12 mode bits of a string like ``-rwsr-xr-x``."""
    bits = 0
    for position, letter in enumerate(text[1:10]):
        if letter not in "-ST":
            bits |= 0o400 >> position
    for position, bit in ((3, 0o4000), (6, 0o2000), (9, 0o1000)):
        if text[position] in "sStT":
            bits |= bit
    return bits


@pytest.mark.parametrize("applet", ["tar", "cpio", "cp"])
def test_static_busybox_copies_the_tree(tmp_path: Path, applet: str) -> None:
    need("busybox", "busybox-static")
    copy = {
        "tar": "busybox tar -cf out.tar root; mkdir copy; busybox tar -C copy -xpf out.tar",
        "cpio": "find root | busybox cpio -o -H newc >out 2>/dev/null; mkdir copy; cd copy;"
        "busybox cpio -idm <../out 2>/dev/null; cd ..",
        "cp": "mkdir copy; busybox cp -a root copy",
    }[applet]
    # Of these only cp copies the owner of a symbolic link, for real root too.
    link = "" if applet == "cp" else "chown -h 5:6 copy/root/bin/alias;"
    assert_same_tree(fake_script(f"{MAKE_TREE}{copy}; {link}{look_at('copy/root')}", tmp_path))


def test_static_busybox_sees_and_changes(tmp_path: Path) -> None:
    need("busybox", "busybox-static")
    script = """
    busybox touch file; busybox chown 12:34 file; busybox chmod 6711 file
    busybox stat -c '%u:%g %a' file; stat -c '%u:%g %a' file; busybox id -u
    busybox mknod device b 8 1; busybox stat -c '%F %t %T' device
    """
    assert fake_script(script, tmp_path).splitlines() == [
        "12:34 6711",
        "12:34 6711",
        "0",
        "block special file 8 1",
    ]


CHANGE_ONE_FILE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef RAW
#define chown(path, uid, gid) syscall(SYS_chown, path, uid, gid)
#define chmod(path, mode) syscall(SYS_chmod, path, mode)
#define mknod(path, mode, dev) syscall(SYS_mknod, path, mode, dev)
#define getuid() syscall(SYS_getuid)
#endif
int main(int argc, char **argv)
{
	struct stat st;
	close(open(argv[1], O_CREAT | O_WRONLY, 0644));
	if (chown(argv[1], 70001, 70002) || chmod(argv[1], 04711) || stat(argv[1], &st))
		return 1;
	if (st.st_uid != 70001 || st.st_gid != 70002 || st.st_mode != (S_IFREG | 04711))
		return 2;
	if (mknod(argv[2], S_IFBLK | 0640, makedev(8, 17)) || lstat(argv[2], &st))
		return 3;
	if (st.st_mode != (S_IFBLK | 0640) || st.st_rdev != makedev(8, 17) || st.st_uid)
		return 4;
	return getuid() == 0 && argc == 3 ? 0 : 5;
}
"""


def assert_changes_one_file(program: Path, directory: Path) -> None:
    """The program sees its own changes, and so does stat(1) after it."""
    script = f"{program} file device; stat -c '%u:%g %a %F' file device"
    assert fake_script(script, directory).splitlines() == [
        "70001:70002 4711 regular empty file",
        "0:0 640 block special file",
    ]


def test_static_program_with_raw_calls(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", CHANGE_ONE_FILE, "-static", "-DRAW")
    assert_changes_one_file(program, tmp_path)


@pytest.mark.parametrize("flags", [[], ["-static"]], ids=["dynamic", "static"])
def test_musl_program(tmp_path: Path, flags: list[str]) -> None:
    program = compile_c(tmp_path, "program", CHANGE_ONE_FILE, *flags, compiler="musl-gcc")
    assert_changes_one_file(program, tmp_path)


@pytest.mark.parametrize("flags", [[], ["-D_FILE_OFFSET_BITS=64", "-D_TIME_BITS=64"]])
def test_i386_program(tmp_path: Path, flags: list[str]) -> None:
    if not can_compile(tmp_path, "-m32", "-static"):
        pytest.skip("gcc -m32 does not link (Debian package gcc-multilib)")
    program = compile_c(tmp_path, "program", CHANGE_ONE_FILE, "-m32", "-static", *flags)
    assert_changes_one_file(program, tmp_path)


# No header and no library: this needs no multilib.  The numbers and the layout of
# struct stat64 are those of arch/x86/entry/syscalls/syscall_32.tbl and asm/stat.h.
FREESTANDING_I386 = r"""
static int call(int nr, const void *a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80"
					: "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static int work(const char *file, const char *device)
{
	unsigned st[24];
	call(6, (void *)call(5, file, 0101, 0644), 0, 0);
	if (call(212, file, 70001, 70002) || call(15, file, 04711, 0))
		return 1;
	if (call(195, file, (int)st, 0) || st[4] != 0104711 || st[6] != 70001 || st[7] != 70002)
		return 2;
	if (call(14, device, 0060640, 0x811) || call(196, device, (int)st, 0))
		return 3;
	if (st[4] != 0060640 || st[8] != 0x811 || st[6])
		return 4;
	return call(199, 0, 0, 0);
}

__attribute__((used)) static void start(char **stack)
{
	call(1, (void *)work(stack[2], stack[3]), 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call start\n");
"""


def test_freestanding_i386_program(tmp_path: Path) -> None:
    flags = ["-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie"]
    flags += ["-fno-stack-protector", "-fcf-protection=none"]
    program = compile_c(tmp_path, "program", FREESTANDING_I386, *flags)
    assert_changes_one_file(program, tmp_path)


GO = """
package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

func main() {
	var group sync.WaitGroup
	for i := 1; i <= 64; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			name := fmt.Sprintf("file%d", i)
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				panic(err)
			}
			for round := 1; round <= 20; round++ {
				if err := os.Lchown(name, i, round); err != nil {
					panic(err)
				}
				info, err := os.Lstat(name)
				if err != nil {
					panic(err)
				}
				st := info.Sys().(*syscall.Stat_t)
				if int(st.Uid) != i || int(st.Gid) != round {
					panic(fmt.Sprint(name, st.Uid, st.Gid))
				}
			}
		}(i)
	}
	group.Wait()
	fmt.Println(os.Getuid())
}
"""


def test_go_program(tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("go is not installed (Debian package golang-go)")
    (tmp_path / "main.go").write_text(GO)
    environment = {**os.environ, "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache")}
    subprocess.run(
        ["go", "build", "-o", "program", "main.go"],
        cwd=tmp_path, check=True, timeout=100, env={**environment, "CGO_ENABLED": "0"},
    )  # fmt: skip
    assert fake_script("./program; stat -c %u:%g file64", tmp_path) == "0\n64:20\n"


def test_program_with_an_empty_environment(tmp_path: Path) -> None:
    script = "touch file; chown 12:34 file; stat -c %u:%g file; id -u"
    command = ["env", "-i", "/bin/sh", "-euc", script]
    assert fake_output(command, cwd=tmp_path).split() == ["12:34", "0"]


# What glibc does for POSIX_SPAWN_RESETIDS, which GNU make always asks for.
SPAWN_RESETTING_IDS = r"""
#include <spawn.h>
#include <sys/wait.h>
extern char **environ;
int main(void)
{
	posix_spawnattr_t attributes;
	char *const id[] = {"id", "-u", 0};
	int status;
	pid_t pid;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_RESETIDS);
	int error = posix_spawnp(&pid, id[0], 0, &attributes, id, environ);
	if (error)
		return error;
	return waitpid(pid, &status, 0) == pid ? status : 1;
}
"""


def test_posix_spawn_that_resets_ids(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", SPAWN_RESETTING_IDS)
    assert fake_output([program]) == "0\n"


SPAWN = r"""
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
	struct stat st;
	char *const chown_it[] = {"chown", "12:34", argv[1], NULL};
	char *const chmod_it[] = {"chmod", "4755", argv[1], NULL};
	int status;
	pid_t pid = vfork();
	if (pid == 0) {
		execvp(chown_it[0], chown_it);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return 1;
	if (posix_spawnp(&pid, chmod_it[0], NULL, NULL, chmod_it, environ))
		return 2;
	if (waitpid(pid, &status, 0) != pid || status)
		return 3;
	pid = vfork();
	if (pid == 0)
		_exit(chown(argv[1], 56, -1) != 0); // in the parent's memory
	if (waitpid(pid, &status, 0) != pid || status)
		return 4;
	if (stat(argv[1], &st) || st.st_uid != 56 || st.st_gid != 34)
		return 5;
	// The chown cleared what the chmod had set.
	return (st.st_mode & 07777) == 0755 && argc == 2 ? 0 : 6;
}
"""


def test_vfork_and_posix_spawn(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", SPAWN)
    assert fake_script(f"touch file; {program} file; stat -c %u:%g file", tmp_path) == "56:34\n"


THREADS = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
enum { THREADS = 64, ROUNDS = 50 };
static pthread_barrier_t barrier;
static void *work(void *argument)
{
	long number = (long)argument;
	char name[32];
	snprintf(name, sizeof(name), "file%ld", number);
	close(open(name, O_CREAT | O_WRONLY, 0644));
	pthread_barrier_wait(&barrier);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		struct stat st;
		if (chown(name, (uid_t)number, round) || stat(name, &st))
			return "call failed";
		if (st.st_uid != number || st.st_gid != round)
			return "another's result";
	}
	return NULL;
}
int main(void)
{
	pthread_t threads[THREADS];
	int bad = 0;
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
			return 2;
	for (int i = 0; i < THREADS; i++) {
		void *problem;
		pthread_join(threads[i], &problem);
		if (problem) {
			fprintf(stderr, "thread %d: %s\n", i, (char *)problem);
			bad = 1;
		}
	}
	return bad;
}
"""


def test_64_threads_get_their_own_results(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", THREADS, "-pthread")
    fake_output([program], cwd=tmp_path)


PROCESSES = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
enum { PROCESSES = 2000 };
int main(void)
{
	int ready[2], gate[2], bad = 0;
	if (pipe(ready) || pipe(gate))
		return 2;
	for (int i = 1; i <= PROCESSES; i++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("fork");
			return 3;
		}
		if (pid)
			continue;
		char name[32], byte = 0;
		struct stat st;
		snprintf(name, sizeof(name), "file%d", i);
		close(gate[1]);
		int fd = open(name, O_CREAT | O_WRONLY, 0644);
		write(ready[1], &byte, 1);
		read(gate[0], &byte, 1); // end of file: all at once
		if (stat(name, &st) || st.st_uid || st.st_gid)
			_exit(10);
		if (chown(name, (uid_t)i, (gid_t)i + 1) || stat(name, &st))
			_exit(11);
		if (st.st_uid != (uid_t)i || st.st_gid != (gid_t)i + 1)
			_exit(12);
		if (fchmod(fd, 04700) || fstat(fd, &st) || st.st_mode != (S_IFREG | 04700))
			_exit(13);
		_exit(getuid() != 0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		char byte;
		if (read(ready[0], &byte, 1) != 1)
			return 4;
	}
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++) {
		int status;
		wait(&status);
		if (status)
			bad = WIFEXITED(status) ? WEXITSTATUS(status) : 99;
	}
	return bad;
}
"""


def test_2000_processes_at_once(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if most != resource.RLIM_INFINITY and most < 2500:
        pytest.skip(f"the limit of processes (ulimit -u) is {most}, 2500 are needed")
    program = compile_c(tmp_path, "program", PROCESSES, "-static")
    assert fake_script(f"{program}; stat -c %u:%g file1 file2000", tmp_path, timeout=100) == (
        "1:2\n2000:2001\n"
    )


RULES = {
    "plain": r"""
        #!/usr/bin/make -f
        P = debian/small
        build build-arch build-indep:
        >$(CC) -o small small.c
        clean:
        >rm -rf small $(P) debian/files debian/*substvars
        binary-indep:
        binary-arch: build
        >install -d -o root -g root $(P)/usr/bin $(P)/var/lib/small $(P)/DEBIAN
        >install -o root -g root -m 755 small $(P)/usr/bin/small
        >chown root:games $(P)/usr/bin/small
        >chmod 2755 $(P)/usr/bin/small
        >chown 1234:5678 $(P)/var/lib/small
        >chmod 1770 $(P)/var/lib/small
        >dpkg-gencontrol -P$(P)
        >dpkg-deb --build $(P) ..
        binary: binary-arch binary-indep
        .PHONY: build build-arch build-indep clean binary binary-arch binary-indep
    """,
    "dh": r"""
        #!/usr/bin/make -f
        %:
        >dh $@
        override_dh_auto_build:
        >$(CC) -o small small.c
        override_dh_auto_install:
        >install -d debian/small/var/lib/small
        >install -D -m 755 small debian/small/usr/bin/small
        execute_after_dh_fixperms:
        >chown root:games debian/small/usr/bin/small
        >chmod 2755 debian/small/usr/bin/small
        >chown 1234:5678 debian/small/var/lib/small
        >chmod 1770 debian/small/var/lib/small
    """,
}


@pytest.mark.parametrize("style", ["plain", "dh"][: harness.examples(2)])
def test_dpkg_buildpackage_builds_a_package_of_root(tmp_path: Path, style: str) -> None:
    need("dpkg-buildpackage", "dpkg-dev")
    need("gcc", "gcc")
    if style == "dh":
        need("dh", "debhelper")
    if not Path("/usr/share/build-essential/essential-packages-list").exists():
        pytest.skip("build-essential is not installed (Debian package build-essential)")
    source = tmp_path / "small-1"
    files = {
        "small.c": "int main(void) { return 0; }\n",
        "debian/control": f"""
            Source: small
            Section: misc
            Priority: optional
            Maintainer: A Person <a@example.org>
            Standards-Version: 4.6.2
            Rules-Requires-Root: binary-targets
            {"Build-Depends: debhelper-compat (= 13)" if style == "dh" else ""}

            Package: small
            Architecture: any
            Depends: ${{misc:Depends}}
            Description: small
             Small package.
        """,
        "debian/changelog": """
            small (1) unstable; urgency=low

              * First.

             -- A Person <a@example.org>  Sat, 01 Jan 2022 00:00:00 +0000
        """,
        "debian/source/format": "3.0 (native)\n",
        "debian/rules": RULES[style],
    }
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = textwrap.dedent(text).strip().splitlines()
        if name == "debian/rules":  # ">" stands for a tab
            lines = [f"\t{line[1:]}" if line.startswith(">") else line for line in lines]
        if name == "debian/control":  # the line that is empty unless dh is used
            lines = [line for i, line in enumerate(lines) if line.strip() or i > 6]
        path.write_text("\n".join(lines) + "\n")
    (source / "debian/rules").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    environment["PATH"] = f"{Path(FAKEROOT_SC).parent}:{environment['PATH']}:/usr/sbin:/sbin"
    built = subprocess.run(
        ["dpkg-buildpackage", "-b", "-us", "-uc", "-rfakeroot-sc"],
        cwd=source, capture_output=True, text=True, timeout=100, env=environment, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    assert "fakeroot-sc:" not in built.stderr
    [package] = tmp_path.glob("small_1_*.deb")
    with (tmp_path / "fs.tar").open("wb") as file:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=file, check=True, timeout=30)
    contents = tar_listing(tmp_path / "fs.tar")
    assert contents.pop("usr/bin/small") == ("f", 0o2755, 0, 60)
    assert contents.pop("var/lib/small") == ("d", 0o1770, 1234, 5678)
    assert contents and all(entry[2:] == (0, 0) for entry in contents.values()), contents


def test_python_reads_and_writes_ids(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "open('file', 'w').close()\n"
        "os.chown('file', 12, 34)\n"
        "st = os.stat('file')\n"
        "entry = next(os.scandir('.')).stat()\n"
        "print(st.st_uid, st.st_gid, entry.st_uid, os.getuid(), os.geteuid(), os.getresgid())\n"
    )
    output = fake_output([*PYTHON, "-c", program], cwd=tmp_path)
    assert output == "12 34 12 0 0 (0, 0, 0)\n"


def test_unknown_is_real_shows_the_real_owner_of_untouched_files(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    output = fake_script("touch new; chown 12 new; stat -c %u:%g old new", tmp_path, "-u")
    assert output.split() == [f"{os.getuid()}:{os.getgid()}", f"12:{os.getgid()}"]


def test_failing_program_fails_as_it_does_bare(tmp_path: Path) -> None:
    done = fake(["tar", "cf", "out.tar", "missing"], cwd=tmp_path)
    assert done.returncode == 2
    assert "missing: Cannot stat: No such file or directory" in done.stderr
    assert "fakeroot-sc" not in done.stderr
