"""Calls that never trap, and why the kernel's own answer is the right one or has to do.

With the table (:mod:`fakeroot_sc.syscalls.table`) this classifies every call of every ABI.
"""

from __future__ import annotations

import enum

import attrs


class Kind(enum.Enum):
    """Whether a call has to do with what fakeroot-sc remembers."""

    REAL = "real"
    """It touches files, ids or privileges, and the kernel answers by the user's real ones."""
    IRRELEVANT = "irrelevant"
    """No owner, mode, device, attribute, id or capability shows or changes through it."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@attrs.frozen
class Group:
    """Calls with one reason; ``names`` is given as words."""

    kind: Kind
    reason: str
    names: tuple[str, ...] = attrs.field(converter=_words)


UNTRAPPED: tuple[Group, ...] = (
    Group(
        Kind.REAL,
        "acts on the inode, by which attributes are remembered",
        "link readlink readlinkat name_to_handle_at",
    ),
    Group(
        Kind.REAL,
        "data of files the user may open; as for root, set-ID bits that are remembered stay",
        """write writev pwrite64 pwritev pwritev2 truncate truncate64 ftruncate ftruncate64
        fallocate sendfile sendfile64 splice copy_file_range""",
    ),
    Group(
        Kind.REAL,
        "needs CAP_DAC_READ_SEARCH, which the user has not",
        "open_by_handle_at lookup_dcookie",
    ),
    Group(
        Kind.REAL,
        "inode flags and project ids are the file system's; the user may set what an owner may",
        "file_getattr file_setattr",
    ),
    Group(
        Kind.REAL,
        "inode flags (FS_IOC_*), owners of descriptors (F_SETOWN) and devices are the kernel's",
        "ioctl fcntl fcntl64",
    ),
    Group(
        Kind.REAL,
        "the search permission is the user's; the shim has it widened where root has it",
        "chdir fchdir getcwd",
    ),
    Group(
        Kind.REAL,
        "needs the real CAP_SYS_ADMIN of the mount namespace",
        "fsconfig fsmount fsopen fspick open_tree quotactl quotactl_fd swapon swapoff",
    ),
    Group(
        Kind.REAL,
        "tells of mounts and file systems, not of files",
        "statfs statfs64 fstatfs fstatfs64 ustat sysfs statmount listmount",
    ),
    Group(
        Kind.REAL,
        "the limits and rules are the user's; new namespaces are made by the real ids",
        "fork vfork listns",
    ),
    Group(
        Kind.REAL,
        "changes the machine: needs a real capability",
        """acct reboot sethostname setdomainname settimeofday stime clock_settime
        clock_settime64 adjtimex clock_adjtime clock_adjtime64 syslog vhangup init_module
        finit_module delete_module kexec_load kexec_file_load iopl ioperm""",
    ),
    Group(
        Kind.REAL,
        "whether one process may reach another is decided by their real ids",
        """kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_getfd
        process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
        get_robust_list move_pages migrate_pages perf_event_open""",
    ),
    Group(
        Kind.REAL,
        "priorities beyond the user's need a real capability",
        """nice ioprio_set ioprio_get sched_setattr sched_setparam sched_setscheduler
        sched_setaffinity getpriority""",
    ),
    Group(
        Kind.REAL,
        "locked memory counts against the user's real limit",
        "mlock mlock2 mlockall memfd_secret",
    ),
    Group(
        Kind.REAL,
        "SCM_CREDENTIALS and SO_PEERCRED carry the real ids",
        """sendmsg sendmmsg recvmsg recvmmsg recvmmsg_time64 getsockopt setsockopt socketpair
        socket connect""",
    ),
    Group(
        Kind.REAL,
        "queues, semaphores and segments belong to the real ids, which IPC_STAT tells",
        """msgget msgctl msgrcv msgsnd semget semctl semop semtimedop semtimedop_time64
        shmget shmctl shmat shmdt ipc mq_open mq_unlink""",
    ),
    Group(
        Kind.REAL,
        "keys belong to the real ids",
        "add_key request_key keyctl",
    ),
    Group(
        Kind.REAL,
        "restricts by the kernel's own view, below what is remembered",
        """landlock_create_ruleset landlock_add_rule lsm_get_self_attr lsm_set_self_attr
        lsm_list_modules""",
    ),
    Group(
        Kind.REAL,
        "needs a real capability or the administrator's leave",
        "bpf userfaultfd fanotify_init fanotify_mark uprobe uretprobe vm86 vm86old modify_ldt",
    ),
    Group(
        Kind.REAL,
        "there is no ring to use: io_uring_setup is refused",
        "io_uring_enter io_uring_register",
    ),
    Group(
        Kind.IRRELEVANT,
        "reads or moves data of open descriptors",
        """read readv pread64 preadv preadv2 lseek _llseek readahead fadvise64 fadvise64_64
        sync syncfs fsync fdatasync sync_file_range tee vmsplice cachestat flock
        io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents
        io_pgetevents_time64""",
    ),
    Group(
        Kind.IRRELEVANT,
        "makes, copies or closes descriptors",
        """close close_range dup dup2 dup3 pipe pipe2 eventfd eventfd2 memfd_create signalfd
        signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
        timerfd_settime64 pidfd_open""",
    ),
    Group(
        Kind.IRRELEVANT,
        "a name and an inode number at a time, without a type",
        "readdir",
    ),
    Group(
        Kind.IRRELEVANT,
        "waits for descriptors or for changes of files",
        """poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create
        epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old inotify_init inotify_init1 inotify_add_watch inotify_rm_watch""",
    ),
    Group(
        Kind.IRRELEVANT,
        "messages and the state of connections",
        """accept accept4 listen shutdown sendto recvfrom getsockname getpeername
        mq_getsetattr mq_notify mq_timedreceive mq_timedreceive_time64 mq_timedsend
        mq_timedsend_time64""",
    ),
    Group(
        Kind.IRRELEVANT,
        "the process's own memory",
        """mmap mmap2 munmap mremap mprotect msync madvise mincore munlock munlockall brk mseal
        remap_file_pages map_shadow_stack pkey_alloc pkey_free pkey_mprotect mbind
        set_mempolicy get_mempolicy set_mempolicy_home_node arch_prctl set_thread_area
        get_thread_area""",
    ),
    Group(
        Kind.IRRELEVANT,
        "threads, locks and scheduling",
        """futex futex_time64 futex_wait futex_wake futex_waitv futex_requeue set_robust_list
        set_tid_address rseq rseq_slice_yield membarrier sched_yield sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_get_priority_max
        sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getcpu""",
    ),
    Group(
        Kind.IRRELEVANT,
        "life and kinship of processes",
        """exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid
        getsid setsid personality restart_syscall""",
    ),
    Group(
        Kind.IRRELEVANT,
        "the process's own signals",
        """rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 sigaction sigaltstack signal sigpending sigprocmask sigreturn
        sigsuspend sgetmask ssetmask pause""",
    ),
    Group(
        Kind.IRRELEVANT,
        "clocks and timers",
        """alarm time times gettimeofday nanosleep clock_getres clock_getres_time64
        clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer
        setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
        timer_settime timer_settime64""",
    ),
    Group(
        Kind.IRRELEVANT,
        "tells about the machine or the process's use of it",
        "uname olduname oldolduname sysinfo getrusage getrandom",
    ),
)
