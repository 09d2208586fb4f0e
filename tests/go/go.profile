# Calls of a Go program's runtime beyond those of a program of one thread; --tasks must have room for its threads.
arch x86_64 aarch64
include static

allow clone                                # its threads; the namespaces are the guard's
allow sched_getaffinity                    # how many processors there are
allow getrlimit                            # how many descriptors there may be
allow epoll_create1 epoll_ctl epoll_pwait pipe2 eventfd2  # its poller, for files that can be polled
