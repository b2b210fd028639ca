// SPDX-License-Identifier: Apache-2.0
//
// changer SEED DIRECTORY COUNT: changes files of a directory for ever, in a number of
// ways and in no order, and tells each change on standard output once it is answered.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void tell(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

static int make(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0644);
	return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
	char name[64], other[64], told[128];
	if (argc != 4 || chdir(argv[2]) < 0)
		return 2;
	srandom((unsigned)atoi(argv[1]));
	int count = atoi(argv[3]);
	snprintf(told, sizeof(told), "%d\n", (int)getpid());
	tell(told);
	for (;;) {
		int file = (int)(random() % count), value = (int)(random() % 60000) + 1;
		int failed = 0;
		const char *what = "";
		snprintf(name, sizeof(name), "f%d", file);
		switch (random() % 8) {
		case 0: {
			what = "uid";
			int fd = open(name, O_RDONLY);
			failed = fd < 0 || fchown(fd, (unsigned)value, (gid_t)-1) < 0;
			close(fd);
			break;
		}
		case 1:
			what = "gid";
			failed = syscall(SYS_lchown, name, -1, value) < 0;
			break;
		case 2: {
			char text[16];
			what = "xattr";
			snprintf(text, sizeof(text), "%d", value);
			failed = setxattr(name, "trusted.value", text, strlen(text), 0) < 0;
			break;
		}
		case 3:
			what = "device";
			failed = unlink(name) < 0 ||
				 mknod(name, S_IFCHR | 0600, makedev(7, (unsigned)value)) < 0;
			break;
		case 4:
			what = "fresh";
			failed = unlink(name) < 0 || make(name) < 0;
			break;
		case 5:
			what = "rename";
			value %= count;
			snprintf(other, sizeof(other), "f%d", value);
			if (value == file)
				continue;
			failed = rename(name, other) < 0 || make(name) < 0;
			break;
		case 6:
			what = "passing";
			failed = make("t") < 0 || chown("t", (unsigned)value, 1) < 0 ||
				 unlink("t") < 0;
			break;
		default:
			what = "mode";
			value &= 07777;
			failed = chmod(name, (mode_t)value) < 0;
		}
		if (failed) {
			perror(what);
			return 1;
		}
		snprintf(told, sizeof(told), "%d %s %d\n", file, what, value);
		tell(told);
	}
}
