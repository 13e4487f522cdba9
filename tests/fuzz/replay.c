/*
 * replay - run a fuzz target over a corpus: every file as it is, cut at every
 * length, and with every bit flipped.
 *
 * Usage: fuzz_TARGET FOLDER
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { MAX_LEN = 64 << 10 };

/* A fresh allocation of the exact size, so that ASan sees every overrun. */
static void
run_copy(const uint8_t *data, size_t len, size_t flip_bit)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);

	if (copy == NULL)
		abort();
	memcpy(copy, data, len);
	if (flip_bit < len * 8)
		copy[flip_bit / 8] ^= (uint8_t)(1u << (flip_bit % 8));
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static size_t
replay(const char *path)
{
	static uint8_t data[MAX_LEN];
	FILE *f = fopen(path, "rb");
	size_t len, step;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* Long inputs: a sample of the places. */
	step = len / 2048 + 1;
	for (size_t cut = 0; cut <= len; cut += step)
		run_copy(data, cut, SIZE_MAX);
	for (size_t bit = 0; bit < len * 8; bit += step)
		run_copy(data, len, bit);
	return len * 9 / step;
}

int
main(int argc, char *argv[])
{
	char path[4096];
	struct dirent *e;
	size_t files = 0, runs = 0;
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

	if (dir == NULL) {
		fprintf(stderr, "usage: %s FOLDER (that exists)\n", argv[0]);
		return 2;
	}
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		runs += replay(path);
		files++;
	}
	closedir(dir);
	printf("%zu files, %zu runs\n", files, runs);
	return files == 0;
}
