#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gap.h"
#include "client/request.h"

enum {
	SHOWN_FILTER = 160,	/* bytes of an expression in messages */
	/* Accepted, but older batches are on their way still. */
	WAITING_MAX = 16,
};

static void
change_free(struct collect_change *change)
{
	programs_fini(&change->programs);
	free(change->places);
	free(change);
}

/* --- what waits for its place in the stream --- */

/* The batches that come now passed these filters. */
static void
apply(struct collect *c, struct collect_change *change)
{
	bool was_newest = c->newest == &change->programs;
	struct err err;
	int rc = E_OK;

	programs_fini(c->programs);
	*c->programs = change->programs;
	change->programs = (struct programs){ .n = 0 };
	if (was_newest)
		c->newest = c->programs;
	for (uint32_t i = 0; i < change->n_places && i < c->n_map && rc == E_OK; i++)
		rc = collect_set_place(c, c->map[i], change->places[i], &err);
	c->n_changes++;
	change_free(change);
	if (rc == E_OK)
		return;
	collect_fail(c, &err);
	collect_stop(c);
}

void
collect_reach(struct collect *c, uint64_t sequence)
{
	struct events_item *item;

	while ((item = events_take(&c->events, sequence)) != NULL) {
		if (item->payload != NULL) {
			c->n_waiting--;
			apply(c, item->payload);
		}
		if (c->out != NULL)
			outputs_note(c->out, item->text);
		free(item);
	}
	c->capture.happened = sensor_announcements(c->sensor) - c->events.n;
	if (c->wants_change)
		collect_change_filter(c);
}

static int
wait_for(struct collect *c, uint64_t sequence, const char *text, void *payload)
{
	int rc = events_push(&c->events, sequence, text, payload);

	if (rc == E_OK)
		collect_reach(c, c->newest_sequence + 1);
	return rc;
}

void
collect_on_event(const struct msg_event *event, void *arg)
{
	struct collect *c = arg;
	char line[ADDRESS_HOST_LEN + PROTO_MAX_TEXT + 64];
	char note[PROTO_MAX_TEXT + 32], clock[24];

	if (c->state >= COLLECT_FLUSHING)
		return;
	/* Times begin anew; what came late of the old ones is of the last second. */
	if (event->kind == CAPTURE_EVENT_CLOCK)
		c->through.ns = event->time.ns - NS_PER_S;
	if (collect_may_report(c)) {
		snprintf(line, sizeof(line), "%s: %s", sensor_name(c->sensor), event->text);
		collect_report(c, line);
	}
	/* A file is read later, and the note stands at the next packet. */
	gap_format_clock(event->time, clock, sizeof(clock));
	snprintf(note, sizeof(note), "%s, at %s", event->text, clock);
	/* Too many: it is said, but not in its place in the file. */
	if (wait_for(c, event->sequence, note, NULL) != E_OK && c->out != NULL)
		outputs_note(c->out, note);
}

void
collect_forget_changes(struct collect *c)
{
	struct events_item *item;

	while ((item = events_take(&c->events, UINT64_MAX)) != NULL) {
		if (item->payload != NULL)
			change_free(item->payload);
		free(item);
	}
	collect_drop_asked(c);
}

/* --- a change of the filter --- */

static void
report_failure(struct collect *c, const char *cause)
{
	char line[ERR_WHAT_LEN + PROTO_MAX_TEXT];

	snprintf(line, sizeof(line), "filter not changed, the old one stays: %s",
	    cause);
	collect_report(c, line);
}

void
collect_change_filter(struct collect *c)
{
	struct err err;

	if (c->state > COLLECT_RUNNING)
		return;
	/* Several signals meanwhile are one more reading of the file. */
	c->wants_change = c->state == COLLECT_CONNECTING || c->link.is_lost ||
	    c->is_reading ||
	    c->asked != NULL || c->n_waiting == WAITING_MAX;
	if (c->wants_change)
		return;
	if (collect_read_file(c, &err) == E_OK)
		c->is_reading = true;
	else
		report_failure(c, err.what);
}

/* Takes new. */
static void
ask_for_change(struct collect *c, struct programs *new)
{
	struct msg_update_filter update = {
		.number = c->change_number + 1,
		.n_filters = new->n,
		.filters = new->filters,
	};
	struct collect_change *change = calloc(1, sizeof(*change));
	struct err err;

	if (change == NULL || request_check_update(&update, &err) != E_OK) {
		report_failure(c, change == NULL ? "out of memory" : err.what);
		programs_fini(new);
		free(change);
		return;
	}
	change->programs = *new;
	c->asked = change;
	c->change_number++;
	sensor_update_filter(c->sensor, &update);
}

/* The connection broke while libpcap worked: the file is read once more. */
static void
drop_for_later(struct collect *c, struct programs *new)
{
	programs_fini(new);
	c->wants_change = true;
}

void
collect_take_file(struct collect *c, struct programs *new, const struct err *err)
{
	c->is_reading = false;
	if (new == NULL)
		report_failure(c, err->what);
	else if (c->state > COLLECT_RUNNING)
		programs_fini(new);
	else if (c->link.is_lost)
		drop_for_later(c, new);
	else
		ask_for_change(c, new);
	if (c->wants_change)
		collect_change_filter(c);
}

/* The expression that is another one now. */
static const char *
changed_text(const struct programs *before, const struct programs *now)
{
	for (uint32_t i = 0; i < now->n && i < before->n; i++)
		if (strcmp(before->filters[i].text, now->filters[i].text) != 0)
			return now->filters[i].text;
	return now->filters[0].text;
}

static void
format_change(struct collect *c, const struct collect_change *change,
    struct wall_ns time, char *dst, size_t size)
{
	const char *text = changed_text(c->newest, &change->programs);
	char clock[24];

	gap_format_clock(time, clock, sizeof(clock));
	if (text[0] == '\0')
		snprintf(dst, size, "filter changed to none: everything, at %s", clock);
	else
		snprintf(dst, size, "filter changed to '%.*s%s' at %s", SHOWN_FILTER, text,
		    strlen(text) > SHOWN_FILTER ? "..." : "", clock);
}

static int
take_places(struct collect_change *change, const struct msg_filter_changed *changed)
{
	change->places = calloc(changed->n_places + 1, sizeof(*change->places));
	if (change->places == NULL)
		return E_NOMEM;
	if (changed->n_places > 0)
		memcpy(change->places, changed->places,
		    changed->n_places * sizeof(*change->places));
	change->n_places = changed->n_places;
	return E_OK;
}

/* The filters are in force on the sensor: they must be here, in their place. */
static void
accept_change(struct collect *c, struct collect_change *change,
    const struct msg_filter_changed *changed)
{
	char text[SHOWN_FILTER + 80];
	struct err err;

	format_change(c, change, changed->time, text, sizeof(text));
	collect_report(c, text);
	c->newest = &change->programs;
	c->n_waiting++;
	for (uint32_t i = 0; i < changed->n_places && i < c->n_map; i++)
		c->interfaces[c->map[i]].newest_place = changed->places[i];
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		collect_warn_of_travel(c, i);
	if (take_places(change, changed) == E_OK &&
	    wait_for(c, changed->sequence, text, change) == E_OK)
		return;
	c->newest = c->programs;
	c->n_waiting--;
	change_free(change);
	err_set(&err, E_NOMEM, "filter: change: out of memory");
	collect_fail(c, &err);
	collect_stop(c);
}

/* The answer to a run before this one, which kept its words to itself. */
static void
note_old_change(struct collect *c, const struct msg_filter_changed *changed)
{
	char text[80], clock[24];

	if (changed->code != E_OK)
		return;
	gap_format_clock(changed->time, clock, sizeof(clock));
	snprintf(text, sizeof(text), "filter changed at %s", clock);
	if (wait_for(c, changed->sequence, text, NULL) != E_OK && c->out != NULL)
		outputs_note(c->out, text);
}

void
collect_ask_again(struct collect *c)
{
	struct msg_update_filter update = {
		.number = c->change_number,
		.n_filters = c->asked->programs.n,
		.filters = c->asked->programs.filters,
	};

	sensor_update_filter(c->sensor, &update);
}

void
collect_drop_asked(struct collect *c)
{
	if (c->asked != NULL)
		change_free(c->asked);
	c->asked = NULL;
}

void
collect_on_filter_changed(const struct msg_filter_changed *changed, void *arg)
{
	struct collect *c = arg;
	struct collect_change *change = c->asked;

	if (change == NULL || changed->number != c->change_number) {
		note_old_change(c, changed);
		return;
	}
	c->asked = NULL;
	if (changed->code == E_OK) {
		accept_change(c, change, changed);
	} else {
		report_failure(c, changed->text[0] != '\0' ? changed->text :
		    err_text(changed->code));
		change_free(change);
	}
	if (c->wants_change)
		collect_change_filter(c);
	collect_compile_missing(c);
}
