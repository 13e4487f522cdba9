/*
 * outfile_lab - an output file in a directory of its own, what its writer
 * reports, and what is in it.
 */
#ifndef TESTS_UNIT_OUTFILE_LAB_H
#define TESTS_UNIT_OUTFILE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sys/resource.h>

#include "client/outfile.h"
#include "client/resume_record.h"

enum { OUTFILE_LAB_BLOCK = 777 };

struct outfile_lab {
	char		 dir[32], path[64], command_line[512];
	struct outfile_config cfg;
	struct outfile	*out;
	unsigned	 n_events[OUTFILE_EV_RECOVERED + 1];
	enum outfile_event wanted;	/* the loop stops there */
	uint64_t	 n_blocks;	/* put so far: what they hold follows from it */
	struct err	 stall, err;
};

/* A directory and a loop; open it with outfile_lab_open(). */
void outfile_lab_start(struct outfile_lab *lab);
void outfile_lab_open(struct outfile_lab *lab);

/* Open it with a record, new or old; an old one says where it goes on. */
void outfile_lab_record(struct outfile_lab *lab, enum resume_record_mode mode);

/* n more blocks, each with bytes of its own, flushed. */
void outfile_lab_put(struct outfile_lab *lab, unsigned n);

/* Run the loop until event comes once more, or until so many marks are done. */
void outfile_lab_await(struct outfile_lab *lab, enum outfile_event event);
void outfile_lab_await_marks(struct outfile_lab *lab, uint64_t n);

/* Run the loop until everything is written. */
void outfile_lab_await_written(struct outfile_lab *lab);

/* Run in the directory; must succeed. */
void outfile_lab_sh(struct outfile_lab *lab, const char *command);

/* The file name in the directory holds the first n blocks and nothing else. */
void outfile_lab_assert_holds(struct outfile_lab *lab, const char *name, uint64_t n);

void outfile_lab_finish(struct outfile_lab *lab);

/* Let no file grow beyond bytes, or without an end (0). */
void outfile_lab_limit(rlim_t bytes);

#endif /* TESTS_UNIT_OUTFILE_LAB_H */
