"""Many at once: processes, descriptors."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from commands import PATIENCE, compile_c, fake
from installed import OPTIONS

# many COUNT: so many processes live at once, every eighth of them by ids of its own; each then
# looks at a file, and at who it is. Prints how many there were, and how many saw it wrong.
MANY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int live(int number, int ready, int go)
{
	struct stat st;
	char byte;
	unsigned id = number % 8 ? 0 : (unsigned)number % 1000 + 1;
	int wrong = id && syscall(SYS_setresuid, id, id, id) != 0;
	if (write(ready, "", 1) != 1 || read(go, &byte, 1) != 0)
		return 1;
	wrong |= syscall(SYS_getuid) != (long)id;
	return wrong | (syscall(SYS_stat, ".", &st) || st.st_uid != 0);
}
int main(int argc, char **argv)
{
	int count = atoi(argv[argc - 1]), started = 0, wrong = 0, status, go[2], ready[2];
	char byte;
	if (pipe(go) || pipe(ready))
		return 2;
	for (; started < count; started++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0) {
			close(go[1]);
			_exit(live(started, ready[1], go[0]));
		}
	}
	for (int i = 0; i < started; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 3;
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < started; i++)
		wrong += wait(&status) < 0 || status != 0;
	printf("%d %d\n", started, wrong);
	return 0;
}
"""

# Takes every descriptor that it may have, and changes a file by the last of them.
FILLS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	struct stat st;
	int last = open("file", O_CREAT | O_RDWR, 0600), next;
	while ((next = fcntl(last, F_DUPFD, last + 1)) >= 0)
		last = next;
	if (syscall(SYS_fchown, last, 5, 6) || syscall(SYS_fstat, last, &st))
		return 1;
	printf("%d %d:%d\n", last + 1, st.st_uid, st.st_gid);
	return 0;
}
"""


@pytest.mark.timeout(int(8 * PATIENCE))
def test_ten_thousand_processes_at_once_are_served(tmp_path: Path) -> None:
    count = 1_000 if OPTIONS else 10_000  # a tracer's wait grows with them
    program = compile_c(tmp_path, "many", MANY, "-static")
    done = fake([program, str(count)], cwd=tmp_path, timeout=6 * PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    started, wrong = map(int, done.stdout.split())
    assert wrong == 0
    if started < count:
        pytest.skip(f"only {started} processes may live at once here (ulimit -u, a cgroup)")


def test_a_process_of_all_descriptors_is_served(tmp_path: Path) -> None:
    """1,048,576 where the machine's limit is its default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, 1 << 20)
    program = compile_c(tmp_path, "fills", FILLS, "-static")

    def raise_limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    done = fake([program], cwd=tmp_path, timeout=3 * PATIENCE, preexec_fn=raise_limit)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{most} 5:6\n", "")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
