#include "client/output_head.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"

enum {
	PCAP_HEAD = 24,
	BLOCK_SHB = 0x0A0D0D0A, BLOCK_IDB = 1,
	BLOCK_HEAD = 8,
	BLOCK_MIN = 12,
	/* 4,096 interfaces of some hundred bytes. */
	HEAD_MAX = 4 << 20,
};

static bool
is_only_pcap_head(const uint8_t *p, size_t len)
{
	uint32_t magic = get_le32(p);

	return (magic == 0xA1B23C4D || magic == 0xA1B2C3D4) && len <= PCAP_HEAD;
}

static bool
is_only_pcapng_head(const uint8_t *p, size_t len)
{
	if (get_le32(p) != BLOCK_SHB)
		return false;
	while (len >= BLOCK_HEAD) {
		uint32_t type = get_le32(p), size = get_le32(p + 4);

		if ((type != BLOCK_SHB && type != BLOCK_IDB) || size < BLOCK_MIN)
			return false;
		if (size >= len)
			return true;
		p += size;
		len -= size;
	}
	return true;
}

static bool
is_only_head(const uint8_t *p, size_t len)
{
	return len < 4 || is_only_pcap_head(p, len) || is_only_pcapng_head(p, len);
}

bool
output_is_only_head(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool is_head = false;
	struct stat st;
	uint8_t *p;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= HEAD_MAX) {
		p = malloc((size_t)st.st_size + 1);
		if (p != NULL && pread(fd, p, (size_t)st.st_size, 0) == st.st_size)
			is_head = is_only_head(p, (size_t)st.st_size);
		free(p);
	}
	close(fd);
	return is_head;
}
