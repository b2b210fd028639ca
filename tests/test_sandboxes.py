"""Inside of others' sandboxes: what they refuse is faked all the same, or refused by name.

What a sandbox answers by an errno never reaches a listener, nor the stops of a filter.
"""

from __future__ import annotations

import errno
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import FAKEROOT_SC, PATIENCE, bare, compile_c, dedent, need
from installed import OPTIONS

# sandbox NR:ERRNO[:ARGUMENT:BITS]... -- COMMAND: each call fails, or while an argument has any
# of the bits.
SANDBOX = r"""
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
int main(int argc, char **argv)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int i = 1; i < argc; i++) {
		unsigned nr, error, argument = 0, bits = 0;
		if (strcmp(argv[i], "--") == 0) {
			execvp(argv[i + 1], argv + i + 1);
			return 97;
		}
		int parts = sscanf(argv[i], "%u:%u:%u:%i", &nr, &error, &argument, &bits);
		struct sock_filter code[] = {
			LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
			LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
			LOAD(args[argument]), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		if (parts == 2)
			code[5] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 0);
		struct sock_fprog program = {8, code};
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			return 99;
	}
	return 98;
}
"""

SET_IDS = 0o6000


def with_set_ids(*calls: tuple[int, int]) -> list[str]:
    return [f"{nr}:{errno.EPERM}:{argument}:{SET_IDS}" for nr, argument in calls]


CHMODS = ((90, 1), (91, 1), (268, 2), (452, 2))
SANDBOXES = {
    # Nix's builds: no set-ID bits, no extended attributes.
    "nix": [*with_set_ids(*CHMODS), *(f"{nr}:{errno.ENOTSUP}" for nr in (188, 189, 190, 463))],
    # RestrictSUIDSGID= and DynamicUser= of systemd
    "systemd": with_set_ids(
        *CHMODS, (133, 1), (259, 2), (83, 1), (258, 2), (85, 1), (2, 2), (257, 3)
    ),
    # SystemCallFilter=~@privileged
    "privileged": [f"{nr}:{errno.EPERM}" for nr in (92, 93, 94, 260, 105, 106, 126, 133)],
    # What some containers do to be built without privileges: success, and nothing is done.
    "charliecloud": [f"{nr}:0" for nr in (92, 93, 94, 260, 133, 259, 105, 117)],
}

WORK = dedent("""
    touch f
    chmod 4755 f
    chown 1:2 f
    chmod 4755 f
    mkdir -m 2755 d
    install -m 6755 /bin/true s
    mknod n c 1 3
    tar cf t.tar f d s n
    mkdir x
    tar -xpf t.tar -C x
    stat -c '%A %u:%g %n' x/f x/d x/s x/n
""")
MADE = dedent("""
    -rwsr-xr-x 1:2 x/f
    drwxr-sr-x 0:0 x/d
    -rwsr-sr-x 0:0 x/s
    crw-r--r-- 0:0 x/n
""")

STATIC = r"""
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <fcntl.h>
int main(void)
{
	struct stat st, made;
	char value[4] = "";
	int fd = open("static", O_CREAT | O_EXCL | O_RDWR, 04755);
	if (fd < 0 || fchmod(fd, 02711) < 0 || fchown(fd, 3, 4) < 0 || chmod("static", 06711) < 0)
		return 1;
	if (mkdir("directory", 02700) < 0 || chmod("directory", 02700) || stat("directory", &made))
		return 2;
	if (fsetxattr(fd, "trusted.a", "b", 1, 0) < 0 || fgetxattr(fd, "trusted.a", value, 4) != 1)
		return 3;
	if (fstat(fd, &st) < 0)
		return 4;
	printf("%o %d:%d %o %s\n", st.st_mode, st.st_uid, st.st_gid, made.st_mode, value);
	return 0;
}
"""

Within = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def within(tmp_path: Path) -> Within:
    """Runs a command under fakeroot-sc inside of a sandbox."""
    sandbox = compile_c(tmp_path, "sandbox", SANDBOX)
    work = tmp_path / "work"
    work.mkdir()

    def run_within(kind: str, *command: str | Path, options: tuple[str, ...] = ()) -> object:
        rules = SANDBOXES.get(kind, [kind])  # of one call, if it is none of these
        done = bare(
            [sandbox, *rules, "--", FAKEROOT_SC, *options, "--", *command],
            cwd=work,
            timeout=3 * PATIENCE,
        )
        if done.returncode == 99:
            pytest.skip("the test's own filter cannot be installed here")
        return done

    return run_within  # type: ignore[return-value]


def said_once(said: str, call: str) -> bool:
    return (
        said.startswith("fakeroot-sc: using --mode ptrace-all (")
        and f"a sandbox answers {call}(2) itself" in said
        and said.count("\n") == 1
    )


@pytest.mark.skipif(bool(OPTIONS), reason="the way that calls come is given")
@pytest.mark.parametrize("kind", SANDBOXES)
def test_what_a_sandbox_refuses_is_faked(within: Within, kind: str) -> None:
    done = within(kind, "sh", "-euc", WORK)
    assert (done.returncode, done.stdout) == (0, MADE), done
    call = {"nix": "chmod", "systemd": "chmod"}.get(kind, "chown")
    assert said_once(done.stderr, call), done.stderr


@pytest.mark.skipif(bool(OPTIONS), reason="the way that calls come is given")
@pytest.mark.parametrize("kind", SANDBOXES)
def test_it_is_faked_for_static_programs_and_without_the_shim(
    within: Within, tmp_path: Path, kind: str
) -> None:
    program = compile_c(tmp_path, "static", STATIC, "-static")
    done = within(kind, program, options=("--no-shim",))
    assert (done.returncode, done.stdout) == (0, "106711 3:4 42700 b\n"), done


@pytest.mark.skipif(bool(OPTIONS), reason="the way that calls come is given")
def test_a_mode_that_would_not_hear_of_it_is_refused(within: Within) -> None:
    done = within("nix", "true", options=("--mode=notify",))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("fakeroot-sc: chmod(2): Operation not permitted: a sandbox ")
    assert "--mode auto" in done.stderr


@pytest.mark.skipif(bool(OPTIONS), reason="the way that calls come is given")
def test_ptrace_stops_every_call_where_a_filter_would_not_do(within: Within) -> None:
    done = within("systemd", "sh", "-euc", WORK, options=("--mode=ptrace",))
    assert (done.returncode, done.stdout) == (0, MADE), done
    assert said_once(done.stderr, "chmod")


@pytest.mark.skipif(bool(OPTIONS), reason="the way that calls come is given")
def test_a_sandbox_that_refuses_nothing_of_ours_costs_no_mode(
    tmp_path: Path, within: Within
) -> None:
    """Docker's profile: mount(2), unshare(2) and keyctl(2) are refused to everybody."""
    SANDBOXES["docker"] = [f"{nr}:{errno.EPERM}" for nr in (165, 272, 250, 308)]
    done = within("docker", "sh", "-euc", WORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, MADE, "")


# --- /proc -------------------------------------------------------------------------------

CHANGES = "touch a; chown 1:2 a; stat -c %u:%g a"


def unshared(*flags: str) -> list[str]:
    command = [need("unshare", "util-linux"), "-Urpf", *flags]
    if bare([*command, "true"]).returncode != 0:
        pytest.skip("user namespaces are closed here (kernel.unprivileged_userns_clone, AppArmor)")
    return command


@pytest.mark.parametrize("mode", ["auto", "notify", "ptrace", "ptrace-all"])
def test_a_proc_of_another_pid_namespace_is_named(tmp_path: Path, mode: str) -> None:
    """What it shows by the numbers of this one are other processes."""
    inside = unshared()
    done = bare([*inside, FAKEROOT_SC, f"--mode={mode}", "--", "sh", "-c", CHANGES], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("fakeroot-sc: /proc: not of this PID namespace: ")
    assert "unshare --mount-proc" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_proc_of_its_own_serves_a_pid_namespace(tmp_path: Path) -> None:
    inside = unshared("--mount-proc")
    done = bare([*inside, FAKEROOT_SC, "--", "sh", "-c", CHANGES], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1:2\n", "")


# --- Tracers -----------------------------------------------------------------------------


@pytest.mark.skipif(bool(OPTIONS), reason="a target has one tracer")
@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_command_s_inside_of_proot(tmp_path: Path, status: int) -> None:
    """PRoot ends with the status of the last process that ends: the supervisor."""
    proot = need("proot", "proot")
    if bare([proot, "-r", "/", "true"]).returncode != 0:
        pytest.skip("PRoot does not work here")
    script = f"{CHANGES}; exit {status}"
    done = bare([proot, "-r", "/", FAKEROOT_SC, "--", "sh", "-c", script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "1:2\n"), done


def test_bubblewrap_with_a_proc_of_its_own_serves(tmp_path: Path) -> None:
    bwrap = shutil.which("bwrap") or need("bwrap", "bubblewrap")
    inside = [bwrap, "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-all"]
    if bare([*inside, "true"]).returncode != 0:
        pytest.skip("bubblewrap does not work here (user namespaces are closed)")
    done = bare([*inside, FAKEROOT_SC, "--", "sh", "-c", CHANGES], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1:2\n", "")


FCHMODAT2 = 452


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_a_call_that_libc_would_not_have_made_is_not_missed(error: int, within: Within) -> None:
    """cp -a sets modes by fchmodat(AT_SYMLINK_NOFOLLOW): glibc before 2.39 does so by hand."""
    version = platform.libc_ver()[1].split(".")
    if tuple(map(int, version)) >= (2, 39):
        pytest.skip("this libc makes the call itself")
    work = """
        mkdir a; echo text >a/file; ln -s file a/link; chmod 4711 a/file; chmod 500 a
        cp -a a b; stat -c '%a %n' b b/file; cat b/link
        chmod 700 a b
    """
    done = within(f"{FCHMODAT2}:{error}", "sh", "-euc", work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "500 b\n4711 b/file\ntext\n", "")
