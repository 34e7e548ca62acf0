#!/bin/bash
# run.sh BIN_DIR SAMPLENODE: a sample gateway in ./run: an embedded SQLite store, an administrator, a
# tenant "acme" with a user, one sample node for all kinds. Starts node and gateway in the foreground
# and prints what to try. Ctrl-C ends both. State stays in ./run; remove it to begin anew.
set -euo pipefail
bin=$(realpath "$1") node=$(realpath "$2") dir=run
http=${GATEWAYD_LISTEN_HTTP:-127.0.0.1:8080} grpc=${GATEWAYD_LISTEN_GRPC:-127.0.0.1:9090} admin=${GATEWAYD_LISTEN_ADMIN:-127.0.0.1:8081}
mkdir -p $dir
chmod 700 $dir
export XDG_CONFIG_HOME=$PWD/$dir/config
exec 9>$dir/lock
flock -n 9 || { echo "run.sh: a sample gateway runs in this directory already" >&2; exit 1; }

pids=()
stop() { trap - EXIT INT TERM; for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait; }
trap stop EXIT
trap 'exit 0' INT TERM
die() { echo "run.sh: $*" >&2; exit 1; }
await() { # await SECONDS WHAT COMMAND...: until the command succeeds
	local end=$((SECONDS + $1)) what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || die "$what did not come up; see $dir/*.log"
		kill -0 "${pids[-1]}" 2>/dev/null || { tail -3 $dir/*.log >&2; die "$what ended"; }
		sleep 0.05
	done
}
secret() { [ -s "$1" ] || (umask 077; head -c 15 /dev/urandom | base64 | tr '+/' '-_' >"$1"); }

# ---- the node -------------------------------------------------------------------------------------
"$node" --http 127.0.0.1:0 --grpc 127.0.0.1:0 --admin 127.0.0.1:0 >$dir/node.log 2>&1 9>&- &
pids+=($!)
await 10 "the sample node" grep -qx ready $dir/node.log
addr() { sed -n "s/^listening $1 //p" $dir/node.log; }

# ---- the store and the first administrator --------------------------------------------------------
cat >$dir/gateway.yaml <<YAML
# written by make run; see gateway.yaml(5)
listen:
  http: $http
  grpc: $grpc
  admin: $admin
store.url: sqlite:$dir/gateway.db
auth.signup: open
log.format: text
YAML
secret $dir/admin.password
secret $dir/alice.password
fresh=0
if [ ! -e $dir/admin.done ]; then
	fresh=1
	"$bin/gwctl" db migrate --store sqlite:$dir/gateway.db
	"$bin/gwctl" admin init --store sqlite:$dir/gateway.db --email admin@example.com --password-file $dir/admin.password
	: >$dir/admin.done
fi

# ---- the gateway ----------------------------------------------------------------------------------
mv -f $dir/gatewayd.log $dir/gatewayd.log.old 2>/dev/null || true
"$bin/gatewayd" -c $dir/gateway.yaml 2>$dir/gatewayd.log 9>&- &
pids+=($!)
# its own word that it listens, not an answer of whoever has the address
await 15 "gatewayd" grep -q 'listening.*admin' $dir/gatewayd.log
await 15 "gatewayd" curl -sf "http://$http/ready"

# ---- a tenant, a user, routing --------------------------------------------------------------------
ctl() { "$bin/gwctl" --server "http://$admin" "$@"; }
ctl login --email admin@example.com --password-file $dir/admin.password >/dev/null
if [ ! -e $dir/sample.done ]; then
	ctl tenant create acme --name "Acme Inc" >/dev/null
	alice=$(ctl -o name user create --email alice@example.com --password-file $dir/alice.password)
	ctl assignment create --principal "${alice##*/}" --tenant acme --role tenant-member >/dev/null
	: >$dir/sample.done
fi
revision=$(ctl -o json routing get | sed -n 's/.*"revision": *\([0-9]*\).*/\1/p' | head -1)
cat >$dir/routing.json <<JSON
{"revision": $((${revision:-0} + 1)),
 "aggregate_placement":  {"acme": "a1"}, "aggregate_shards":  {"a1": ["grpc://$(addr grpc)"]},
 "projection_placement": {"acme": "p1"}, "projection_shards": {"p1": ["http://$(addr http)"]},
 "runner_placement":     {"acme": "r1"}, "runner_shards":     {"r1": [{"url": "http://$(addr http)", "admin": "http://$(addr admin)"}]}}
JSON
ctl routing put -f $dir/routing.json >/dev/null
(umask 077; printf '{"email":"alice@example.com","password":"%s"}\n' "$(cat $dir/alice.password)" >$dir/signin.json)

cat <<TEXT

gatewayd is up: http://$http (HTTP), $grpc (gRPC), http://$admin (admin)
  store    sqlite:$dir/gateway.db $([ $fresh = 1 ] && echo "(new)" || echo "(kept)"), log $dir/gatewayd.log
  admin    admin@example.com, password in $dir/admin.password
  tenant   acme, member alice@example.com, password in $dir/alice.password

Try, in another terminal in this directory:

1. sign in
  TOKEN=\$(curl -s http://$http/v1/auth/signin -H 'content-type: application/json' -d @$dir/signin.json | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

2. send a command
  curl -s http://$http/v1/commands/order/o-1 -H "authorization: Bearer \$TOKEN" -H 'x-tenant-id: acme' -H 'content-type: application/json' -d '{"command_type":"place","payload":{"sku":"tea","quantity":2}}'

3. ask a query
  curl -s http://$http/v1/query/events -H "authorization: Bearer \$TOKEN" -H 'x-tenant-id: acme' -H 'content-type: application/json' -d '{"aggregate_type":"order"}'

Operators: XDG_CONFIG_HOME=\$PWD/$dir/config bin/gwctl whoami; bin/gwctl help. Ctrl-C stops everything.
TEXT
wait -n "${pids[@]}" || true
die "a program ended; see $dir/*.log"
