/*
 * Request and reply over a Unix socket pair between two threads that wait adaptively. For SPIN microseconds they try
 * again and give up the CPU in between; then they block. Messages have the sizes of a vfio-user register read (32 bytes
 * out, 36 back). usage: round_trip ROUNDS REQUESTS SPIN -> a line "round-trip P50 P95 P99" (microseconds) per round.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 16, REQUEST = 32, REPLY = 36 };

static int ends[2];
static double spin;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int receive(int fd, char *into, size_t length)
{
	size_t have = 0;
	double give_up = now() + spin;

	while (have < length) {
		ssize_t n = recv(fd, into + have, length - have, MSG_DONTWAIT);

		if (n > 0) {
			have += n;
		} else if (n == 0) {
			return -1;
		} else if (errno != EAGAIN && errno != EINTR) {
			return -1;
		} else if (now() < give_up) {
			/* The peer may be waiting for this very CPU. */
			sched_yield();
		} else {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			poll(&p, 1, 1000);
		}
	}
	return 0;
}

static void *server(void *unused)
{
	char request[REQUEST], reply[REPLY];

	(void)unused;
	memset(reply, 0, sizeof(reply));
	/* Like a vfio-user server: first the header, then exactly the body. */
	while (!receive(ends[1], request, HEADER) && !receive(ends[1], request + HEADER, REQUEST - HEADER)) {
		memcpy(reply, request, REQUEST);
		if (send(ends[1], reply, REPLY, MSG_NOSIGNAL) != REPLY)
			break;
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int rounds = atoi(argv[1]), requests = atoi(argv[2]);
	double *latency = calloc(requests, sizeof(*latency));
	pthread_t thread;

	spin = atof(argv[3]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return 1;
	pthread_create(&thread, NULL, server, NULL);
	for (int round = 0; round < rounds; round++) {
		char request[REQUEST] = { 0 }, reply[REPLY];

		for (int i = 0; i < requests; i++) {
			double start = now();

			if (send(ends[0], request, REQUEST, MSG_NOSIGNAL) != REQUEST ||
			    receive(ends[0], reply, HEADER) || receive(ends[0], reply + HEADER, REPLY - HEADER))
				return 1;
			latency[i] = now() - start;
		}
		qsort(latency, requests, sizeof(*latency), ascending);
		printf("round-trip %.2f %.2f %.2f\n", latency[requests / 2], latency[requests * 95 / 100],
		       latency[requests * 99 / 100]);
	}
	close(ends[0]);
	pthread_join(thread, NULL);
	return 0;
}
