/*
 * What a C program pays for a width-exact access to memory: the floor under the same access from TypeScript.
 * usage: mmio ROUNDS ACCESSES -> lines "read32 NS", "write32 NS", "read64 NS", one per round and operation.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int rounds = atoi(argv[1]);
	long accesses = atol(argv[2]);
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	volatile uint32_t *reg32 = (volatile uint32_t *)(page + 16);
	volatile uint64_t *reg64 = (volatile uint64_t *)(page + 32);
	uint64_t sum = 0;

	for (int round = 0; round < rounds; round++) {
		double start = now();
		for (long i = 0; i < accesses; i++)
			sum += *reg32;
		printf("read32 %.3f\n", (now() - start) / accesses);

		start = now();
		for (long i = 0; i < accesses; i++)
			*reg32 = (uint32_t)i;
		printf("write32 %.3f\n", (now() - start) / accesses);

		start = now();
		for (long i = 0; i < accesses; i++)
			sum += *reg64;
		printf("read64 %.3f\n", (now() - start) / accesses);
	}
	fprintf(stderr, "%llu\n", (unsigned long long)sum);
	return 0;
}
