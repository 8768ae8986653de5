/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Faults that `lab mutate` has put into the kernel. Only the one whose number is in mutant_active is active. Each records
  * that its place ran, and whether the fault would have made a difference there.
 */
#ifndef _LINUX_MUTANTS_H
#define _LINUX_MUTANTS_H

#include <linux/compiler.h>
#include <linux/types.h>

#define MUTANT_REACHED 1
#define MUTANT_DIFFERS 2

extern unsigned int mutant_active;
extern unsigned char mutants_seen[];

static __always_inline bool mutant_if(unsigned int number, bool differs)
{
	unsigned char seen = differs ? MUTANT_REACHED | MUTANT_DIFFERS : MUTANT_REACHED;
	unsigned char before = READ_ONCE(mutants_seen[number]);

	/* Most often the record is there already. Without a write the cache line stays shared. */
	if ((before & seen) != seen)
		WRITE_ONCE(mutants_seen[number], before | seen);
	return unlikely(READ_ONCE(mutant_active) == number);
}

static __always_inline bool mutant(unsigned int number)
{
	return mutant_if(number, true);
}

/* The kernel evaluates the condition, and then takes it for its opposite, for false, or for true. */
static __always_inline bool mutant_not(unsigned int number, bool condition)
{
	return mutant_if(number, true) ? !condition : condition;
}

static __always_inline bool mutant_never(unsigned int number, bool condition)
{
	return mutant_if(number, condition) ? false : condition;
}

static __always_inline bool mutant_always(unsigned int number, bool condition)
{
	return mutant_if(number, !condition) ? true : condition;
}

#endif
