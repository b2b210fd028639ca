"""Targets that die, are interrupted or cannot be read in the middle of a call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import (
    compile_c,
    fake,
    fake_script,
)

# --- Targets that die or are interrupted in the middle of a call -------------------------


STRESS = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
enum { WORKERS = 8, KILLS = 400 };
static void work(int number)
{
	char a[32], b[32];
	struct stat st;
	snprintf(a, sizeof(a), "a%d", number);
	snprintf(b, sizeof(b), "b%d", number);
	for (unsigned round = 0;; round++) {
		close(open(a, O_CREAT | O_WRONLY, 0644));
		chown(a, round, round + 1);
		stat(a, &st);
		chmod(a, 04755);
		rename(a, b);
		stat(b, &st);
		mknod(a, S_IFCHR | 0600, 0x103);
		unlink(a);
		unlink(b);
	}
}
int main(int argc, char **argv)
{
	pid_t workers[WORKERS];
	struct stat st;
	srandom((unsigned)atoi(argv[argc - 1]));
	for (int i = 0; i < WORKERS; i++)
		if ((workers[i] = fork()) == 0)
			work(i);
	close(open("own", O_CREAT | O_WRONLY, 0644));
	for (unsigned i = 1; i <= KILLS; i++) {
		// Work of a random length, so that the kill comes at a random point.
		for (long j = random() % 12; j >= 0; j--) {
			if (chown("own", i, (gid_t)j) || stat("own", &st))
				return 1;
			if (st.st_uid != i || st.st_gid != (gid_t)j)
				return 2;
		}
		int victim = (int)(random() % WORKERS), status;
		kill(workers[victim], SIGKILL);
		if (waitpid(workers[victim], &status, 0) != workers[victim])
			return 3;
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			return 4;
		if ((workers[victim] = fork()) == 0)
			work(victim);
	}
	for (int i = 0; i < WORKERS; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
	return 0;
}
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_targets_killed_at_random_points_do_no_harm(tmp_path: Path, seed: int) -> None:
    program = compile_c(tmp_path, "program", STRESS)
    script = f"{program} {seed}; chown 12:34 own; stat -c %u:%g own"
    assert fake_script(script, tmp_path) == "12:34\n"


INTERRUPTED = r"""
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static volatile sig_atomic_t alarms;
static void count(int number) { (void)number; alarms++; }
// Without SA_RESTART a call may be interrupted before the supervisor has received
// it. It has done nothing then, and is repeated as programs do that catch signals.
#define MUST(call) \
	do \
		errno = 0; \
	while ((failed = (call)) && errno == EINTR && !restart); \
	if (failed) { \
		fprintf(stderr, "round %u: %s: %s\n", round, #call, strerror(errno)); \
		return 1; \
	}
int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count};
	struct itimerval every = {{0, 1000}, {0, 1000}};
	struct stat st;
	int failed, restart = argc > 1 && atoi(argv[1]);
	action.sa_flags = restart ? SA_RESTART : 0;
	sigaction(SIGALRM, &action, NULL);
	close(open("file", O_CREAT | O_WRONLY, 0644));
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned round = 1; round <= 20000 || alarms < 300; round++) {
		MUST(chown("file", round, round + 1));
		MUST(stat("file", &st));
		MUST(st.st_uid != round || st.st_gid != round + 1);
		MUST(chmod("file", round & 1 ? 0755 : 04711));
		MUST(lstat("file", &st));
		MUST(st.st_mode != (S_IFREG | (round & 1 ? 0755u : 04711u)));
		uid_t uid = getuid(); // which cannot report an error
		MUST(uid != 0 && (restart || uid != (uid_t)-EINTR));
		MUST(rename("file", "other"));
		MUST(rename("other", "file"));
		if (round % 16 == 0) {
			MUST(mknod("device", S_IFBLK | 0600, 0x811));
			MUST(unlink("device"));
		}
	}
	return 0;
}
"""


def test_signals_whose_handlers_restart_interrupt_no_call(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", INTERRUPTED)
    done = fake([program, "1"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_call_has_done_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    program = compile_c(tmp_path, "program", INTERRUPTED)
    done = fake([program, "0"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_that_are_cancelled_in_calls_do_no_harm(tmp_path: Path) -> None:
    """exit_group and execve end the other threads wherever they are."""
    source = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static void *work(void *name)
{
	struct stat st;
	for (;;) {
		chown(name, 1, 2);
		stat(name, &st);
	}
	return NULL;
}
int main(int argc, char **argv)
{
	int left = atoi(argv[1]);
	char next[16];
	pthread_t thread;
	struct stat st;
	close(open("file", O_CREAT | O_WRONLY, 0644));
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, work, "file");
	for (int i = 0; i < 20; i++)
		if (stat("file", &st))
			return 1;
	snprintf(next, sizeof(next), "%d", left - 1);
	if (left > 0)
		execl(argv[0], argv[0], next, NULL);
	return argc != 2;
}
"""
    program = compile_c(tmp_path, "program", source, "-pthread")
    assert fake_script(f"{program} 50; chown 3:4 file; stat -c %u:%g file", tmp_path) == "3:4\n"


# --- Targets that cannot be read ---------------------------------------------------------


NOT_DUMPABLE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct stat st;
	if (argc > 1)
		prctl(PR_SET_DUMPABLE, 0);
	close(open("file", O_CREAT | O_WRONLY, 0644));
	for (int i = 0; i < 20; i++) {
		chown("file", 12, 34);
		stat("file", &st);
		getuid();
	}
	return 0;
}
"""


def test_a_process_that_cannot_be_read_does_not_hang_and_is_told_once(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can read every process: run the tests as an ordinary user")
    program = compile_c(tmp_path, "program", NOT_DUMPABLE)
    script = f"{program} closed; {program} closed; touch new; chown 5:6 new; stat -c %u:%g new"
    done = fake(["sh", "-c", script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "5:6\n")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("fakeroot-sc: process ")


def test_a_program_that_may_not_be_read_by_its_file_s_mode_runs(tmp_path: Path) -> None:
    """The kernel closes the memory of a program whose file the user may not read."""
    program = compile_c(tmp_path, "program", NOT_DUMPABLE)
    program.chmod(0o111)
    done = fake([program], cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") <= 1
