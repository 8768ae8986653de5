// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The switch of the faults in include/linux/mutants.h, and the record of those that ran: /sys/kernel/debug/mutants. */
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/mutants.h>
#include <linux/seq_file.h>

/* MUTANTS, how many there are, and MUTANTS_KEY, which set it is. */
#include "mutants-set.h"

unsigned int mutant_active;
EXPORT_SYMBOL_GPL(mutant_active);

unsigned char mutants_seen[MUTANTS + 1];
EXPORT_SYMBOL_GPL(mutants_seen);

/* On the kernel command line: mutant=17 */
core_param(mutant, mutant_active, uint, 0600);

/* A line for each mutant whose place ran: its number, and 1 when the fault would have made a difference, else 0. */
static int seen_show(struct seq_file *file, void *data)
{
	unsigned int number;

	for (number = 1; number <= MUTANTS; number++) {
		unsigned char seen = READ_ONCE(mutants_seen[number]);

		if (seen)
			seq_printf(file, "%u %d\n", number, !!(seen & MUTANT_DIFFERS));
	}
	return 0;
}

static int seen_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, seen_show, NULL, MUTANTS * 12 + PAGE_SIZE);
}

/* Any write clears the record. */
static ssize_t seen_write(struct file *file, const char __user *buffer, size_t size, loff_t *position)
{
	unsigned int number;

	for (number = 1; number <= MUTANTS; number++)
		WRITE_ONCE(mutants_seen[number], 0);
	return size;
}

static const struct file_operations seen_operations = {
	.owner = THIS_MODULE,
	.open = seen_open,
	.read = seq_read,
	.write = seen_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int key_show(struct seq_file *file, void *data)
{
	seq_puts(file, MUTANTS_KEY "\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(key);

static int __init mutants_init(void)
{
	struct dentry *folder = debugfs_create_dir("mutants", NULL);

	debugfs_create_u32("active", 0600, folder, &mutant_active);
	debugfs_create_file("seen", 0600, folder, NULL, &seen_operations);
	debugfs_create_file("key", 0400, folder, NULL, &key_fops);
	return 0;
}
late_initcall(mutants_init);
