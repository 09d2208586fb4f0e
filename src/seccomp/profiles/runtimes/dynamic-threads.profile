# As 'dynamic', for programs with threads.

arch x86_64 aarch64
include dynamic
tasks 32

remove clone set_robust_list futex
allow clone                     # threads of its own, no process; the namespaces are the guard's as well
    if arg0 has CLONE_VM|CLONE_THREAD and arg0 has no CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET
errno EPERM clone               # fork: an error in the program instead of its end
allow set_robust_list           # threads
allow futex                     # threads' ends and musl's locks are not private; the rest is
    if arg1 has FUTEX_PRIVATE_FLAG
    or int1 == FUTEX_WAIT
    or int1 == FUTEX_WAKE
    or int1 == FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME
