// SPDX-License-Identifier: GPL-2.0
/*
 * mpin: a mediated device that calls what VFIO offers to drivers, as user space tells it.
 *
 * A driver of a mediated device reaches the user's memory by vfio_pin_pages(), vfio_unpin_pages() and vfio_dma_rw(), and lets go of
 * it in dma_unmap. In the kernel only drivers of rare hardware do so. This device does it for tests. It has no registers but a
 * struct mpin_block at the start of its file: a write of its parameters, then one of its operation, which runs before the write
 * returns. Reads show the result.
 */

#include <linux/device.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

/* As many pages as one call of vfio_pin_pages() may pin: VFIO_PIN_PAGES_MAX_ENTRIES. */
#define MPIN_WORDS 512
#define MPIN_RANGES (MPIN_WORDS / 2)
#define MPIN_MAX_PINS 1024
#define MPIN_MAX_DEVICES 16

enum mpin_operation {
	/* Pins @count pages from @iova on for the accesses in @argument (IOMMU_READ, IOMMU_WRITE); @data: their page frames. */
	MPIN_PIN = 1,
	/* Takes back the last such pin of @count pages at @iova. */
	MPIN_UNPIN = 2,
	/* Copies @count bytes from @iova into @data, as a device would do by DMA. */
	MPIN_READ = 3,
	/* Copies @count bytes of @data to @iova. */
	MPIN_WRITE = 4,
	/* Combines the @count ranges in @data (pairs of start and last) until @argument are left; @data: those. */
	MPIN_COMBINE = 5,
};

/* What user space sees. It may write the operation alone, anything from @iova to @argument, and anything in @data. */
struct mpin_block {
	u32 operation;
	/* What the called function returned, or how many ranges are left. */
	s32 result;
	u64 iova;
	u32 count;
	u32 argument;
	/* How often the kernel called dma_unmap since the device was opened, and the last call's range. */
	u64 unmaps;
	u64 unmap_iova;
	u64 unmap_length;
	u64 reserved[2];
	u64 data[MPIN_WORDS];
};

/* One call of vfio_pin_pages(). iommufd takes back only what was pinned by one call. */
struct mpin_pin {
	struct list_head node;
	u64 iova;
	u32 pages;
};

struct mpin {
	struct vfio_device vdev;
	/* Protects all below. VFIO takes its own locks inside, in vfio_unpin_pages() also when it called dma_unmap. */
	struct mutex lock;
	struct list_head pins;
	u32 pin_count;
	struct mpin_block block;
	struct page *pages[MPIN_WORDS];
};

static struct mpin *to_mpin(struct vfio_device *vdev)
{
	return container_of(vdev, struct mpin, vdev);
}

static void mpin_release(struct mpin *mpin, struct mpin_pin *pin)
{
	vfio_unpin_pages(&mpin->vdev, pin->iova, pin->pages);
	list_del(&pin->node);
	mpin->pin_count--;
	kfree(pin);
}

static int mpin_pin(struct mpin *mpin)
{
	struct mpin_block *block = &mpin->block;
	struct mpin_pin *pin;
	int pinned, page;

	if (block->count > MPIN_WORDS || (block->argument & ~(IOMMU_READ | IOMMU_WRITE)))
		return -EINVAL;
	/*
	 * vfio_iommu_type1_pin_pages() looks for a mapping that overlaps the page's size from the IOVA on. Without alignment, it
	 * may find one mapping now, and another one when it unpins.
	 */
	if (!PAGE_ALIGNED(block->iova))
		return -EINVAL;
	if (mpin->pin_count == MPIN_MAX_PINS)
		return -ENOSPC;
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;
	pinned = vfio_pin_pages(&mpin->vdev, block->iova, block->count, block->argument, mpin->pages);
	if (pinned <= 0) {
		kfree(pin);
		return pinned;
	}
	for (page = 0; page < pinned; page++)
		block->data[page] = page_to_pfn(mpin->pages[page]);
	pin->iova = block->iova;
	pin->pages = pinned;
	list_add(&pin->node, &mpin->pins);
	mpin->pin_count++;
	return pinned;
}

static int mpin_unpin(struct mpin *mpin)
{
	struct mpin_pin *pin;

	list_for_each_entry(pin, &mpin->pins, node) {
		if (pin->iova == mpin->block.iova && pin->pages == mpin->block.count) {
			mpin_release(mpin, pin);
			return 0;
		}
	}
	return -ENOENT;
}

static int mpin_copy(struct mpin *mpin, bool write)
{
	struct mpin_block *block = &mpin->block;

	if (block->count > sizeof(block->data))
		return -EINVAL;
	return vfio_dma_rw(&mpin->vdev, block->iova, block->data, block->count, write);
}

static int mpin_combine(struct mpin_block *block)
{
	struct rb_root_cached root = RB_ROOT_CACHED;
	struct interval_tree_node *nodes, *node;
	int ret, range;

	if (!block->count || block->count > MPIN_RANGES || !block->argument)
		return -EINVAL;
	nodes = kcalloc(block->count, sizeof(*nodes), GFP_KERNEL_ACCOUNT);
	if (!nodes)
		return -ENOMEM;
	for (range = 0; range < block->count; range++) {
		node = &nodes[range];
		node->start = block->data[2 * range];
		node->last = block->data[2 * range + 1];
		/* VFIO's callers never have ranges that overlap, nor a gap of all addresses. */
		if (node->start > node->last || node->last > LONG_MAX ||
		    interval_tree_iter_first(&root, node->start, node->last)) {
			ret = -EINVAL;
			goto out;
		}
		interval_tree_insert(node, &root);
	}
	vfio_combine_iova_ranges(&root, block->count, block->argument);
	ret = 0;
	for (node = interval_tree_iter_first(&root, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		block->data[2 * ret] = node->start;
		block->data[2 * ret + 1] = node->last;
		ret++;
	}
out:
	kfree(nodes);
	return ret;
}

static int mpin_run(struct mpin *mpin)
{
	switch (mpin->block.operation) {
	case MPIN_PIN:
		return mpin_pin(mpin);
	case MPIN_UNPIN:
		return mpin_unpin(mpin);
	case MPIN_READ:
		return mpin_copy(mpin, false);
	case MPIN_WRITE:
		return mpin_copy(mpin, true);
	case MPIN_COMBINE:
		return mpin_combine(&mpin->block);
	}
	return -EOPNOTSUPP;
}

static ssize_t mpin_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *ppos)
{
	struct mpin *mpin = to_mpin(vdev);
	ssize_t ret;

	mutex_lock(&mpin->lock);
	ret = simple_read_from_buffer(buf, count, ppos, &mpin->block, sizeof(mpin->block));
	mutex_unlock(&mpin->lock);
	return ret;
}

static bool mpin_is_within(u64 pos, size_t count, size_t start, size_t end)
{
	return pos >= start && pos <= end && count <= end - pos;
}

static ssize_t mpin_write(struct vfio_device *vdev, const char __user *buf, size_t count, loff_t *ppos)
{
	const size_t parameters = offsetof(struct mpin_block, iova);
	const size_t status = offsetofend(struct mpin_block, argument);
	const size_t data = offsetof(struct mpin_block, data);
	struct mpin *mpin = to_mpin(vdev);
	bool is_operation = *ppos == 0 && count == sizeof(mpin->block.operation);
	ssize_t ret = count;

	if (!is_operation && !mpin_is_within(*ppos, count, parameters, status) &&
	    !mpin_is_within(*ppos, count, data, sizeof(mpin->block)))
		return -EINVAL;
	mutex_lock(&mpin->lock);
	if (copy_from_user((u8 *)&mpin->block + *ppos, buf, count))
		ret = -EFAULT;
	else if (is_operation)
		mpin->block.result = mpin_run(mpin);
	mutex_unlock(&mpin->lock);
	if (ret > 0)
		*ppos += ret;
	return ret;
}

/* Takes back every pin that has a page in the range. The kernel goes on with the unmapping when this returns. */
static void mpin_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct mpin *mpin = to_mpin(vdev);
	struct mpin_pin *pin, *next;
	u64 last;

	if (!length || check_add_overflow(iova, length - 1, &last))
		last = U64_MAX;
	mutex_lock(&mpin->lock);
	mpin->block.unmaps++;
	mpin->block.unmap_iova = iova;
	mpin->block.unmap_length = length;
	list_for_each_entry_safe(pin, next, &mpin->pins, node) {
		u64 pin_last = pin->iova + ((u64)pin->pages << PAGE_SHIFT) - 1;

		if (pin->iova <= last && pin_last >= iova)
			mpin_release(mpin, pin);
	}
	mutex_unlock(&mpin->lock);
}

static int mpin_open(struct vfio_device *vdev)
{
	struct mpin *mpin = to_mpin(vdev);

	mutex_lock(&mpin->lock);
	memset(&mpin->block, 0, sizeof(mpin->block));
	mutex_unlock(&mpin->lock);
	return 0;
}

static void mpin_close(struct vfio_device *vdev)
{
	struct mpin *mpin = to_mpin(vdev);
	struct mpin_pin *pin, *next;

	mutex_lock(&mpin->lock);
	list_for_each_entry_safe(pin, next, &mpin->pins, node)
		mpin_release(mpin, pin);
	mutex_unlock(&mpin->lock);
}

static int mpin_init(struct vfio_device *vdev)
{
	struct mpin *mpin = to_mpin(vdev);

	mutex_init(&mpin->lock);
	INIT_LIST_HEAD(&mpin->pins);
	return 0;
}

static void mpin_destroy(struct vfio_device *vdev)
{
	mutex_destroy(&to_mpin(vdev)->lock);
}

static const struct vfio_device_ops mpin_ops = {
	.name = "mpin",
	.init = mpin_init,
	.release = mpin_destroy,
	.open_device = mpin_open,
	.close_device = mpin_close,
	.read = mpin_read,
	.write = mpin_write,
	.dma_unmap = mpin_dma_unmap,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

static int mpin_probe(struct mdev_device *mdev)
{
	struct mpin *mpin;
	int ret;

	mpin = vfio_alloc_device(mpin, vdev, &mdev->dev, &mpin_ops);
	if (IS_ERR(mpin))
		return PTR_ERR(mpin);
	ret = vfio_register_emulated_iommu_dev(&mpin->vdev);
	if (ret) {
		vfio_put_device(&mpin->vdev);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, mpin);
	return 0;
}

static void mpin_remove(struct mdev_device *mdev)
{
	struct mpin *mpin = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&mpin->vdev);
	vfio_put_device(&mpin->vdev);
}

static struct mdev_driver mpin_driver = {
	.device_api = VFIO_DEVICE_API_PLATFORM_STRING,
	.max_instances = MPIN_MAX_DEVICES,
	.driver = {
		.name = "mpin",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = mpin_probe,
	.remove = mpin_remove,
};

static struct mdev_type mpin_type = {
	.sysfs_name = "1",
	.pretty_name = "Device that pins pages",
};

static struct mdev_type *mpin_types[] = { &mpin_type };
static struct mdev_parent mpin_parent;
static struct class *mpin_class;
static struct device *mpin_device;

static int __init mpin_load(void)
{
	int ret;

	ret = mdev_register_driver(&mpin_driver);
	if (ret)
		return ret;
	mpin_class = class_create("mpin");
	if (IS_ERR(mpin_class)) {
		ret = PTR_ERR(mpin_class);
		goto err_driver;
	}
	mpin_device = device_create(mpin_class, NULL, 0, NULL, "mpin");
	if (IS_ERR(mpin_device)) {
		ret = PTR_ERR(mpin_device);
		goto err_class;
	}
	ret = mdev_register_parent(&mpin_parent, mpin_device, &mpin_driver, mpin_types, ARRAY_SIZE(mpin_types));
	if (ret)
		goto err_device;
	return 0;

err_device:
	device_unregister(mpin_device);
err_class:
	class_destroy(mpin_class);
err_driver:
	mdev_unregister_driver(&mpin_driver);
	return ret;
}

static void __exit mpin_unload(void)
{
	mdev_unregister_parent(&mpin_parent);
	device_unregister(mpin_device);
	class_destroy(mpin_class);
	mdev_unregister_driver(&mpin_driver);
}

module_init(mpin_load)
module_exit(mpin_unload)

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mediated device that pins, reads and writes the user's memory for tests of VFIO");
