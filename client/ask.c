#include "client/ask.h"

#include <stdio.h>

#include "client/list.h"
#include "client/sensor.h"
#include "client/ui_text.h"
#include "common/loop.h"

struct ask {
	struct loop	*loop;
	struct sensor	*sensor;
	struct ui_text	 ui;
	enum exit_status status;
};

static void
on_hello(const struct msg_hello *hello, void *arg)
{
	struct ask *a = arg;

	(void)hello;
	sensor_ask_list(a->sensor);
}

static void
on_failed(const struct err *err, void *arg)
{
	struct ask *a = arg;

	ui_text_message(&a->ui, err->what);
	a->status = exit_status_of(err->code);
	loop_stop(a->loop);
}

static void
on_list(const struct msg_interface_list *list, void *arg)
{
	struct ask *a = arg;
	struct err err;

	if (list_print(stdout, list, &err) != E_OK) {
		on_failed(&err, a);
		return;
	}
	loop_stop(a->loop);
}

static const struct sensor_events events = {
	.hello = on_hello,
	.list = on_list,
	.failed = on_failed,
};

enum exit_status
ask_run(const struct options *options, struct tls *tls)
{
	struct ask a = { .status = EXIT_COMPLETE };
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
