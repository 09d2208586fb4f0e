# A static Go program: its runtime's threads and poller. What the program itself does beyond 'static', 'dayfly learn' adds.

arch x86_64 aarch64
include static
tasks 64

allow clone                     # threads, no process; the namespaces are the guard's as well
    if arg0 has CLONE_VM|CLONE_THREAD and arg0 has no CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET
allow sched_getaffinity         # how many processors there are
allow getrlimit                 # how many descriptors there may be
allow epoll_create1 epoll_ctl epoll_pwait pipe2 eventfd2 # its poller, for files that can be polled
