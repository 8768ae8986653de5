/*
 * Wake-up by an eventfd: one thread writes; this thread blocks in poll(2) and reads. The latency runs from just before
 * the write to just after the read. usage: eventfd ROUNDS WAKEUPS -> a line "wakeup P50 P95 P99" (microseconds) per
 * round.
 *
 * With "write" the program is only the writer, for a reader in another process. Descriptor 3 is the eventfd, descriptor
 * 4 the memory that both see. usage: eventfd write WAKEUPS
 */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int event, wakeups;

/* What reader and writer share. */
struct turn {
	_Atomic double written; /* microseconds of CLOCK_MONOTONIC */
	_Atomic int taken;
};

static struct turn own, *turn = &own;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void *writer(void *unused)
{
	uint64_t one = 1;

	(void)unused;
	for (int i = 0; i < wakeups; i++) {
		while (turn->taken != i)
			usleep(50);
		/* The reader needs time to fall asleep, because the program measures a wake-up. */
		usleep(300);
		turn->written = now();
		if (write(event, &one, sizeof(one)) != sizeof(one))
			exit(1);
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
	if (argc != 3)
		return 2;
	wakeups = atoi(argv[2]);
	if (strcmp(argv[1], "write") == 0) {
		event = 3;
		turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
		if (turn == MAP_FAILED)
			return 1;
		writer(NULL);
		return 0;
	}
	int rounds = atoi(argv[1]);
	double *latency = calloc(wakeups, sizeof(*latency));

	for (int round = 0; round < rounds; round++) {
		pthread_t thread;

		event = eventfd(0, EFD_CLOEXEC);
		turn->taken = 0;
		pthread_create(&thread, NULL, writer, NULL);
		for (int i = 0; i < wakeups; i++) {
			struct pollfd p = { .fd = event, .events = POLLIN };
			uint64_t value;

			if (poll(&p, 1, 1000) != 1 || read(event, &value, sizeof(value)) != sizeof(value))
				return 1;
			latency[i] = now() - turn->written;
			turn->taken = i + 1;
		}
		pthread_join(thread, NULL);
		close(event);
		qsort(latency, wakeups, sizeof(*latency), ascending);
		printf("wakeup %.2f %.2f %.2f\n", latency[wakeups / 2], latency[wakeups * 95 / 100],
		       latency[wakeups * 99 / 100]);
	}
	return 0;
}
