/*
 * The C baseline for the kernel's side: map+unmap and device open+close in each IOMMU mode, by the same ioctls in the
 * same order as the TypeScript toolkit. This file declares the ABI, because the headers of older distributions lack
 * iommufd and the VFIO character device. Numbers are from include/uapi/linux/{vfio,iommufd}.h.
 *
 * usage: vfio MODE BDF map SIZE COUNT   -> "NS per map+unmap pair"
 *        vfio MODE BDF open COUNT       -> "NS per open+close"
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define VFIO(n) (0x3b64 + (n))
enum {
	GET_API_VERSION = VFIO(0),
	CHECK_EXTENSION = VFIO(1),
	SET_IOMMU = VFIO(2),
	GROUP_GET_STATUS = VFIO(3),
	GROUP_SET_CONTAINER = VFIO(4),
	GROUP_GET_DEVICE_FD = VFIO(6),
	DEVICE_GET_INFO = VFIO(7),
	DEVICE_GET_REGION_INFO = VFIO(8),
	DEVICE_GET_IRQ_INFO = VFIO(9),
	MAP_DMA = VFIO(13),
	UNMAP_DMA = VFIO(14),
	BIND_IOMMUFD = VFIO(18),
	ATTACH_PT = VFIO(19),
	IOAS_ALLOC = 0x3b81,
	IOAS_MAP = 0x3b85,
	IOAS_UNMAP = 0x3b86,
};

struct group_status { uint32_t argsz, flags; };
struct device_info { uint32_t argsz, flags, regions, irqs, cap_offset, pad; };
struct region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
struct irq_info { uint32_t argsz, flags, index, count; };
struct dma_map { uint32_t argsz, flags; uint64_t vaddr, iova, size; };
struct dma_unmap { uint32_t argsz, flags; uint64_t iova, size; };
struct bind { uint32_t argsz, flags; int32_t iommufd; uint32_t devid; uint64_t token; };
struct attach { uint32_t argsz, flags, pt, pasid; };
struct ioas_alloc { uint32_t size, flags, id; };
struct ioas_map { uint32_t size, flags, ioas, reserved; uint64_t vaddr, length, iova; };
struct ioas_unmap { uint32_t size, ioas; uint64_t iova, length; };

static const struct mode {
	const char *name, *container;
	int type;
} modes[] = {
	{ "vfio_type1_iommu", "/dev/vfio/vfio", 1 },
	{ "vfio_type1v2_iommu", "/dev/vfio/vfio", 3 },
	{ "iommufd_compat_type1", "/dev/iommu", 1 },
	{ "iommufd_compat_type1v2", "/dev/iommu", 3 },
	{ "iommufd", NULL, 0 },
};

struct space { int fd; uint32_t ioas; };
struct device { int fd, group; void *bars[6]; uint64_t sizes[6]; };

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static struct space space_open(const struct mode *mode)
{
	struct space s = { 0 };

	s.fd = open(mode->container ? mode->container : "/dev/iommu", O_RDWR | O_CLOEXEC);
	must(s.fd >= 0, "open the address space");
	if (mode->container) {
		must(ioctl(s.fd, GET_API_VERSION) == 0, "GET_API_VERSION");
	} else {
		struct ioas_alloc alloc = { .size = sizeof(alloc) };

		must(!ioctl(s.fd, IOAS_ALLOC, &alloc), "IOAS_ALLOC");
		s.ioas = alloc.id;
	}
	return s;
}

static void device_attach_group(struct device *d, const struct mode *mode, struct space *s, const char *bdf)
{
	char path[128], link[256];
	struct group_status status = { .argsz = sizeof(status) };
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	must(n > 0, "iommu_group");
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	d->group = open(path, O_RDWR | O_CLOEXEC);
	must(d->group >= 0, "open the group");
	must(!ioctl(d->group, GROUP_GET_STATUS, &status) && (status.flags & 1), "group viable");
	must(!ioctl(d->group, GROUP_SET_CONTAINER, &s->fd), "SET_CONTAINER");
	must(ioctl(s->fd, CHECK_EXTENSION, mode->type) > 0, "CHECK_EXTENSION");
	must(!ioctl(s->fd, SET_IOMMU, mode->type), "SET_IOMMU");
	d->fd = ioctl(d->group, GROUP_GET_DEVICE_FD, bdf);
	must(d->fd >= 0, "GET_DEVICE_FD");
}

static void device_attach_cdev(struct device *d, struct space *s, const char *bdf)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	must(dir != NULL, "vfio-dev");
	path[0] = 0;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
	closedir(dir);
	d->fd = open(path, O_RDWR | O_CLOEXEC);
	must(d->fd >= 0, "open the device");
	struct bind bind = { .argsz = sizeof(bind), .iommufd = s->fd };
	must(!ioctl(d->fd, BIND_IOMMUFD, &bind), "BIND_IOMMUFD");
	struct attach attach = { .argsz = sizeof(attach), .pt = s->ioas };
	must(!ioctl(d->fd, ATTACH_PT, &attach), "ATTACH");
}

/* Opens the device and asks what the toolkit asks at open: info, config region, BARs (mapped), MSI, MSI-X. */
static struct device device_open(const struct mode *mode, struct space *s, const char *bdf)
{
	struct device d = { .fd = -1, .group = -1 };
	struct device_info info = { .argsz = sizeof(info) };

	if (mode->container)
		device_attach_group(&d, mode, s, bdf);
	else
		device_attach_cdev(&d, s, bdf);
	must(!ioctl(d.fd, DEVICE_GET_INFO, &info), "GET_INFO");
	for (uint32_t i = 0; i < 8; i++) {
		struct region_info region = { .argsz = sizeof(region), .index = i };

		if (i == 6)
			continue;
		must(!ioctl(d.fd, DEVICE_GET_REGION_INFO, &region), "REGION_INFO");
		if (i < 6 && (region.flags & 4) && region.size) {
			d.sizes[i] = (region.size + 4095) & ~4095ull;
			d.bars[i] = mmap(NULL, d.sizes[i], PROT_READ | PROT_WRITE, MAP_SHARED, d.fd, region.offset);
			must(d.bars[i] != MAP_FAILED, "mmap BAR");
		}
	}
	for (uint32_t i = 1; i < 3; i++) {
		struct irq_info irq = { .argsz = sizeof(irq), .index = i };

		must(!ioctl(d.fd, DEVICE_GET_IRQ_INFO, &irq), "IRQ_INFO");
	}
	return d;
}

static void device_close(struct device *d)
{
	for (int i = 0; i < 6; i++)
		if (d->bars[i])
			munmap(d->bars[i], d->sizes[i]);
	close(d->fd);
	if (d->group >= 0)
		close(d->group);
}

static void map_unmap(const struct mode *mode, struct space *s, void *memory, uint64_t size, uint64_t iova)
{
	if (mode->container) {
		struct dma_map map = { sizeof(map), 3, (uint64_t)memory, iova, size };
		struct dma_unmap unmap = { sizeof(unmap), 0, iova, size };

		must(!ioctl(s->fd, MAP_DMA, &map), "MAP_DMA");
		must(!ioctl(s->fd, UNMAP_DMA, &unmap) && unmap.size == size, "UNMAP_DMA");
	} else {
		struct ioas_map map = { sizeof(map), 7, s->ioas, 0, (uint64_t)memory, size, iova };
		struct ioas_unmap unmap = { sizeof(unmap), s->ioas, iova, size };

		must(!ioctl(s->fd, IOAS_MAP, &map), "IOAS_MAP");
		must(!ioctl(s->fd, IOAS_UNMAP, &unmap) && unmap.length == size, "IOAS_UNMAP");
	}
}

static void *aligned_memory(uint64_t size)
{
	uint8_t *raw = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(raw != MAP_FAILED, "mmap");
	raw = (uint8_t *)(((uintptr_t)raw + size - 1) & ~(size - 1));
	memset(raw, 1, size);
	return raw;
}

int main(int argc, char **argv)
{
	const struct mode *mode = NULL;

	for (size_t i = 0; argc > 3 && i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(argv[1], modes[i].name))
			mode = &modes[i];
	if (!mode)
		return 2;
	if (!strcmp(argv[3], "map") && argc == 6) {
		uint64_t size = strtoull(argv[4], NULL, 0), iova = 1ull << 32;
		int count = atoi(argv[5]);
		struct space s = space_open(mode);
		struct device d = device_open(mode, &s, argv[2]);
		void *memory = aligned_memory(size);

		for (int i = 0; i < count / 4 + 1; i++)
			map_unmap(mode, &s, memory, size, iova);
		double start = now();
		for (int i = 0; i < count; i++)
			map_unmap(mode, &s, memory, size, iova);
		printf("%.1f\n", (now() - start) / count);
		device_close(&d);
		close(s.fd);
	} else if (!strcmp(argv[3], "open") && argc == 5) {
		int count = atoi(argv[4]);
		double start = now();

		for (int i = 0; i < count; i++) {
			struct space s = space_open(mode);
			struct device d = device_open(mode, &s, argv[2]);

			device_close(&d);
			close(s.fd);
		}
		printf("%.1f\n", (now() - start) / count);
	} else {
		return 2;
	}
	return 0;
}
