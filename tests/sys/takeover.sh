#!/usr/bin/env bash
# Runs the takeover program in the place of capagent-net, with a real capture
# on an interface in a network namespace of its own.
#
#   takeover.sh FOLDER CAPCERT
#
# FOLDER holds capagent and, as capagent-net, the takeover program.
set -euo pipefail
here=$1 capcert=$2
ns=tko$$
dir=$(mktemp -d)
trap 'ip netns del "$ns" 2>/dev/null || true; rm -rf "$dir"' EXIT

"$capcert" --dir "$dir" init >/dev/null
"$capcert" --dir "$dir" agent agent --san IP:127.0.0.1 >/dev/null
printf 'interfaces = tko0\nmax-captures = 1\n' >"$dir/conf"
chmod 644 "$dir/conf"

ip netns add "$ns"
ip -n "$ns" link set lo up
ip -n "$ns" link add tko0 type veth peer name tko1
ip -n "$ns" link set tko0 up
ip -n "$ns" link set tko1 up

# capagent ends with its child: what counts is what the child said.
ip netns exec "$ns" timeout 60 "$here/capagent" --listen 127.0.0.1:0 --config "$dir/conf" \
	--cert "$dir/agent.pem" --key "$dir/agent.key" --ca "$dir/ca.pem" 2>"$dir/log" || true
cat "$dir/log"
grep -q '^takeover: all refused$' "$dir/log"
