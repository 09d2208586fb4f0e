/* Begins its conversation in the way that the last argument names, and answers with that name and the line it got. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char line[256];

static ssize_t begin(const char *how)
{
	struct iovec part = { line, sizeof line - 1 };
	struct pollfd watched = { .fd = 0, .events = POLLIN };
	struct sockaddr_storage peer;
	socklen_t size = sizeof peer;
	int copy;

	if (!strcmp(how, "readv"))
		return readv(0, &part, 1);
	if (!strcmp(how, "recv"))
		return recv(0, line, sizeof line - 1, 0);
	if (!strcmp(how, "poll") && poll(&watched, 1, -1) != 1)
		return -1;
	if (!strcmp(how, "getpeername") && (getpeername(0, (struct sockaddr *)&peer, &size) || peer.ss_family != AF_INET))
		return -1;
	if (!strcmp(how, "banner") && write(1, "banner: ", 8) != 8)
		return -1;
	if (!strcmp(how, "dup")) {
		copy = dup(0);
		return copy < 0 ? -1 : read(copy, line, sizeof line - 1);
	}
	if (!strcmp(how, "dup1")) {
		copy = dup(1);
		return copy < 0 || dup2(copy, 1) != 1 ? -1 : read(0, line, sizeof line - 1);
	}
	return read(0, line, sizeof line - 1);
}

int main(int argc, char **argv)
{
	const char *how = argv[argc - 1];
	ssize_t count = begin(how);

	if (count < 0) {
		perror(how);
		return 1;
	}
	if (strcmp(how, "banner"))
		printf("%s: ", how);
	fwrite(line, 1, count, stdout);
	return fflush(stdout) != 0;
}
