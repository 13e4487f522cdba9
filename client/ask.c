#include "client/ask.h"

#include <stdio.h>

#include "client/list.h"
#include "client/plan.h"
#include "client/request.h"
#include "client/sensor.h"
#include "client/ui_text.h"
#include "common/loop.h"

struct ask {
	const struct options *opt;
	struct programs	*programs;
	struct loop	*loop;
	struct sensor	*sensor;
	struct ui_text	 ui;
	enum exit_status status;
};

static void
on_failed(const struct err *err, void *arg)
{
	struct ask *a = arg;

	ui_text_message(&a->ui, err->what);
	a->status = exit_status_of(err->code);
	loop_stop(a->loop);
}

static void
ask_for_plan(struct ask *a)
{
	struct msg_start start;
	struct err err;

	if (request_make(a->opt, a->programs, &start, &err) != E_OK) {
		on_failed(&err, a);
		return;
	}
	sensor_start(a->sensor, &start);
	request_free(&start);
}

static void
on_hello(const struct msg_hello *hello, void *arg)
{
	struct ask *a = arg;

	(void)hello;
	if (a->opt->action == OPTIONS_PLAN)
		ask_for_plan(a);
	else
		sensor_ask_list(a->sensor);
}

static void
on_need_programs(const struct msg_need_programs *need, void *arg)
{
	struct ask *a = arg;
	struct err err;

	if (programs_need(a->programs, need->link_types, need->n, &err) != E_OK)
		on_failed(&err, a);
	else
		ask_for_plan(a);
}

/* A listing alone would pass for the whole filter. */
static void
tell_what_is_not_listed(struct ask *a, const struct msg_plan *plan)
{
	char text[2 * PROTO_MAX_NAME + 128];

	for (uint32_t i = 0; i < plan->n_interfaces; i++) {
		const struct msg_capture_interface *iface = &plan->interfaces[i].interface;

		if (iface->filter_place == FILTER_KERNEL)
			continue;
		snprintf(text, sizeof(text), "interface '%s': this program is not all of "
		    "the filter: %s: see --plan", iface->name,
		    iface->filter_place == FILTER_CLIENT ?
		    "all packets travel and are filtered here" :
		    "the agent judges tagged packets");
		ui_text_message(&a->ui, text);
	}
	if (plan->notes[0] != '\0')
		ui_text_message(&a->ui, plan->notes);
}

static void
on_plan(const struct msg_plan *plan, void *arg)
{
	struct ask *a = arg;
	struct err err;

	if (plan_print(stdout, plan, a->opt, a->programs, &err) != E_OK) {
		on_failed(&err, a);
		return;
	}
	if (a->opt->dump > 0)
		tell_what_is_not_listed(a, plan);
	loop_stop(a->loop);
}

static int
print_list(const struct ask *a, const struct msg_interface_list *list, struct err *err)
{
	switch (a->opt->action) {
	case OPTIONS_LIST_LINK_TYPES:
		return list_print_link_types(stdout, list, a->opt, err);
	case OPTIONS_LIST_TIME_STAMPS:
		return list_print_time_stamps(stdout, list, a->opt, err);
	default:
		return list_print(stdout, list, err);
	}
}

static void
on_list(const struct msg_interface_list *list, void *arg)
{
	struct ask *a = arg;
	struct err err;

	if (print_list(a, list, &err) != E_OK) {
		on_failed(&err, a);
		return;
	}
	loop_stop(a->loop);
}

static const struct sensor_events events = {
	.hello = on_hello,
	.list = on_list,
	.need_programs = on_need_programs,
	.plan = on_plan,
	.failed = on_failed,
};

enum exit_status
ask_run(const struct options *options, struct programs *programs, struct tls *tls)
{
	struct ask a = {
		.opt = options,
		.programs = programs,
		.status = EXIT_COMPLETE,
	};
	struct sensor_config cfg = {
		.address = &options->sensor,
		.server_name = options->server_name,
		.tls = tls,
		.events = &events,
		.arg = &a,
	};
	struct err err;

	ui_text_init(&a.ui, stderr, true);
	a.loop = loop_new(&err);
	if (a.loop != NULL)
		a.sensor = sensor_new(a.loop, &cfg, &err);
	if (a.sensor == NULL || loop_run(a.loop, &err) != E_OK) {
		ui_text_message(&a.ui, err.what);
		a.status = exit_status_of(err.code);
	}
	sensor_free(a.sensor);
	loop_free(a.loop);
	return a.status;
}
